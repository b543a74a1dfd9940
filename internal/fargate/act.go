package fargate

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// What the runner does with the executor, and hears from it. Nothing here touches the table: what becomes known goes
// through the inbox.

// start runs a task that has got a slot.
func (r *runner) start(a *active) {
	if r.ctx.Err() != nil {
		return
	}
	now := r.c.opts.Now
	began := now()
	r.inbox.addQuietly(input{a.spec.TaskID, func(t *task) { t.pulling(began) }})
	a.calls <- struct{}{}
	err := r.makeLogDirectories(a)
	if err == nil {
		err = r.executor.Start(a.ctx, a.spec)
	}
	<-a.calls
	at := now()
	switch {
	case err == nil:
		r.startReturned(a)
		r.inbox.add(input{a.spec.TaskID, func(t *task) { t.started(at) }})
	case r.ctx.Err() != nil:
		// Run is over. Whether it had begun is for the next Run to ask.
	default:
		r.slots.release()
		r.inbox.add(input{a.spec.TaskID, func(t *task) { notStarted(t, at, err) }})
	}
}

// notStarted: Start has returned an error.
func notStarted(t *task, at time.Time, err error) {
	if t.DesiredStatus == statusStopped {
		t.neverStarted(at)
		return
	}
	if refused, ok := errors.AsType[*StartError](err); ok {
		t.failedToStart(at, refused.Reason, refused.Reason)
		return
	}
	reason := "InternalError: " + err.Error()
	t.failedToStart(at, reason, reason)
}

func (r *runner) makeLogDirectories(a *active) error {
	for _, container := range a.spec.Containers {
		if err := os.MkdirAll(filepath.Dir(container.LogFile), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// startReturned frees the slot of a task that exited before Start had returned.
func (r *runner) startReturned(a *active) {
	r.mu.Lock()
	a.startReturned = true
	over := len(a.running) == 0
	r.mu.Unlock()
	if over {
		r.slots.release()
	}
}

// receive passes the executor's exits on. A slot is free as soon as its task's last container has exited; that its end
// is not stored yet does no harm, because the executor keeps it until Forget.
func (r *runner) receive() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case exit, ok := <-r.executor.Exits():
			if !ok {
				return
			}
			r.exited(exit)
		}
	}
}

func (r *runner) exited(exit ContainerExit) {
	r.mu.Lock()
	a := r.active[exit.TaskID]
	if a == nil || !a.running[exit.Container] {
		r.mu.Unlock() // a repetition
		return
	}
	delete(a.running, exit.Container)
	over := len(a.running) == 0 && a.startReturned
	r.mu.Unlock()
	if over {
		r.slots.release()
	}
	now, essential := r.c.opts.Now(), a.essential[exit.Container]
	r.inbox.add(input{exit.TaskID, func(t *task) { t.exited(now, exit, essential) }})
}

// follow does what a task as it has just been stored asks for.
func (r *runner) follow(t *task) {
	r.mu.Lock()
	a := r.active[t.id]
	if a != nil && t.phase == phaseStopped {
		delete(r.active, t.id)
	}
	r.mu.Unlock()
	if a == nil {
		return
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	if t.phase == phaseStopped {
		a.abandon()
		r.background.Go(func() {
			a.calls <- struct{}{}
			r.executor.Forget(t.id)
			<-a.calls
		})
		return
	}
	if t.DesiredStatus == statusStopped && t.StartedAt == nil {
		r.cancelStart(t.id, a)
		return
	}
	now := r.c.opts.Now()
	demand := t.demands(a.spec, &r.c.opts, now)
	if demand.reclaim {
		r.inbox.add(input{t.id, func(t *task) { t.reclaimed(now) }})
		return
	}
	if len(demand.signals) > 0 && demand.signals[0].signal == syscall.SIGTERM {
		r.terminate(t.id, a, demand.signals)
	} else if len(demand.signals) > 0 {
		r.kill(t.id, a, demand.signals)
		demand.again = sooner(demand.again, now.Add(signalAgain))
	}
	if !demand.again.IsZero() {
		a.timer = time.AfterFunc(demand.again.Sub(now), func() { r.inbox.add(input{t.id, func(*task) {}}) })
	}
}

// cancelStart keeps a task from starting, if it still can.
func (r *runner) cancelStart(id string, a *active) {
	if r.slots.leave(a) {
		now := r.c.opts.Now()
		r.inbox.add(input{id, func(t *task) { t.neverStarted(now) }})
		return
	}
	a.abandon() // Start returns soon, in one way or the other
}

// terminate sends SIGTERM in the background, once. Its time is stored when it has been sent: after a crash it may come
// twice, but never not at all.
func (r *runner) terminate(id string, a *active, signals []signalDemand) {
	if a.terming {
		return
	}
	a.terming = true
	r.background.Go(func() {
		a.calls <- struct{}{}
		sent := r.send(id, signals)
		<-a.calls
		if sent || r.ctx.Err() == nil { // where it failed SIGKILL follows all the same
			at := r.c.opts.Now()
			r.inbox.add(input{id, func(t *task) { t.termSent(at) }})
		}
	})
}

// kill sends SIGKILL in the background, unless the executor is still busy with the last signal.
func (r *runner) kill(id string, a *active, signals []signalDemand) {
	select {
	case a.calls <- struct{}{}:
	default:
		return
	}
	r.background.Go(func() {
		r.send(id, signals)
		<-a.calls
	})
}

// send sends signals, and reports whether all were sent.
func (r *runner) send(id string, signals []signalDemand) bool {
	sent := true
	for _, s := range signals {
		if err := r.executor.Signal(r.ctx, id, s.container, s.signal); err != nil {
			sent = false
			if r.ctx.Err() == nil {
				r.c.opts.Logger.Error("a signal was not sent", "task_id", id, "signal", s.signal.String(), "error", err)
			}
		}
	}
	return sent
}
