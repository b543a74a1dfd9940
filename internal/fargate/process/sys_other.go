//go:build unix && !linux

package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// adoptOrphans: only Linux has subreapers. What leaves its container's group here outlives it.
func adoptOrphans() error { return nil }

// awaitChild waits for any child to end. There is no portable way to leave it unreaped, so between the end of a process
// and its journal entry its id is free for microseconds; who signals checks the start time as well.
func awaitChild() (pid, code int, err error) {
	var status unix.WaitStatus
	for {
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		if status.Signaled() {
			return pid, 128 + int(status.Signal()), nil
		}
		return pid, status.ExitStatus(), nil
	}
}

func reapChild(int) {}

func children() []int { return nil }

func markerOf(int) (string, bool) { return "", true }

// killMarked: without /proc, what is left of a task is found by the group of its main process alone.
func killMarked(string, map[string]bool) int { return 0 }
