package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Verb is the hidden command that main hands to Supervise before it looks at anything else.
const Verb = "__supervise"

// The descriptors that the engine gives to its supervisor. Not 0 to 2: Go ends a program that writes to a broken pipe there.
const (
	requestsFD = 3
	messagesFD = 4
	lockFD     = 5
)

// Supervise is the whole life of a supervisor; args are what follows the verb. It returns the process's exit code.
func Supervise(args []string) int {
	if err := supervise(args); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		return 1
	}
	return 0
}

func supervise(args []string) error {
	if len(args) != 2 {
		return errors.New("this command is started by spotbatch itself")
	}
	// Before anything else: a child that inherited the lock would keep a dead supervisor alive in everybody's eyes.
	for _, fd := range []int{requestsFD, messagesFD, lockFD} {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return fmt.Errorf("descriptor %d: %w (this command is started by spotbatch itself)", fd, err)
		}
	}
	lock := os.NewFile(lockFD, "lock")
	defer runtime.KeepAlive(lock)
	requests, messages := os.NewFile(requestsFD, "requests"), os.NewFile(messagesFD, "messages")

	// Caught and survived, not ignored: an ignored signal stays ignored across exec, in every task. Who ends a whole machine
	// or service signals the tasks too, and this process is here to tell how they ended.
	shutdown := make(chan os.Signal, 1)
	signal.Notify(shutdown, shutdownSignals()...)
	if err := adoptOrphans(); err != nil {
		return err
	}
	files, id := directory(args[0]), args[1]
	journal, err := createJournal(files.file(id, journalSuffix))
	if err != nil {
		return err
	}
	s, err := newSupervisor(journal)
	if err != nil {
		return err
	}
	go func() {
		<-shutdown
		close(s.shutdown)
	}()
	go s.report(messages)
	go s.reap()
	s.serve(requests)
	idle := make(chan struct{})
	go func() {
		s.waitIdle()
		close(idle)
	}()
	return drain(func() error {
		if err := journal.sync(); err != nil {
			return err
		}
		return files.markDrained(id)
	}, idle)
}

// drainRetry is how long a supervisor waits that could not write its marker, for want of space perhaps. Until it is there no
// engine takes over.
const drainRetry = time.Second

// drain marks the supervisor as drained, again and again if need be, and returns once its tasks have ended.
func drain(mark func() error, idle <-chan struct{}) error {
	for {
		err := mark()
		if err == nil {
			<-idle
			return nil
		}
		select {
		case <-idle:
			return err
		case <-time.After(drainRetry):
		}
	}
}

// startsMax bounds the starts under way at once: each holds a thread until its child has called exec.
func startsMax() int { return 2 * runtime.GOMAXPROCS(0) }

// supervisor owns the processes. Its parts: serve reads requests, start runs one task, reap sees the ends, report tells.
type supervisor struct {
	journal *journal
	null    *os.File
	out     *queue[message]
	born    chan struct{} // a child was forked; wakes a reaper that had none

	shutdown chan struct{} // closed once the supervisor was told to end, as everything else of the machine or service is

	bare map[int]bool // the orphans that have no environment to be known by; the reaper's own

	opening sync.Mutex // one log file is created at a time: kernels spin on the lock of a directory

	mu      sync.Mutex
	changed *sync.Cond         // broadcast when anything below has changed
	tasks   map[string]*task   // until their last container has ended
	mains   map[int]*container // the main processes not yet reaped
	live    map[string]bool    // markers of the containers that may run; set before the fork
	forks   map[uint64]bool    // forks under way, whose children are not in mains yet
	forked  uint64             // numbers the forks
	strays  int                // killed at the last look and not yet reaped
	reaping bool               // an end has been seen whose strays have not been looked for
}

func newSupervisor(journal *journal) (*supervisor, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open standard input of tasks: %w", err)
	}
	s := &supervisor{
		journal: journal, null: null, out: newQueue[message](), born: make(chan struct{}, 1), shutdown: make(chan struct{}),
		bare: map[int]bool{}, tasks: map[string]*task{}, mains: map[int]*container{}, live: map[string]bool{}, forks: map[uint64]bool{},
	}
	s.changed = sync.NewCond(&s.mu)
	return s, nil
}

// serve carries requests out until the engine is gone, and returns when the last one has been carried out.
func (s *supervisor) serve(requests io.Reader) {
	var starts sync.WaitGroup
	defer starts.Wait()
	slots := make(chan struct{}, startsMax())
	for decoder := json.NewDecoder(requests); ; {
		var req request
		if err := decoder.Decode(&req); err != nil {
			// The end, or a request cut off in the middle: its sender died before it was sent, so it never was.
			return
		}
		switch {
		case req.Start != nil:
			slots <- struct{}{}
			starts.Go(func() {
				defer func() { <-slots }()
				s.start(req.Start)
			})
		case req.Signal != nil:
			s.signal(req.Signal)
		case req.Forget != "":
			if err := s.journal.forget(req.Forget); err != nil {
				fmt.Fprintln(os.Stderr, "supervisor:", err)
			}
		}
	}
}

// report sends messages to the engine. When nobody reads any more they are dropped: the journal says the same.
func (s *supervisor) report(messages io.Writer) {
	encoder := json.NewEncoder(messages)
	for {
		batch, _ := s.out.take(nil)
		for _, m := range batch {
			_ = encoder.Encode(m)
		}
	}
}

// waitIdle returns when no task runs and nothing that a task left behind.
func (s *supervisor) waitIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.tasks) > 0 || s.strays > 0 || s.reaping {
		s.changed.Wait()
	}
}

// signal goes to whole process groups. A group is signalled under its task's lock and while its main process is not
// reaped, so its id cannot be anybody else's.
func (s *supervisor) signal(req *signalRequest) {
	s.mu.Lock()
	t := s.tasks[req.TaskID]
	s.mu.Unlock()
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.containers {
		if !c.ended() && (req.Container == "" || req.Container == c.name) {
			c.signalled = true
			_ = unix.Kill(-c.pid, unix.Signal(req.Signal)) // a group that is just ending is no error
		}
	}
}
