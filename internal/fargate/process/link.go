package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// link is the engine's end of a supervisor that it started.
type link struct {
	id       string
	cmd      *exec.Cmd
	messages *os.File
	ended    chan struct{} // closed once the supervisor has

	mu       sync.Mutex // one request at a time
	requests *os.File

	close func() error // of both pipes; whoever comes second finds it done
}

func (l *link) send(req request) error {
	data, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.requests.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("send request: %w", err)
	}
	return nil
}

// spawn starts a supervisor: in a session of its own, away from the terminal, without the engine's environment.
func (e *Executor) spawn(id string) (*link, error) {
	lock, err := e.files.lock(id)
	if err != nil {
		return nil, err
	}
	defer lock.Close() // the supervisor's own copy holds it on
	output, err := os.OpenFile(e.files.file(id, outputSuffix), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open supervisor output: %w", err)
	}
	defer output.Close()
	requestsOut, requests, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer requestsOut.Close()
	messages, messagesIn, err := os.Pipe()
	if err != nil {
		requests.Close()
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer messagesIn.Close()

	command := e.config.Command
	cmd := exec.Command(command[0], append(command[1:len(command):len(command)], e.config.Dir, id)...)
	cmd.Dir = "/"
	// Not empty: until it calls exec, a child shows its parent's, and what shows none is looked at again (see markOf).
	cmd.Env = []string{"SPOTBATCH_SUPERVISOR=" + id}
	cmd.Stderr = output
	cmd.ExtraFiles = []*os.File{requestsFD - 3: requestsOut, messagesFD - 3: messagesIn, lockFD - 3: lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		requests.Close()
		messages.Close()
		return nil, err
	}
	return &link{
		id: id, cmd: cmd, requests: requests, messages: messages, ended: make(chan struct{}),
		close: sync.OnceValue(func() error { return errors.Join(requests.Close(), messages.Close()) }),
	}, nil
}

// listen takes a supervisor's messages until the supervisor dies or the executor is closed.
func (e *Executor) listen(l *link) {
	defer close(l.ended)
	decoder := json.NewDecoder(bufio.NewReader(l.messages))
	for {
		var m message
		if err := decoder.Decode(&m); err != nil {
			break
		}
		e.heard(m)
	}
	select {
	case <-e.closed:
		_ = l.cmd.Wait() // the supervisor lives on; should this process live longer, no zombie stays
		return
	default:
	}
	// What no longer speaks is no supervisor: if it has not died it is killed, and only then are its tasks looked at.
	_ = l.cmd.Process.Kill()
	err := l.cmd.Wait()
	_ = l.close()
	e.config.Logger.Error("supervisor died", "supervisor", l.id, "err", err, "output", e.lastWords(l.id))
	e.bury(l)
}

// lastWords is the end of what a dead supervisor printed, a panic perhaps.
func (e *Executor) lastWords(supervisor string) string {
	file, err := os.Open(e.files.file(supervisor, outputSuffix))
	if err != nil {
		return ""
	}
	defer file.Close()
	const most = 2048
	if info, err := file.Stat(); err == nil && info.Size() > most {
		_, _ = file.Seek(-most, io.SeekEnd)
	}
	words, _ := io.ReadAll(io.LimitReader(file, most))
	return string(words)
}

// heard takes one message.
func (e *Executor) heard(m message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.tasks[m.TaskID]
	switch {
	case w == nil:
		// Forgotten in the meantime.
	case m.Exit != nil:
		e.exited(w, m.Container, m.Exit)
	case m.Started:
		w.reply(nil)
	case m.Refused != "":
		delete(e.tasks, w.id)
		w.reply(&fargate.StartError{Reason: m.Refused})
	default:
		delete(e.tasks, w.id)
		w.reply(errors.New(m.Trouble))
	}
}

// reply ends the wait of Start. The executor's lock is held.
func (w *watched) reply(err error) {
	if w.answer != nil {
		w.answer <- err
		w.answer = nil
	}
}

// bury ends the tasks of a supervisor that died under a living engine: what is left of them is killed, exits that made it
// to disk are delivered, the others as unknown.
func (e *Executor) bury(l *link) {
	e.mu.Lock()
	if e.link == l {
		e.link = nil // the next task gets a new one
	}
	orphaned := e.tasksOf(l)
	e.mu.Unlock()
	journal := e.journalOf(l.id)
	if err := journal.read(); err != nil {
		e.config.Logger.Error("cannot read what a dead supervisor did", "supervisor", l.id, "err", err)
	}
	remains := map[string]history{}
	for _, w := range orphaned {
		remains[w.id] = journal.of(w.id)
	}
	e.killRemains(remains)

	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range orphaned {
		if w.answer != nil {
			delete(e.tasks, w.id)
			w.reply(errors.New("supervisor died while it started the task"))
			continue
		}
		e.settle(w, remains[w.id], true)
	}
}
