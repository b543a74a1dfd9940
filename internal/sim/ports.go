package sim

import (
	"context"
	"errors"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// store is the table as an invocation reaches it.
type store struct{ p *process }

var _ jobs.Store = store{}

const (
	errThrottled  = trouble("ProvisionedThroughputExceededException")
	errAnswerLost = trouble("the table gave no answer")
)

// away makes a call that the table may not carry out.
func (s store) away() error {
	if s.p.w.hit(StoreThrottled) || s.p.w.in(StoreDown) {
		return errThrottled
	}
	return nil
}

// write is a write whose answer may be lost, or that the SDK makes twice, whereupon it meets itself.
func (s store) write(what string, write func() error, met error) (err error) {
	w := s.p.w
	s.p.call(what, func() {
		if err = s.away(); err != nil {
			return
		}
		err = write()
		switch {
		case err != nil:
			if errors.Is(err, jobs.ErrConflict) {
				w.sometimes("a save meets a conflict")
			}
		case w.hit(StoreAnswerLost):
			err = errAnswerLost
			s.p.owes.call = ""
		case w.hit(StoreEcho):
			err = met
		}
	})
	return err
}

func (s store) Create(ctx context.Context, j *jobs.Job) error {
	return s.write("PutItem", func() error { return s.p.intends(j, s.p.w.table.Create(ctx, j)) }, jobs.ErrExists)
}

func (s store) Save(ctx context.Context, j *jobs.Job) error {
	return s.write("PutItem", func() error { return s.p.intends(j, s.p.w.table.Save(ctx, j)) }, jobs.ErrConflict)
}

func (s store) Get(ctx context.Context, jobID string) (j *jobs.Job, err error) {
	s.p.call("GetItem", func() {
		if err = s.away(); err == nil {
			j, err = s.p.w.table.Get(ctx, jobID)
		}
	})
	return j, err
}

func (s store) List(ctx context.Context, query jobs.Query) (page jobs.Page, err error) {
	return s.p.w.table.List(ctx, query)
}

func (s store) Due(ctx context.Context, before time.Time, cursor string, limit int) (ids []string, next string, err error) {
	s.p.call("Query", func() {
		if err = s.away(); err == nil {
			ids, next, err = s.p.w.table.Due(ctx, before, cursor, limit)
		}
	})
	return ids, next, err
}

// launcher is ECS as an invocation reaches it: engine.Launcher.
type launcher struct{ p *process }

func (l launcher) Run(_ context.Context, launch spot.Launch) (answer spot.Answer) {
	w := l.p.w
	w.checkRun(l.p, launch)
	l.p.running, l.p.owes = launch.StartedBy, debts{}
	defer func() { l.p.running = "" }()
	l.p.call("RunTask", func() {
		w.runs[owner(launch.StartedBy)]++
		answer = w.cluster.run(launch)
		l.p.owes.answered(w, launch, answer)
		w.note(launch.StartedBy, "%s: RunTask on %s, token %.6s: kind %d, %s %s", l.p.name, launch.CapacityProvider,
			launch.ClientToken, answer.Kind, answer.Cause, answer.Reason)
	})
	return answer
}

func (l launcher) Stop(_ context.Context, arn, reason string) (err error) {
	w := l.p.w
	l.p.call("StopTask", func() {
		switch {
		case w.hit(StopFails), w.in(ECSDown), w.in(AccessLost):
			err = trouble("StopTask fails")
			return
		}
		w.note("", "%s: StopTask %s: %s", l.p.name, jobs.TaskID(arn), reason)
		w.checkStop(arn)
		w.cluster.stop(arn, reason)
		if w.hit(StopAnswerLost) {
			err = trouble("StopTask gave no answer")
		}
	})
	return err
}

func (l launcher) Describe(_ context.Context, arns []string) (tasks []spot.Task, missing []string, err error) {
	w := l.p.w
	l.p.call("DescribeTasks", func() {
		if w.hit(DescribeFails) || w.in(ECSDown) || w.in(AccessLost) {
			err = trouble("DescribeTasks fails")
			return
		}
		tasks, missing = w.cluster.describe(arns, l.p.now())
	})
	return tasks, missing, err
}

func (l launcher) Find(_ context.Context, startedBy, _ string) (tasks []spot.Task, err error) {
	w := l.p.w
	l.p.call("ListTasks", func() {
		if w.hit(FindFails) || w.in(ECSDown) || w.in(AccessLost) {
			err = trouble("ListTasks fails")
			l.p.owes.again = owner(startedBy)
			return
		}
		tasks = w.cluster.find(startedBy, l.p.now())
		w.sometimes("a launch is settled")
		w.note(startedBy, "%s: ListTasks finds %d", l.p.name, len(tasks))
	})
	return tasks, err
}

func (l launcher) TaskDefinition(_ context.Context, name string) (td spot.TaskDefinition, err error) {
	w := l.p.w
	l.p.call("DescribeTaskDefinition", func() {
		if w.hit(DefinitionFails) || w.in(ECSDown) || w.in(AccessLost) {
			err = trouble("DescribeTaskDefinition fails")
			return
		}
		td, err = definition(name)
	})
	return td, err
}

// publisher is EventBridge.
type publisher struct{ p *process }

func (b publisher) Publish(_ context.Context, document *jobs.Job) (err error) {
	w := b.p.w
	b.p.call("PutEvents", func() {
		if w.hit(PublishFails) {
			err = trouble("PutEvents fails")
			b.p.owes.again = document.JobID
			return
		}
		w.tellNews(document)
		if w.hit(PublishAnswerLost) {
			err = trouble("PutEvents gave no answer")
			b.p.owes.again = document.JobID
		}
	})
	return err
}

// waker is the events queue.
type waker struct{ p *process }

func (k waker) WakeAt(_ context.Context, jobID string, at time.Time) error {
	return k.p.wakeAt(jobID, at)
}

func (k waker) SweepFrom(_ context.Context, cursor string) error {
	k.p.w.sometimes("a sweep hands its rest over")
	return k.p.leave(map[string]any{"sweep": true, "cursor": cursor}, 0)
}

// pacing is the instance's pacer.
type pacing struct{ p *process }

func (g pacing) Launch(context.Context, jobs.CapacityProvider) time.Duration {
	wait := g.p.on.pacer.launch(g.p)
	if wait > 0 {
		g.p.w.sometimes("a launch waits for its turn")
		if g.p.w.wish.Strength[PacerStrict] > 0 {
			g.p.w.sometimes("fault: pacer strict")
		}
	}
	return wait
}
