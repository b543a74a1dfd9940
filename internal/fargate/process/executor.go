package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// Config is what the process executor needs to know. Dir and Logger are required.
type Config struct {
	// Dir holds the executor's files: what its supervisors did, and whether they live. One engine at a time may use it.
	Dir string
	// WorkingDirectory is where every process is started. Empty: the current directory.
	WorkingDirectory string
	// Path and Home are the PATH and HOME of every process whose container does not set its own.
	Path, Home string
	// Command is the command line that ends up in Supervise, without its arguments. Empty: this executable with Verb.
	Command []string
	Logger  *slog.Logger
}

// defaultPath is a container's PATH where neither the engine nor the container has one; Docker's own default.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Executor runs tasks as processes. It starts its supervisor with its first task.
type Executor struct {
	config    Config
	files     directory
	exits     chan fargate.ContainerExit
	exitQueue *queue[fargate.ContainerExit]
	closed    chan struct{}

	mu    sync.Mutex
	link  *link // to the supervisor that takes new tasks; nil before the first and after its death
	tasks map[string]*watched

	watching sync.Mutex // guards what is known of older supervisors
}

var _ fargate.Executor = (*Executor)(nil)

// watched is a task in the engine, from Start or Adopt to its last exit.
type watched struct {
	id         string
	link       *link           // to its supervisor; nil for an adopted task
	older      *predecessor    // the supervisor of an adopted task
	containers map[string]bool // by name; true once its exit was delivered
	answer     chan error      // what Start returns; nil once it has, and for an adopted task
}

// New prepares the directory. It starts nothing.
func New(config Config) (*Executor, error) {
	var err error
	if config.Dir, err = filepath.Abs(config.Dir); err != nil {
		return nil, fmt.Errorf("find executor directory: %w", err)
	}
	if config.WorkingDirectory, err = filepath.Abs(config.WorkingDirectory); err != nil {
		return nil, fmt.Errorf("find working directory: %w", err)
	}
	if config.Path == "" {
		config.Path = defaultPath
	}
	if len(config.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find own executable: %w", err)
		}
		config.Command = []string{self, Verb}
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create executor directory: %w", err)
	}
	// One name for the directory however it is reached: marks are compared with it.
	if config.Dir, err = filepath.EvalSymlinks(config.Dir); err != nil {
		return nil, fmt.Errorf("find executor directory: %w", err)
	}
	e := &Executor{
		config: config, files: directory(config.Dir), tasks: map[string]*watched{},
		exits: make(chan fargate.ContainerExit), exitQueue: newQueue[fargate.ContainerExit](), closed: make(chan struct{}),
	}
	go e.deliver()
	return e, nil
}

// Exits implements fargate.Executor. The exit of a short process may come before its Start has returned. The channel stays
// open after Close, and silent.
func (e *Executor) Exits() <-chan fargate.ContainerExit { return e.exits }

func (e *Executor) deliver() {
	for {
		batch, more := e.exitQueue.take(e.closed)
		if !more {
			return
		}
		for _, exit := range batch {
			select {
			case e.exits <- exit:
			case <-e.closed:
				return
			}
		}
	}
}

// Start implements fargate.Executor. Once the supervisor has the request, an answer always comes, its own or its death's;
// so the context counts only before that, and no start is left in doubt.
func (e *Executor) Start(ctx context.Context, task fargate.TaskSpec) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	req, err := e.resolve(task)
	if err != nil {
		return err
	}
	w := &watched{id: task.TaskID, containers: map[string]bool{}, answer: make(chan error, 1)}
	for _, c := range task.Containers {
		w.containers[c.Name] = false
	}
	answer := w.answer
	link, err := e.enlist(w)
	if err != nil {
		return err
	}
	if err := link.send(request{Start: req}); err != nil {
		e.config.Logger.Debug("supervisor does not take a request", "task_id", task.TaskID, "err", err) // its death answers
	}
	select {
	case err := <-answer:
		return err
	case <-e.closed:
		return errClosed // the supervisor starts it all the same, for the next engine to adopt
	}
}

// errClosed is what a closed executor answers.
var errClosed = errors.New("process executor is closed")

// enlist makes a task known and gives it to the living supervisor, which it starts where there is none.
func (e *Executor) enlist(w *watched) (*link, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.closed:
		return nil, errClosed
	default:
	}
	if e.tasks[w.id] != nil {
		return nil, fmt.Errorf("task %s runs already", w.id)
	}
	if e.link == nil {
		link, err := e.spawn(strings.ToLower(rand.Text()))
		if err != nil {
			return nil, fmt.Errorf("start supervisor: %w", err)
		}
		e.link = link
		go e.listen(link)
	}
	w.link = e.link
	e.tasks[w.id] = w
	return e.link, nil
}

// Signal implements fargate.Executor. The supervisor delivers it for the tasks that it took from this engine; the groups of
// an adopted task are signalled from here.
func (e *Executor) Signal(_ context.Context, taskID, container string, signal syscall.Signal) error {
	e.mu.Lock()
	w := e.tasks[taskID]
	e.mu.Unlock()
	if w == nil {
		return nil
	}
	if w.link == nil {
		return e.signalAdopted(w, container, signal)
	}
	req := request{Signal: &signalRequest{TaskID: taskID, Container: container, Signal: int(signal)}}
	if err := w.link.send(req); err != nil {
		e.config.Logger.Debug("supervisor does not take a signal", "task_id", taskID, "err", err) // its death ends the task
	}
	return nil
}

// Forget implements fargate.Executor. What an older supervisor has written of an adopted task goes with its journal.
func (e *Executor) Forget(taskID string) {
	e.mu.Lock()
	delete(e.tasks, taskID)
	link := e.link
	e.mu.Unlock()
	if link == nil {
		return
	}
	if err := link.send(request{Forget: taskID}); err != nil {
		e.config.Logger.Debug("supervisor does not take a request", "task_id", taskID, "err", err) // it keeps nothing then
	}
}

// idleMax is how long Close waits for a supervisor that has nothing left to do: it writes a file and exits.
const idleMax = 10 * time.Second

// Close implements fargate.Executor. The supervisor sees its pipe end and goes on alone. One without tasks ends at once, and
// is waited for: who closes may remove the directory next, and would find it written to.
func (e *Executor) Close() error {
	e.mu.Lock()
	link := e.link
	select {
	case <-e.closed:
		link = nil
	default:
		close(e.closed)
	}
	idle := len(e.tasksOf(link)) == 0
	e.mu.Unlock()
	if link == nil {
		return nil
	}
	err := link.close()
	if idle {
		select {
		case <-link.ended:
		case <-time.After(idleMax):
			e.config.Logger.Warn("supervisor without tasks does not end", "supervisor", link.id)
		}
	}
	return err
}

// tasksOf returns the tasks that a supervisor runs for this engine. The executor's lock is held.
func (e *Executor) tasksOf(l *link) []*watched {
	var tasks []*watched
	for _, w := range e.tasks {
		if w.link == l {
			tasks = append(tasks, w)
		}
	}
	return tasks
}

// settle delivers the exits of a task that were not delivered yet, and drops the task once all were. Where the supervisor
// is dead, a container without an exit ends as unknown. The executor's lock is held.
func (e *Executor) settle(w *watched, h history, supervisorDead bool) {
	for _, c := range h.containers {
		if c.exit != nil {
			e.exited(w, c.Container, c.exit)
		}
	}
	if !supervisorDead {
		return
	}
	for name := range w.containers {
		e.exited(w, name, &exit{Reason: reasonSupervisorDied, At: now()})
	}
}

// reasonSupervisorDied begins with a category of ECS's for which a missing exit code is nothing unusual.
const reasonSupervisorDied = "ContainerRuntimeError: the supervisor of the task's processes died, the exit code is not known"

// exited delivers one exit, once. The executor's lock is held.
func (e *Executor) exited(w *watched, container string, end *exit) {
	if delivered, known := w.containers[container]; delivered || !known {
		return
	}
	w.containers[container] = true
	e.exitQueue.push(fargate.ContainerExit{
		TaskID: w.id, Container: container, ExitCode: end.Code, Reason: end.Reason, At: end.At,
	})
	for _, delivered := range w.containers {
		if !delivered {
			return
		}
	}
	delete(e.tasks, w.id)
}
