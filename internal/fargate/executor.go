package fargate

import (
	"context"
	"syscall"
	"time"
)

// Executor runs a task's containers for real. The stand-in calls it from one goroutine at a time for any one task, and from
// many for different tasks. An implementation keeps what it runs alive when the stand-in dies, and finds it again in Adopt.
type Executor interface {
	// Adopt is called once, before anything else, with every task that the state says was handed to Start and has not
	// stopped. It returns, by task id, what became of each: those that are AdoptedRunning report their exit on Exits as if
	// they had just been started, AdoptedNotStarted ones certainly never ran and may be started, AdoptedLost ones left no
	// exit code (the executor has made sure that nothing of them runs any more). What the executor still keeps of other
	// tasks may be dropped: their ends are stored.
	Adopt(ctx context.Context, tasks []TaskSpec) (map[string]Adopted, error)
	// Start runs the task's containers. It returns when they run. An error of type *StartError is the task's end with that
	// stoppedReason; any other error is trouble of the executor itself and ends the task as a platform failure. After an
	// error nothing of the task runs. ctx ends when the task is to stop before it runs (Start may give up, or start it all
	// the same: then it is told to stop), and when the stand-in ends (then Adopt is asked what became of it).
	Start(ctx context.Context, task TaskSpec) error
	// Signal sends a signal to every process of one container, or of every container of the task where container is "".
	// What has exited already is not an error.
	Signal(ctx context.Context, taskID, container string, signal syscall.Signal) error
	// Exits delivers the exit of each container of each started task, at least once; of an adopted one those that were
	// delivered before, too.
	Exits() <-chan ContainerExit
	// Forget drops what the executor keeps of a stopped task (containers, exit records), once its end is stored. Logs stay.
	Forget(taskID string)
	// Close lets go without stopping anything that runs. Where nothing runs, nothing of the executor is left when it returns.
	Close() error
}

// TaskSpec is a task as an executor needs it: the task definition with the overrides applied.
type TaskSpec struct {
	TaskID     string // the last part of the task's ARN; unique for ever
	CPU        int    // Fargate CPU units of the whole task
	MemoryMiB  int    // of the whole task
	Containers []ContainerSpec
}

// ContainerSpec is one container of a task.
type ContainerSpec struct {
	Name             string
	Image            string
	EntryPoint       []string
	Command          []string
	Environment      []string // "NAME=value"
	WorkingDirectory string
	User             string
	Essential        bool
	ReadonlyRoot     bool
	Init             bool // linuxParameters.initProcessEnabled
	MemoryMiB        int  // the container's hard limit; 0 = the task's
	CPU              int
	StopTimeout      time.Duration // between SIGTERM and SIGKILL
	LogFile          string        // standard output and error are appended here; absolute
}

// Adopted is what became of a task while no stand-in watched it.
type Adopted int

// The fates of a task that Adopt may report.
const (
	// AdoptedNotStarted: it certainly never ran.
	AdoptedNotStarted Adopted = iota
	// AdoptedRunning: it runs, or has exited with a known exit code that Exits will deliver.
	AdoptedRunning
	// AdoptedLost: it ran and nobody knows how it ended.
	AdoptedLost
)

// ContainerExit is the end of one container.
type ContainerExit struct {
	TaskID    string
	Container string
	// ExitCode is 128+signal where a signal ended it, as Docker has it; nil where it is not known.
	ExitCode *int
	// Reason as ECS words it ("OutOfMemoryError: Container killed due to memory usage"); empty where nothing was wrong.
	Reason string
	At     time.Time
}

// StartError says that a task could not be started, in ECS's words ("CannotPullContainerError: ...").
type StartError struct{ Reason string }

func (e *StartError) Error() string { return e.Reason }
