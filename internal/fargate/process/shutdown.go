package process

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// shutdownSignals are those with which machines, services and sessions are ended: every process gets one. The engine sends
// none to a supervisor, so one that comes says that the tasks get it too.
func shutdownSignals() []os.Signal { return []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP} }

// shutdownLag is how much later than its task a supervisor may get the signal that both are sent. The reaper waits for so long,
// in short steps: while a busy machine leaves the supervisor no time, one step passes and not all of them.
const (
	shutdownLag  = 100 * time.Millisecond
	shutdownStep = shutdownLag / 10
)

// reasonShutdown begins as reasonSupervisorDied does.
const reasonShutdown = "ContainerRuntimeError: the machine or service was shut down, and the task's processes with it"

// endedByShutdown reports whether a container's end says nothing about its program, as after a power cut: a signal of a
// shutdown ended it, or the program passed such an end on as 128+n, and nobody asked for it through this supervisor. The engine
// may have asked from outside for a task that it adopted: what it wants stopped has its cause from that.
func (s *supervisor) endedByShutdown(c *container, code int) bool {
	c.task.mu.Lock()
	signalled := c.signalled
	c.task.mu.Unlock()
	end, lag := unix.Signal(code-128), shutdownLag
	switch {
	case signalled:
		return false
	case end == unix.SIGKILL: // it comes long after the others, for what did not heed them
		lag = 0
	case !slices.Contains(shutdownSignals(), os.Signal(end)):
		return false
	}
	for ; lag > 0; lag -= shutdownStep {
		select {
		case <-s.shutdown:
			return true
		case <-time.After(shutdownStep):
		}
	}
	return s.shuttingDown()
}

func (s *supervisor) shuttingDown() bool {
	select {
	case <-s.shutdown:
		return true
	default:
		return false
	}
}
