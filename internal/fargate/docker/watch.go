package docker

import (
	"context"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

const (
	// retryEvery is the pause before an engine that does not answer is asked again.
	retryEvery = 200 * time.Millisecond
	// logSilence is how long an exit waits for more of the log to reach its file; whatever comes has it wait anew.
	logSilence = 10 * time.Second
	// memoryLooks is how often a container that somebody else killed is inspected before it is believed that it was not for memory:
	// the engine learns of the exit and of the reason in two events, in either order. On a busy machine the second one may be lost:
	// https://github.com/containerd/containerd/issues/8893
	memoryLooks = 5

	// exitKilled is what SIGKILL leaves, whoever sent it: 128 and the signal's number.
	exitKilled = 137

	reasonOutOfMemory = "OutOfMemoryError: Container killed due to memory usage"
	reasonRemoved     = "ContainerRuntimeError: the container was removed, the exit code is not known"
)

// watch follows the containers of one task, each in a goroutine of its own, to their exits.
func (e *Executor) watch(members []*member) {
	e.mu.Lock()
	e.tasks[members[0].taskID] = members
	e.mu.Unlock()
	for _, m := range members {
		e.work.Go(func() { e.follow(m) })
	}
}

// follow copies a container's output until it has ended, and then delivers its exit: who sees the exit finds the log whole.
func (e *Executor) follow(m *member) {
	copying, cancel := context.WithCancel(e.ctx)
	defer cancel()
	copied := make(chan struct{})
	e.work.Go(func() {
		defer close(copied)
		e.copyLog(copying, m)
	})
	exit, ended := e.awaitExit(m)
	if !ended {
		return
	}
	if !e.awaitLog(m, copied) {
		e.log.Warn("the end of a log is missing", "task_id", m.taskID, "container", m.name)
	}
	select {
	case e.exits <- exit:
	case <-e.ctx.Done():
	}
}

// awaitLog waits until an ended container's log is copied, however long it is; false means that nothing more came of it.
func (e *Executor) awaitLog(m *member, copied <-chan struct{}) bool {
	for {
		before := m.furthest.Load()
		select {
		case <-copied:
			return true
		case <-time.After(e.logSilence):
		}
		if m.furthest.Load() == before {
			return false
		}
	}
}

// awaitExit waits for a container's end; false means that the executor was closed first.
func (e *Executor) awaitExit(m *member) (fargate.ContainerExit, bool) {
	looks := 0
	for {
		wait := e.api.ContainerWait(e.ctx, m.id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-wait.Result:
		case <-wait.Error: // the engine is gone or restarts, or the container is; the inspection tells
		}
		found, err := e.api.ContainerInspect(e.ctx, m.id, client.ContainerInspectOptions{})
		switch {
		case e.ctx.Err() != nil:
			return fargate.ContainerExit{}, false
		case cerrdefs.IsNotFound(err):
			return fargate.ContainerExit{TaskID: m.taskID, Container: m.name, Reason: reasonRemoved, At: time.Now().UTC()}, true
		case err == nil && !found.Container.State.Running:
			looks++
			if exit := m.exit(found.Container.State); exit.Reason != "" || *exit.ExitCode != exitKilled || m.killed.Load() || looks == memoryLooks {
				return exit, true
			}
		}
		e.log.Debug("container is asked for again", "task_id", m.taskID, "container", m.name, "err", err)
		if !e.pause() {
			return fargate.ContainerExit{}, false
		}
	}
}

// exit is the end that Docker tells of a container. A process that was killed for memory while the program went on to
// exit 0 is not worth a reason.
func (m *member) exit(state *container.State) fargate.ContainerExit {
	code := state.ExitCode
	exit := fargate.ContainerExit{TaskID: m.taskID, Container: m.name, ExitCode: &code, At: time.Now().UTC()}
	if at, err := time.Parse(time.RFC3339Nano, state.FinishedAt); err == nil && at.Year() > 1 {
		exit.At = at.UTC()
	}
	if state.OOMKilled && code != 0 {
		exit.Reason = reasonOutOfMemory
	}
	return exit
}

// pause waits before the engine is asked again; false means that the executor was closed.
func (e *Executor) pause() bool {
	select {
	case <-time.After(retryEvery):
		return true
	case <-e.ctx.Done():
		return false
	}
}
