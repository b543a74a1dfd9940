package sim

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// debts is what an invocation owes the job it works on, as long as nothing fails.
type debts struct {
	launch saved  // the intent of a call, and RunTask must follow
	wasDue bool   // its due time had passed: whoever called before may still be at it
	again  string // jobID: a call has failed, and the next save must bring the due time forward
	failed string // jobID: StopTask has failed, and no other call is made for it
	stop   saved  // that the task is to be stopped, and StopTask must follow
	turn   bool   // there was no leave for StopTask: the next save must bring the due time forward
	news   saved  // what is to be published, and PutEvents must follow
	// firm is a refusal that holds whatever came before: the next save must not leave the launch as it is.
	firm   bool
	jobID  string
	number int
}

// saved is a save that this process made, and that a call must follow.
type saved struct {
	jobID   string
	version int64
}

// stands reports whether nobody has saved the job since. Where somebody has, the process may have taken its own save, whose answer
// was lost, for theirs.
func (s saved) stands(w *World) bool {
	return s.jobID != "" && w.table.items[s.jobID].Version == s.version
}

// answered notes what RunTask answered to a launch, by its number in the attempt: the job may be at a later one by then.
func (d *debts) answered(l spot.Launch, number int, answer spot.Answer) {
	d.firm = answer.Kind == spot.AnswerRefused && answer.Firm
	d.jobID, d.number = owner(l.StartedBy), number
}

// launchNumber is the launch at which the attempt of a startedBy stands in the table.
func (w *World) launchNumber(startedBy string) int {
	jobID, attempt, _ := spot.Owner(runner, startedBy)
	if j := w.table.items[jobID]; j != nil && j.Live() != nil && j.Live().Number == attempt {
		return j.Live().Launches
	}
	return 0
}

// soon is how far ahead the due time may be after a call that failed; clocks may differ by two minutes.
const soon = 3 * time.Minute

// turnMax is how far ahead the pacer's turns are; clocks may differ by two minutes.
const turnMax = 17 * time.Minute

// checkLaunch checks what a save says of calls, made and to be made.
func (w *World) checkLaunch(before, after *jobs.Job) {
	p := w.acting
	if p == nil {
		return
	}
	was, is := lastCall(before), lastCall(after)
	if !is.IsZero() && !is.Equal(was.Time) {
		if before != nil && !before.CancelRequestedAt.IsZero() {
			w.fail("a cancelled job is not launched again", after.JobID, "%s", brief(after))
		}
		p.made, p.madeFor = spot.CurrentCall(after), after.JobID
		p.owes.launch = saved{after.JobID, after.Version}
		p.owes.wasDue = before != nil && !before.Internal.DueAt.After(w.now)
	}
	w.checkPutOff(p, before, after)
	if p.owes.again == after.JobID {
		w.checkAgain(p, after)
	} else { // who has failed begins no other call
		w.checkToStop(p, before, after)
		if after.Internal.Unpublished == after.Version && p.owes.failed != after.JobID {
			p.owes.news = saved{after.JobID, after.Version}
		}
	}
	p.owes.turn = false
	w.checkFirm(p, after)
}

// checkPutOff checks that a call is put off by who made it, who knows what it was answered, or is held for unanswered.
func (w *World) checkPutOff(p *process, before, after *jobs.Job) {
	if before == nil || before.Live() == nil || after.Live() == nil || lastCall(before).IsZero() {
		return
	}
	call := spot.CurrentCall(before)
	putOff := before.NextAttemptAt.IsZero() && !after.NextAttemptAt.IsZero() && call == spot.CurrentCall(after)
	own := call == p.made && p.madeFor == after.JobID
	if putOff && !own && !after.Live().Internal.LaunchedAt.IsZero() && !after.Live().Internal.Unanswered {
		w.fail("an answer stands for its own call", after.JobID, "call %d of launch %d is another one's: %s", call.Number, call.Launch, brief(after))
	}
}

// checkAgain checks that the save after a failed call brings the due time forward.
func (w *World) checkAgain(p *process, after *jobs.Job) {
	p.owes.again = ""
	limit := soon
	if max(after.Internal.CallsFailed, after.Internal.NewsFailed) > 3 { // what fails again and again is tried ever more seldom
		limit += jobs.BackoffMax
	}
	if due := after.Internal.DueAt; !due.IsZero() && due.Sub(w.now) > limit {
		w.fail("a failed call is made again soon", after.JobID, "it is due in %v", due.Sub(w.now))
	}
}

// checkToStop notes that StopTask must follow a save, or checks that the job is due at its turn.
func (w *World) checkToStop(p *process, before, after *jobs.Job) {
	due := after.Internal.DueAt.Sub(w.now)
	switch {
	case !toStop(after):
	case p.owes.turn && due > turnMax:
		w.fail("a stop has its turn", after.JobID, "it is due in %v", due)
	case !p.owes.turn && !toStop(before):
		p.owes.stop = saved{after.JobID, after.Version}
	}
}

// toStop reports whether it is decided that the job's task is stopped, which ECS has not told to be on its way down.
func toStop(j *jobs.Job) bool {
	if j == nil || j.Live() == nil {
		return false
	}
	a := j.Live()
	decided := !j.CancelRequestedAt.IsZero() || stops(j, a)
	return decided && a.TaskARN != "" && a.Status != jobs.AttemptStopping
}

// checkFirm checks that the save after a firm refusal does not leave the launch as it was.
func (w *World) checkFirm(p *process, after *jobs.Job) {
	if !p.owes.firm || p.owes.jobID != after.JobID {
		return
	}
	p.owes.firm = false
	if a := after.Live(); a != nil && a.TaskARN == "" && !a.Internal.LaunchedAt.IsZero() && a.Launches == p.owes.number &&
		a.Launches == w.launchNumber(jobs.StartedBy(runner, after.JobID, a.Number)) {
		w.fail("a firm refusal is believed", after.JobID, "%s", brief(after))
	}
}

// lastCall is the save before the latest RunTask of the live attempt.
func lastCall(j *jobs.Job) jobs.Time {
	if j == nil || j.Live() == nil {
		return jobs.Time{}
	}
	return j.Live().Internal.CalledAt
}

// checkPaid checks an invocation, or one item of it, that has ended well.
func (p *process) checkPaid() {
	if p.owes.launch.stands(p.w) {
		p.w.fail("an intent is saved by who acts", p.owes.launch.jobID, "%s has saved that it calls RunTask, and has not", p.name)
	}
	if p.owes.stop.stands(p.w) {
		p.w.fail("a task that is to stop is stopped at once", p.owes.stop.jobID, "%s has not called StopTask", p.name)
	}
	if p.owes.news.stands(p.w) {
		p.w.fail("news are published at once", p.owes.news.jobID, "%s has not called PutEvents", p.name)
	}
	if p.owes.again != "" {
		p.w.fail("a failed call is made again soon", p.owes.again, "%s leaves it to the due time", p.name)
	}
	p.owes = debts{}
}

// stops reports whether a clock's stop stands, as far as the job knows: news of a start take one back.
func stops(j *jobs.Job, a *jobs.Attempt) bool {
	return a.Internal.StopCause != "" && !refuted(j, a, a.StartedAt.Time)
}

// refuted reports whether a start shows that a stop for not having started was wrong.
func refuted(j *jobs.Job, a *jobs.Attempt, started time.Time) bool {
	inTime := a.Internal.StopCause == jobs.StopNotRunning ||
		a.Internal.StopCause == jobs.StopStartClock && started.Before(j.Internal.ReadyAt.Time.Add(j.Request.Timeout.StartWithin()))
	return !started.IsZero() && inTime
}
