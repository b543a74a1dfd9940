package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Request is one job request and how it comes.
type Request struct {
	At     time.Duration
	Body   string
	JobID  string // "" = the message's
	Direct bool
	// What its user does later; 0 = nothing.
	CancelAt, RetryAt, StopAt, AgainAt, CopyAt, OtherAt time.Duration
}

// populate plans all that users do.
func (w *World) populate() {
	requests := w.plan.Requests
	if requests == nil {
		for _, i := range w.plan.Jobs {
			requests = append(requests, w.drawRequest(i))
		}
	}
	for _, r := range requests {
		w.users++
		w.at(r.At, func() { w.users--; w.comes(r) })
	}
	if strength := w.plan.Strength[Reclaimed]; strength > 0 {
		d := newDice(w.plan.Seed, "reclaim")
		for range 1 + d.IntN(3) {
			w.at(d.between(0, w.plan.Chaos), func() { w.sometimes("fault: reclaimed"); w.cluster.reclaim(d, 0.5) })
		}
	}
	if w.plan.Reclaim > 0 {
		w.at(w.plan.Reclaim, func() { w.cluster.reclaim(w.dice, 1) })
	}
}

// at plans something for an age of the world.
func (w *World) at(age time.Duration, do func()) { w.schedule(beginning.Add(age), do) }

func (w *World) drawRequest(i int) Request {
	d := newDice(w.plan.Seed, fmt.Sprintf("request/%d", i))
	r := Request{At: d.between(0, w.plan.Chaos*3/4), JobID: fmt.Sprintf("job-%d", i), Direct: d.chance(0.2)}
	if w.plan.Rush {
		r.At, r.Direct = time.Minute+r.At%(10*time.Second), false
	}
	scheduled, named := d.chance(0.1), d.chance(0.8)
	r.Body = drawBody(d, i)
	switch {
	case scheduled:
		r.Body = strings.Replace(r.Body, "{",
			fmt.Sprintf(`{"schedule":{"arn":"arn:aws:scheduler:eu-west-1:1:schedule/d/s%d","scheduledTime":"2026-11-22T10:00:00Z"},`, i), 1)
		r.JobID = jobs.ResolveID([]byte(r.Body))
	case named || r.Direct:
		r.Body = strings.Replace(r.Body, "{", fmt.Sprintf(`{"jobId":%q,`, r.JobID), 1)
	default:
		r.JobID = ""
	}
	does := func(f Fault) bool { return d.Float64() < w.plan.Strength[f] }
	if does(UserCancels) {
		r.CancelAt = r.At + d.between(time.Millisecond, one(d, 2*time.Second, 2*time.Minute, time.Hour))
	}
	if does(UserRetries) {
		r.RetryAt = r.At + d.between(time.Minute, 2*time.Hour)
	}
	if does(UserStopsTask) {
		r.StopAt = r.At + d.between(time.Second, 30*time.Minute)
	}
	if does(UserSendsTwice) {
		r.AgainAt = r.At + d.between(0, one(d, time.Second, 10*time.Minute, 2*time.Hour))
	}
	if does(UserSendsOther) && r.JobID != "" && !r.Direct {
		r.OtherAt = r.At + d.between(0, one(d, time.Second, time.Hour))
	}
	if does(UserRunsCopy) {
		r.CopyAt = one(d, r.At+d.between(time.Minute, 30*time.Minute), w.plan.Chaos+2*time.Hour)
	}
	if does(UserErrs) {
		w.sometimes("fault: user errs")
		r.Body = one(d, poison...)
		r.Direct, r.AgainAt = false, 0
	}
	return r
}

// poison is what is no job request, or none that can be met.
var poison = []string{
	`no JSON at all`,
	`{"jobName":"x","taskDefinition":"job","colour":"red"}`,
	`{"jobName":"x","taskDefinition":"missing"}`,
	`{"action":"cancel","jobId":"job-0"}`,
	`{"jobId":"bad-job","jobName":"!","taskDefinition":"job"}`,
}

// drawBody draws a valid request without an id.
func drawBody(d dice, i int) string {
	members := []string{
		fmt.Sprintf(`"jobName":"n%d"`, i), `"taskDefinition":"job"`,
		fmt.Sprintf(`"capacity":{"strategy":%q,"spotAttempts":%d,"exitZeroOnInterruption":%q}`,
			pick(d, []weighted[string]{{6, "SPOT_THEN_ON_DEMAND"}, {2, "SPOT"}, {1, "ON_DEMAND"}}), 1+d.IntN(3),
			pick(d, []weighted[string]{{2, "RETRY"}, {1, "SUCCEED"}})),
	}
	rules := ""
	if d.chance(0.2) {
		rules = `,"evaluateOnExit":[{"onExitCode":"3","action":"EXIT"},{"onStatusReason":"Job attempt duration*","action":"RETRY"}]`
	}
	members = append(members, fmt.Sprintf(`"retryStrategy":{"attempts":%d,"backoffSeconds":%d%s}`, 1+d.IntN(3), 1+d.IntN(60),
		rules))
	clock := func(p float64, shortest, longest, otherwise int) int {
		if d.chance(p) {
			return shortest + d.IntN(longest-shortest)
		}
		return otherwise
	}
	total := clock(0.15, 900, 7200, 20*3600)
	start := min(clock(0.2, 60, 1800, 6*3600), total)
	attempt := min(clock(0.3, 60, 1800, 7200), total)
	members = append(members, fmt.Sprintf(`"timeout":{"attemptDurationSeconds":%d,"startWithinSeconds":%d,"totalSeconds":%d}`, attempt, start, total))
	return "{" + strings.Join(members, ",") + "}"
}

// comes has a request come in, once or twice, and what its user does later.
func (w *World) comes(r Request) {
	jobID := r.JobID
	if r.Direct {
		w.direct(r)
	} else if m := w.requests.send([]byte(r.Body), 0); jobID == "" {
		jobID = jobs.ResolveID([]byte(r.Body), m.id)
	}
	later := func(at time.Duration, do func()) {
		if at > 0 {
			w.users++
			w.at(at, func() { w.users--; do() })
		}
	}
	later(r.AgainAt, func() { w.sometimes("fault: user sends twice"); w.requests.send([]byte(r.Body), 0) })
	later(r.OtherAt, func() {
		w.sometimes("fault: user sends other")
		w.requests.send([]byte(strings.Replace(r.Body, `"jobName":"n`, `"jobName":"other`, 1)), 0)
	})
	later(r.CancelAt, func() { w.sometimes("fault: user cancels"); w.cancel(jobID, 5) })
	later(r.RetryAt, func() { w.retries[jobID]++; w.retry(jobID, w.newID(), 3) })
	later(r.CopyAt, func() { w.copyTask(jobID) })
	later(r.StopAt, func() {
		for _, t := range w.cluster.liveTasks(jobID) {
			w.sometimes("fault: user stops task")
			t.byHand = t.stop("UserInitiated", "Task stopped by user") || t.byHand
		}
	})
}

// copyTask runs a copy of the job's latest task. Once all is well it would run for ever, if nobody stopped it.
func (w *World) copyTask(jobID string) {
	j := w.table.items[jobID]
	if j == nil || j.Last() == nil || j.Last().TaskARN == "" {
		return
	}
	w.sometimes("fault: user runs copy")
	f := fate{
		startsIn: 20 * time.Second, lasts: w.dice.between(time.Second, 10*time.Minute), code: exit(7),
		forever: w.calm, onTerm: exit(143), stopIn: time.Second,
	}
	w.cluster.copyOf(jobID, j.Last().Number, f)
}

// ask makes one direct invocation of submit.
func (w *World) ask(name string, work func(p *process) error, done func(err error, died bool)) {
	on := w.desks[w.invocations%len(w.desks)]
	w.users++
	w.invoke(on, name, []func(*process) error{work}, func(err error, died bool) { w.users--; done(err, died) })
}

// direct submits until an answer comes, as the command line's user does.
func (w *World) direct(r Request) {
	w.ask("submit "+r.JobID, func(p *process) error {
		j, err := p.engine.Submit(background, engine.Submission{Body: []byte(r.Body)})
		if err == nil {
			w.acceptedBy(j)
		}
		return err
	}, func(err error, died bool) {
		if err != nil || died {
			w.users++
			w.schedule(w.now.Add(30*time.Second), func() { w.users--; w.direct(r) })
		}
	})
}

func (w *World) cancel(jobID string, tries int) {
	w.ask("cancel "+jobID, func(p *process) error {
		_, err := p.engine.Cancel(background, jobID, "not needed")
		return err
	}, func(err error, died bool) {
		w.note(jobID, "the user's cancel is answered: %v, died: %v", err, died)
		if (died || err != nil && !errors.Is(err, jobs.ErrNotFound)) && tries > 1 {
			w.users++
			w.schedule(w.now.Add(20*time.Second), func() { w.users--; w.cancel(jobID, tries-1) })
		}
	})
}

// retry is one asynchronous invocation, which Lambda delivers again, under the same id, if it dies or fails.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func (w *World) retry(jobID, invocation string, deliveries int) {
	w.ask("retry "+jobID, func(p *process) error {
		j, err := p.engine.Retry(background, jobID, invocation)
		if err == nil {
			w.sometimes("fault: user retries")
			w.acceptedBy(j)
		}
		return err
	}, func(err error, died bool) {
		if (died || err != nil) && deliveries > 1 {
			w.users++
			w.schedule(w.now.Add(time.Minute), func() { w.users--; w.retry(jobID, invocation, deliveries-1) })
		}
	})
}
