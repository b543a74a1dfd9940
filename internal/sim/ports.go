package sim

import (
	"context"
	"errors"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// count counts a call for a job.
func (w *World) count(what, jobID string) {
	if w.made[what] == nil {
		w.made[what] = map[string]int{}
	}
	w.made[what][jobID]++
}

// store is the table as an invocation reaches it.
type store struct{ *coroutine }

var _ jobs.Store = store{}

const (
	errThrottled  = trouble("ProvisionedThroughputExceededException")
	errAnswerLost = trouble("the table gave no answer")
	errSick       = trouble("the item cannot be read")
)

// away makes a call that the table may not carry out, for one job or ("") for all.
func (s store) away(jobID string) error {
	switch {
	case s.p.w.hit(StoreThrottled), s.p.w.in(StoreDown):
		return errThrottled
	case s.p.w.sick(jobID, 0):
		return errSick
	}
	return nil
}

// write is a write whose answer may be lost, or that the SDK makes twice, whereupon it meets itself.
func (s store) write(j *jobs.Job, write func(context.Context, *jobs.Job) error, met error) (err error) {
	w, p := s.p.w, s.p
	w.count("PutItem", j.JobID)
	echo := false
	p.call("PutItem", func() {
		if err = s.away(j.JobID); err != nil {
			return
		}
		if w.hit(StoreLate) {
			late := deepCopy(j)
			w.schedule(w.now.Add(w.streams[StoreLate].between(0, 20*time.Second)), func() { _ = write(background, late) }) // or meets a conflict
			err = errAnswerLost
			p.owes.launch = saved{}
			return
		}
		err = p.intends(j, write(background, j))
		switch {
		case err != nil:
			if errors.Is(err, jobs.ErrConflict) {
				w.sometimes("a save meets a conflict")
			}
		case w.hit(StoreAnswerLost):
			err = errAnswerLost
			p.owes.launch = saved{}
		case w.hit(StoreEcho):
			echo = true
		}
	})
	if echo { // the SDK has waited for its answer
		p.pause(w.streams[StoreEcho].between(0, 10*time.Second))
		err = met
	}
	return err
}

func (s store) Create(_ context.Context, j *jobs.Job) error {
	return s.write(j, s.p.w.table.Create, jobs.ErrExists)
}

func (s store) Save(_ context.Context, j *jobs.Job) error {
	return s.write(j, s.p.w.table.Save, jobs.ErrConflict)
}

func (s store) Get(ctx context.Context, jobID string) (j *jobs.Job, err error) {
	s.p.w.count("GetItem", jobID)
	s.p.begins(jobID)
	s.p.call("GetItem", func() {
		if err = s.away(jobID); err == nil {
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
		if err = s.away(""); err == nil {
			ids, next, err = s.p.w.table.Due(ctx, before, cursor, limit)
		}
	})
	return ids, next, err
}

// launcher is ECS as an invocation reaches it: engine.Launcher.
type launcher struct{ *coroutine }

func (l launcher) Run(_ context.Context, launch spot.Launch) (answer spot.Answer) {
	w := l.p.w
	w.checkRun(l.p, launch)
	l.p.unfound = ""
	l.p.running, l.p.wasDue, l.p.owes = launch.StartedBy, l.p.owes.wasDue, debts{}
	defer func() { l.p.running = "" }()
	l.p.call("RunTask", func() {
		w.count("RunTask", owner(launch.StartedBy))
		answer = w.cluster.run(launch)
		l.p.owes.answered(launch, l.p.launch, answer)
		w.answered(owner(launch.StartedBy), answer)
		w.note(launch.StartedBy, "%s: RunTask on %s, token %.6s: kind %d, %s %s", l.p.name, launch.CapacityProvider,
			launch.ClientToken, answer.Kind, answer.Cause, answer.Reason)
	})
	return answer
}

func (l launcher) Stop(_ context.Context, arn, reason string) (err error) {
	w := l.p.w
	jobID := ""
	if t := w.cluster.byARN[arn]; t != nil {
		jobID = t.jobID
	}
	w.count("StopTask", jobID)
	if l.p.owes.stop.jobID == jobID {
		l.p.owes.stop = saved{}
	}
	l.p.call("StopTask", func() {
		switch {
		case w.hit(StopFails), w.in(ECSDown), w.in(AccessLost), w.cluster.over(&w.cluster.modify, "StopTask"):
			err = trouble("StopTask fails")
			if j := w.table.items[jobID]; j != nil && j.Live() != nil && j.Live().TaskARN == arn {
				l.p.owes.again = jobID
			}
			return
		}
		w.note(jobID, "%s: StopTask %s: %s", l.p.name, jobs.TaskID(arn), reason)
		w.checkStop(arn)
		w.cluster.stop(arn, reason)
		if w.hit(StopAnswerLost) {
			err = trouble("StopTask gave no answer")
		}
	})
	if err != nil {
		l.p.owes.failed = jobID
	}
	return err
}

func (l launcher) Describe(_ context.Context, arns []string) (tasks []spot.Task, missing []string, err error) {
	w := l.p.w
	for _, arn := range arns {
		if t := w.cluster.byARN[arn]; t != nil {
			w.count("DescribeTasks", t.jobID)
		}
	}
	l.p.call("DescribeTasks", func() {
		if w.hit(DescribeFails) || w.in(ECSDown) || w.in(AccessLost) {
			err = trouble("DescribeTasks fails")
		} else {
			tasks, missing, err = w.cluster.describe(arns, l.p.now())
		}
		l.p.looked(arns, tasks)
	})
	return tasks, missing, err
}

func (l launcher) Find(_ context.Context, startedBy, _ string) (tasks []spot.Task, err error) {
	w := l.p.w
	w.count("ListTasks", owner(startedBy))
	w.checkSettle(l.p, startedBy)
	l.p.call("ListTasks", func() {
		if w.hit(FindFails) || w.in(ECSDown) || w.in(AccessLost) {
			err = trouble("ListTasks fails")
			l.p.owes.again = owner(startedBy)
			return
		}
		if tasks, err = w.cluster.find(startedBy, l.p.now()); err != nil {
			l.p.owes.again = owner(startedBy)
			return
		}
		w.sometimes("a launch is settled")
		if len(tasks) == 0 {
			l.p.unfound = startedBy
		}
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
type publisher struct{ *coroutine }

func (b publisher) Publish(_ context.Context, document *jobs.Job) (err error) {
	w := b.p.w
	w.count("PutEvents", document.JobID)
	if b.p.owes.news.jobID == document.JobID {
		b.p.owes.news = saved{}
	}
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

// meter takes note of how late sweeps are.
type meter struct{ w *World }

func (meter) Saved(_, _ *jobs.Job, _ time.Time) {}
func (meter) Unknown()                          {}

func (m meter) Late(by time.Duration) { m.w.latest = max(m.w.latest, by) }

// waker is both queues.
type waker struct{ *coroutine }

func (k waker) WakeAt(_ context.Context, jobID string, at time.Time) error {
	k.p.w.count("SendMessage", jobID)
	return k.p.wakeAt(jobID, at)
}

func (k waker) SweepFrom(_ context.Context, cursor string) error {
	k.p.w.sometimes("a sweep hands its rest over")
	return k.p.leave(k.p.w.events, map[string]any{"sweep": true, "cursor": cursor}, 0)
}
