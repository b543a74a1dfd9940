package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// reap sees every child's end: a container's main process, or an orphan of one. It is one goroutine, so that an unreaped
// child stays unreaped for as long as it is looked at.
func (s *supervisor) reap() {
	for {
		pid, code, err := awaitChild()
		if errors.Is(err, unix.ECHILD) {
			<-s.born
			continue
		}
		if err != nil {
			panic(fmt.Sprintf("wait for children: %v", err)) // no exit can be seen any more: die, so that the engine learns it
		}
		c := s.mainOf(pid)
		if c != nil {
			s.ended(c, code)
		}
		reapChild(pid)
		delete(s.bare, pid)
		s.mu.Lock()
		if c != nil {
			delete(s.mains, pid)
		}
		s.mu.Unlock()
		s.killStrays()
	}
}

// mainOf returns the container whose main process pid is, nil for an orphan. A child may end before the fork that made it
// has told; so an unknown one is only an orphan once every fork begun until now has told.
func (s *supervisor) mainOf(pid int) *container {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reaping = true
	for last := s.forked; s.mains[pid] == nil && s.forkUnderWay(last); {
		s.changed.Wait()
	}
	return s.mains[pid]
}

func (s *supervisor) forkUnderWay(last uint64) bool {
	for ticket := range s.forks {
		if ticket <= last {
			return true
		}
	}
	return false
}

// ended kills what is left of a container's group, writes its end down and tells the engine, all while the main process
// is not reaped and its id cannot be another's.
func (s *supervisor) ended(c *container, code int) {
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	s.mu.Lock()
	delete(s.live, c.mark)
	s.mu.Unlock()
	end := &exit{Code: &code, At: now()}
	if s.endedByShutdown(c, code) {
		end.Code, end.Reason = nil, reasonShutdown
	}
	t := c.task
	t.mu.Lock()
	defer t.mu.Unlock()
	c.exit = end
	if t.begun { // else start, which still has to answer, tells it
		s.tell(c)
	}
	s.finish(t)
}

// killStrays kills those that left their container's group and outlived it. As orphans they have become children of the
// supervisor; their own children will when they die, so it is called after every reaping.
func (s *supervisor) killStrays() {
	strays := 0
	for pid, mark := range s.orphans() {
		s.mu.Lock()
		alive := s.live[mark]
		s.mu.Unlock()
		if !alive {
			_ = unix.Kill(pid, unix.SIGKILL) // a child of ours that only this goroutine reaps
			strays++
		}
	}
	s.mu.Lock()
	s.strays, s.reaping = strays, false
	s.changed.Broadcast()
	s.mu.Unlock()
}

// orphans returns the supervisor's children that are no main processes, with the container that they come from. A fork
// under way may be among them: its marker is that of a live container.
func (s *supervisor) orphans() map[int]string {
	var unknown []int
	pids := children()
	s.mu.Lock()
	for _, pid := range pids {
		if s.mains[pid] == nil {
			unknown = append(unknown, pid)
		}
	}
	s.mu.Unlock()
	found := map[int]string{}
	for _, pid := range unknown {
		if mark := s.markOf(pid); mark != "" {
			found[pid] = mark
		}
	}
	return found
}

// markOf reads the mark of a child. One that is just calling exec has no environment for a moment, so it is looked at again
// for a while; what has none after that (started with an empty one, on purpose) is not waited for a second time.
func (s *supervisor) markOf(pid int) string {
	const times, pause = 50, time.Millisecond
	for range times {
		mark, readable := markerOf(pid)
		if readable || s.bare[pid] || inspect(pid).zombie {
			return mark
		}
		time.Sleep(pause)
	}
	s.bare[pid] = true
	return ""
}
