package sim

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// debts is what an invocation owes the job it works on, as long as nothing fails.
type debts struct {
	call    string // startedBy: its intent is saved, and RunTask must follow
	version int64  // of that save
	wasDue  bool   // its due time had passed: whoever called before may still be at it
	again   string // jobID: a call has failed, and the next save must bring the due time forward
	// firm is a refusal that holds whatever came before: the next save must not leave the launch as it is.
	firm   bool
	jobID  string
	number int
}

// answered notes what RunTask answered.
func (d *debts) answered(w *World, l spot.Launch, answer spot.Answer) {
	d.firm = answer.Kind == spot.AnswerRefused && answer.Firm
	d.jobID, d.number = owner(l.StartedBy), w.launchNumber(l.StartedBy)
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
		p.owes.call, p.owes.version = jobs.StartedBy(runner, after.JobID, after.Live().Number), after.Version
		p.owes.wasDue = before != nil && !before.Internal.DueAt.After(w.now)
	}
	if p.owes.again == after.JobID {
		p.owes.again = ""
		limit := soon
		if after.Ended() { // what has not been published for long is tried ever more seldom
			limit += w.now.Sub(after.StoppedAt.Time) / 2
		}
		if due := after.Internal.DueAt; !due.IsZero() && due.Sub(w.now) > limit {
			w.fail("a failed call is made again soon", after.JobID, "it is due in %v", due.Sub(w.now))
		}
	}
	if p.owes.firm && p.owes.jobID == after.JobID {
		p.owes.firm = false
		if a := after.Live(); a != nil && a.TaskARN == "" && !a.Internal.LaunchedAt.IsZero() && a.Launches == p.owes.number &&
			a.Launches == w.launchNumber(jobs.StartedBy(runner, after.JobID, a.Number)) {
			w.fail("a firm refusal is believed", after.JobID, "%s", brief(after))
		}
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
	// Where somebody else has saved since, it could not tell its save whose answer was lost from theirs.
	if p.owes.call != "" && p.w.table.items[owner(p.owes.call)].Version == p.owes.version {
		p.w.fail("an intent is saved by who acts", owner(p.owes.call), "%s has saved that it calls RunTask for %s, and has not",
			p.name, p.owes.call)
	}
	p.owes = debts{}
}
