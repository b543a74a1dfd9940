package process

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// task is one task in the supervisor, from its first fork to its last exit.
type task struct {
	id         string
	mu         sync.Mutex
	containers []*container
	begun      bool     // all containers have been started and the journal says so
	failure    *message // the answer to a start that failed, sent once nothing of the task runs
}

// container is one main process. What may change is guarded by its task's lock.
type container struct {
	task      *task
	name      string
	mark      string
	pid       int
	startedAt string
	signalled bool // by the engine, through this supervisor
	exit      *exit
}

func (c *container) ended() bool { return c.exit != nil }

func (t *task) allEnded() bool {
	for _, c := range t.containers {
		if !c.ended() {
			return false
		}
	}
	return true
}

// start runs a task's containers in order. Either all of them run, the journal says so and then the engine hears it, or
// none runs any more when the engine hears why and start returns.
func (s *supervisor) start(req *startRequest) {
	t := &task{id: req.TaskID}
	s.mu.Lock()
	s.tasks[t.id] = t
	s.mu.Unlock()
	var failed *message
	for i := range req.Containers {
		if failed = s.launch(t, &req.Containers[i], req.Directory); failed != nil {
			break
		}
	}
	if s.conclude(t, failed) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.tasks[t.id] != nil {
		s.changed.Wait()
	}
}

// conclude answers a start, or kills what it has started; the last end among that answers then. It tells whether the task
// runs.
func (s *supervisor) conclude(t *task, failed *message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed == nil {
		err := s.writeStarted(t)
		if err == nil {
			s.begin(t)
			return true
		}
		failed = &message{Trouble: err.Error()}
	}
	failed.TaskID = t.id
	t.failure = failed
	for _, c := range t.containers {
		if !c.ended() {
			_ = unix.Kill(-c.pid, unix.SIGKILL)
		}
	}
	s.finish(t)
	return false
}

// begin answers a start, and tells the exits that came before the answer.
func (s *supervisor) begin(t *task) {
	t.begun = true
	s.out.push(message{TaskID: t.id, Started: true})
	for _, c := range t.containers {
		if c.ended() {
			s.tell(c)
		}
	}
	s.finish(t)
}

// tell writes an exit down and then tells the engine. The task's lock is held.
func (s *supervisor) tell(c *container) {
	if err := s.journal.add(entry{TaskID: c.task.id, Container: c.name, Exit: c.exit}); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err) // the living engine still hears it; a later one finds the task lost
	}
	s.out.push(message{TaskID: c.task.id, Container: c.name, Exit: c.exit})
}

// finish drops a task whose last container has ended, and answers its start if that had failed. The task's lock is held.
func (s *supervisor) finish(t *task) {
	if !t.allEnded() || (!t.begun && t.failure == nil) {
		return
	}
	s.mu.Lock()
	delete(s.tasks, t.id)
	s.changed.Broadcast()
	s.mu.Unlock()
	if t.failure != nil {
		s.out.push(*t.failure)
	}
}

// writeStarted puts a task into the journal. The task's lock is held, so its exits come after it.
func (s *supervisor) writeStarted(t *task) error {
	e := entry{TaskID: t.id}
	for _, c := range t.containers {
		e.Started = append(e.Started, mainProcess{Container: c.name, PID: c.pid, StartedAt: c.startedAt})
	}
	return s.journal.add(e)
}

// launch forks one container and makes it known to the reaper; what it returns is the failure, as a message to come.
func (s *supervisor) launch(t *task, l *launch, directory string) *message {
	s.opening.Lock()
	log, err := fargate.OpenLog(l.LogFile)
	s.opening.Unlock()
	if err != nil {
		return &message{Trouble: err.Error()}
	}
	defer log.Close()
	ticket := s.beginFork(l.Mark)
	pid, err := syscall.ForkExec(l.Path, l.Args, &syscall.ProcAttr{
		Dir:   directory,
		Env:   l.Env,
		Files: []uintptr{s.null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		s.endFork(ticket, nil, l.Mark)
		if _, bad := os.Stat(directory); bad == nil && refusedByExec(err) {
			return &message{Refused: refuse("exec: %q: %s", l.Args[0], cause(err)).Reason}
		}
		return &message{Trouble: fmt.Sprintf("start container %s: %s", l.Name, cause(err))}
	}
	// The start time is read before the reaper may know the child, hence while its id is certainly its own.
	c := &container{task: t, name: l.Name, mark: l.Mark, pid: pid, startedAt: inspect(pid).startedAt}
	t.mu.Lock()
	t.containers = append(t.containers, c)
	t.mu.Unlock()
	s.endFork(ticket, c, "")
	return nil
}

// beginFork announces a child that will be unknown to the reaper for a moment.
func (s *supervisor) beginFork(mark string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live[mark] = true
	s.forked++
	s.forks[s.forked] = true
	return s.forked
}

// endFork makes the child known, or takes the announcement of its marker back where c is nil.
func (s *supervisor) endFork(ticket uint64, c *container, unused string) {
	s.mu.Lock()
	delete(s.forks, ticket)
	if c != nil {
		s.mains[c.pid] = c
	} else {
		delete(s.live, unused)
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	select {
	case s.born <- struct{}{}:
	default:
	}
}

// now is the time of an exit, as journal and messages carry it.
func now() time.Time { return time.Now().UTC() }
