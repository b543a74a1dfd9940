package process

import (
	"syscall"
	"time"
)

// processInfo is what tells a process from a later one with the same id.
type processInfo struct {
	startedAt string
	zombie    bool // it has ended and waits for its parent
}

// signalAdopted signals the groups of an adopted task from here, for its supervisor listens to nobody any more.
func (e *Executor) signalAdopted(w *watched, container string, signal syscall.Signal) error {
	e.watching.Lock()
	defer e.watching.Unlock()
	journal := w.older.journal
	if err := journal.read(); err != nil {
		return err
	}
	for _, c := range journal.of(w.id).containers {
		if container == "" || container == c.Container {
			c.kill(signal)
		}
	}
	return nil
}

// killRemains kills what runs of tasks that no supervisor watches, and returns when it is gone.
func (e *Executor) killRemains(remains map[string]history) {
	if len(remains) == 0 {
		return
	}
	ids := make(map[string]bool, len(remains))
	for id := range remains {
		ids[id] = true
	}
	// One look that finds nothing is not enough: a process has no environment in the middle of exec.
	const most, looks = 10 * time.Second, 3
	deadline := now().Add(most)
	for clean := 0; clean < looks; time.Sleep(drainPoll) {
		left := e.killOnce(remains, ids)
		if left == 0 {
			clean++
			continue
		}
		clean = 0
		if now().After(deadline) {
			e.config.Logger.Error("processes of lost tasks cannot be killed", "processes", left)
			return
		}
	}
}

// killOnce tells how many it found.
func (e *Executor) killOnce(remains map[string]history, ids map[string]bool) int {
	left := killMarked(e.config.Dir, ids)
	for _, h := range remains {
		for _, c := range h.containers {
			if c.kill(syscall.SIGKILL) {
				left++
			}
		}
	}
	return left
}

// kill signals a container's group while the process with the written id is certainly the container's: it has no exit
// written down and was started when the journal says. It tells whether the process runs.
func (c containerHistory) kill(signal syscall.Signal) bool {
	if c.exit != nil || c.PID <= 1 || c.StartedAt == "" {
		return false
	}
	found := inspect(c.PID)
	if found.startedAt != c.StartedAt {
		return false
	}
	return syscall.Kill(-c.PID, signal) == nil && !found.zombie
}
