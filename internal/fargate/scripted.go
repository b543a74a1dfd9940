package fargate

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Script is what a container does on a Scripted executor. The zero Script exits at once with 0.
type Script struct {
	StartDelay time.Duration // how long Start takes; the task's longest counts
	StartError error         // what Start returns; the task's first counts
	RunFor     time.Duration
	Forever    bool // never exits by itself; RunFor is ignored
	ExitCode   int
	Reason     string // as OutOfMemoryError...
	NoExitCode bool   // ends so that nobody knows how

	// At SIGTERM it exits with 143 (0 with TermExitsZero) after TermDelay, unless it ignores it.
	IgnoreTerm    bool
	TermDelay     time.Duration
	TermExitsZero bool
}

// Scripted is an Executor that runs nothing: each container follows a script, on the clock of package time. It outlives
// a Run as real containers do: give it to the next Run, and it is adopted.
type Scripted struct {
	// ExitsTwice has each exit delivered twice. Set it before the first Start.
	ExitsTwice bool

	script func(TaskSpec, ContainerSpec) Script
	exits  chan ContainerExit
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	tasks map[string]*scriptedTask
	log   []ScriptedCall
	live  int
	peak  int
}

// ScriptedCall is one call that a Scripted executor got.
type ScriptedCall struct {
	Call      string // Start, Signal or Forget
	TaskID    string
	Container string         // of Signal
	Signal    syscall.Signal // of Signal
	At        time.Time
}

type scriptedTask struct {
	spec    TaskSpec
	lost    bool
	running map[string]*time.Timer // nil: until a signal ends it
	exits   []ContainerExit
}

var _ Executor = (*Scripted)(nil)

// NewScripted returns an executor that asks script what each container does.
func NewScripted(script func(TaskSpec, ContainerSpec) Script) *Scripted {
	return &Scripted{
		script: script,
		exits:  make(chan ContainerExit, 64),
		closed: make(chan struct{}),
		tasks:  map[string]*scriptedTask{},
	}
}

// Adopt implements Executor.
func (s *Scripted) Adopt(_ context.Context, specs []TaskSpec) (map[string]Adopted, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fates := map[string]Adopted{}
	for _, spec := range specs {
		t := s.tasks[spec.TaskID]
		switch {
		case t == nil:
			fates[spec.TaskID] = AdoptedNotStarted
		case t.lost:
			fates[spec.TaskID] = AdoptedLost
		default:
			fates[spec.TaskID] = AdoptedRunning
			go s.deliver(slices.Clone(t.exits)...)
		}
	}
	return fates, nil
}

// Start implements Executor.
func (s *Scripted) Start(ctx context.Context, spec TaskSpec) error {
	s.record(ScriptedCall{Call: "Start", TaskID: spec.TaskID})
	scripts := make([]Script, len(spec.Containers))
	var delay time.Duration
	var refusal error
	for i, container := range spec.Containers {
		scripts[i] = s.script(spec, container)
		delay = max(delay, scripts[i].StartDelay)
		if refusal == nil {
			refusal = scripts[i].StartError
		}
	}
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if refusal != nil {
		return refusal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &scriptedTask{spec: spec, running: map[string]*time.Timer{}}
	s.tasks[spec.TaskID] = t
	s.live++
	s.peak = max(s.peak, s.live)
	for i, container := range spec.Containers {
		t.running[container.Name] = s.begin(t, container.Name, scripts[i])
	}
	return nil
}

// begin returns the timer that ends the container, if one does.
func (s *Scripted) begin(t *scriptedTask, container string, script Script) *time.Timer {
	if script.Forever {
		return nil
	}
	code := &script.ExitCode
	if script.NoExitCode {
		code = nil
	}
	return time.AfterFunc(script.RunFor, func() { s.exit(t, container, code, script.Reason) })
}

// Signal implements Executor.
func (s *Scripted) Signal(_ context.Context, taskID, container string, signal syscall.Signal) error {
	s.record(ScriptedCall{Call: "Signal", TaskID: taskID, Container: container, Signal: signal})
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[taskID]
	if t == nil {
		return nil
	}
	for _, c := range t.spec.Containers {
		timer, running := t.running[c.Name]
		if !running || (container != "" && container != c.Name) {
			continue
		}
		script := s.script(t.spec, c)
		var code int
		var after time.Duration
		switch {
		case signal == syscall.SIGKILL:
			code = 128 + int(syscall.SIGKILL)
		case script.IgnoreTerm:
			continue
		default:
			after = script.TermDelay
			if !script.TermExitsZero {
				code = 128 + int(signal)
			}
		}
		if timer != nil {
			timer.Stop()
		}
		t.running[c.Name] = time.AfterFunc(after, func() { s.exit(t, c.Name, &code, "") })
	}
	return nil
}

// Exits implements Executor.
func (s *Scripted) Exits() <-chan ContainerExit { return s.exits }

// Forget implements Executor.
func (s *Scripted) Forget(taskID string) {
	s.record(ScriptedCall{Call: "Forget", TaskID: taskID})
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tasks, taskID)
}

// Close implements Executor.
func (s *Scripted) Close() error {
	s.once.Do(func() { close(s.closed) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		for _, timer := range t.running {
			if timer != nil {
				timer.Stop()
			}
		}
	}
	return nil
}

// Lose makes a task one that Adopt finds lost.
func (s *Scripted) Lose(taskID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[taskID]; t != nil {
		t.lost = true
	}
}

// Calls returns what was called so far, in order.
func (s *Scripted) Calls() []ScriptedCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Peak is how many tasks ran at once at most.
func (s *Scripted) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

func (s *Scripted) record(call ScriptedCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call.At = time.Now()
	s.log = append(s.log, call)
}

func (s *Scripted) exit(t *scriptedTask, container string, code *int, reason string) {
	s.mu.Lock()
	if _, running := t.running[container]; !running {
		s.mu.Unlock()
		return
	}
	delete(t.running, container)
	if len(t.running) == 0 {
		s.live--
	}
	exit := ContainerExit{TaskID: t.spec.TaskID, Container: container, ExitCode: code, Reason: reason, At: time.Now()}
	t.exits = append(t.exits, exit)
	s.mu.Unlock()
	s.deliver(exit)
	if s.ExitsTwice {
		s.deliver(exit)
	}
}

func (s *Scripted) deliver(exits ...ContainerExit) {
	for _, exit := range exits {
		select {
		case s.exits <- exit:
		case <-s.closed:
			return
		}
	}
}
