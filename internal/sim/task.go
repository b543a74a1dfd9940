package sim

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// task is one ECS task and the truth about it.
type task struct {
	spot.Task // as ECS shows it now
	w         *World
	provider  jobs.CapacityProvider
	jobID     string
	attempt   int
	fate      fate
	turn      int // counts what has happened, so that what was planned before does not happen any more
	states    []state
	// What really happened.
	ran, noticed, byItself, refusedStart bool
	byHand, foreign                      bool       // stopped by a user; started by one
	lost                                 bool       // ECS had forgotten it before anybody asked
	lostAt                               time.Time  // when its attempt was ended for that
	told                                 []*message // tell that it has stopped
	ending                               bool       // its container has ended by itself or with its host, or never began
}

type state struct {
	at   time.Time
	task spot.Task
}

const (
	running = "RUNNING"
	stopped = "STOPPED"
	deleted = "DELETED"
)

// fate is how a task goes if nobody interferes.
type fate struct {
	startsIn time.Duration
	startErr string // it stops before it ran, for this reason
	cause    jobs.Cause
	stuck    bool // it never gets beyond PROVISIONING
	lasts    time.Duration
	forever  bool
	code     *int
	oom      bool
	infra    bool // the platform takes it away
	retired  bool // and says that it is for maintenance
	spotIn   time.Duration
	taken    bool // Spot takes it after spotIn
	// onTerm is what its container exits with at SIGTERM, within stopIn; nil: no exit code is ever told.
	onTerm *int
	stopIn time.Duration
	notice string        // the stopCode of Spot's notice
	shows  time.Duration // for how long ECS shows it once it has stopped; 0 = longer
	gone   time.Duration // for how long it is STOPPED before it is DELETED; 0 = always
}

func exit(code int) *int { return &code }

// drawFate draws how a task goes, with dice of its own: a fault that is taken out changes little of the rest.
func (w *World) drawFate(d dice, onSpot bool) fate {
	f := fate{
		startsIn: d.between(10*time.Second, 90*time.Second), lasts: d.between(time.Second, 40*time.Minute),
		code: exit(0), stopIn: d.between(0, 30*time.Second),
	}
	f.onTerm = pick(d, []weighted[*int]{{5, exit(143)}, {3, exit(137)}, {2, exit(0)}, {1, nil}})
	f.notice = pick(d, []weighted[string]{{5, "SpotInterruption"}, {2, "TerminationNotice"}, {1, ""}})
	hit := func(fault Fault) bool { // one roll each, whatever is on
		if d.Float64() >= w.plan.Strength[fault] || w.calm {
			return false
		}
		w.sometimes("fault: " + fault.String())
		return true
	}
	if hit(ExitsNonzero) {
		f.code, f.oom = exit(1+d.IntN(4)), d.chance(0.2)
		if f.oom {
			f.code = exit(137)
		}
	}
	if hit(PlatformFails) {
		f.infra, f.code = true, pick(d, []weighted[*int]{{1, exit(0)}, {1, exit(143)}, {1, nil}})
	}
	f.forever = hit(RunsOn)
	if hit(ForgetsSoon) {
		f.shows = forgets
	}
	if hit(StopsSlowly) {
		f.stopIn = d.between(30*time.Second, 115*time.Second)
	}
	f.stuck = hit(NeverRuns)
	if taken := hit(Interrupted); taken && onSpot {
		f.taken, f.spotIn = true, d.between(0, f.lasts)
	}
	if hit(StartFails) {
		why := pick(d, startErrors)
		f.startErr, f.cause = why.reason, why.cause
	}
	f.retired = d.chance(0.3)
	if hit(ShowsDeleted) {
		f.gone = d.between(time.Second, 20*time.Minute)
	}
	return f
}

type startError struct {
	reason string
	cause  jobs.Cause
}

// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
var startErrors = []weighted[startError]{
	{5, startError{"Timeout waiting for network interface provisioning to complete.", jobs.CausePlatformFailure}},
	{2, startError{noCapacity, jobs.CauseNoCapacity}},
	{3, startError{subnetFull, jobs.CauseSubnetFull}},
	{1, startError{"CannotPullContainerError: image not found", jobs.CauseStartFailed}},
}

const subnetFull = "Unexpected EC2 error while attempting to create network interface: InsufficientFreeAddressesInSubnet"

// change shows a new state of the task, and tells of it.
func (t *task) change(edit func()) {
	edit()
	t.Version++
	t.states = append(t.states, state{t.w.now, t.Task})
	t.w.note(t.StartedBy, "task %s: %s, to be %s %s %s", jobs.TaskID(t.ARN)[26:], t.LastStatus, t.DesiredStatus, t.StopCode,
		t.StoppedReason)
	t.w.tell(t)
}

// asOf is what a reader sees who is behind; nil if the task was not there yet.
func (t *task) asOf(at time.Time) *spot.Task {
	for i := len(t.states) - 1; i >= 0; i-- {
		if !t.states[i].at.After(at) {
			return &t.states[i].task
		}
	}
	return nil
}

func (t *task) stopped() bool { return t.LastStatus == stopped || t.LastStatus == deleted }

// after plans what happens to the task unless something else happens first.
func (t *task) after(d time.Duration, happens func()) {
	turn := t.turn
	t.w.schedule(t.w.now.Add(d), func() {
		if t.turn == turn {
			happens()
		}
	})
}

// drawn is the task's fate as the seed or the plan says.
func (t *task) drawn() fate {
	w := t.w
	d := newDice(w.plan.Seed, "fate/"+t.StartedBy)
	onSpot := t.provider == jobs.FargateSpot
	var f fate
	if w.plan.Fate != nil {
		f = w.plan.Fate(d, t.jobID, t.attempt, onSpot, w.since())
	} else {
		f = w.drawFate(d, onSpot)
	}
	if w.in(SubnetsFull) {
		f.startErr, f.cause = subnetFull, jobs.CauseSubnetFull
	}
	return f
}

func (t *task) begin(f fate) {
	t.fate = f
	t.CreatedAt = t.w.now
	t.change(func() { t.LastStatus, t.DesiredStatus = "PROVISIONING", running })
	switch {
	case f.stuck:
		return
	case f.startErr != "":
		t.after(f.startsIn, t.startFailed)
	default:
		t.after(f.startsIn/2, func() { t.change(func() { t.LastStatus = "PENDING" }) })
		t.after(f.startsIn, t.run)
	}
}

func (t *task) startFailed() {
	t.turn++
	t.refusedStart, t.ending = true, true
	if t.fate.cause == jobs.CauseNoCapacity && t.provider == jobs.FargateSpot {
		t.w.refusedOnSpot(t.jobID)
	}
	t.StoppingAt = t.w.now
	t.w.refused(t.jobID, t.fate.cause)
	t.wind("TaskFailedToStart", t.fate.startErr, 48*time.Second, nil)
}

func (t *task) run() {
	t.turn++
	f := t.fate
	t.ran = true
	t.change(func() { t.LastStatus, t.StartedAt = running, t.w.now })
	switch {
	case f.taken:
		t.after(min(f.spotIn, f.lasts), t.interrupt)
	case f.forever:
	default:
		t.after(f.lasts, t.exits)
	}
}

// exits is the natural end, or the platform's.
func (t *task) exits() {
	t.turn++
	t.ending = true
	t.ExecutionStoppedAt = t.w.now
	t.StoppingAt = t.w.now
	code, why := "EssentialContainerExited", "Essential container in task exited"
	switch {
	case t.fate.infra && t.fate.retired:
		code, why = "", "ECS is performing maintenance on the underlying infrastructure hosting the task"
	case t.fate.infra:
		code, why = "InfrastructureHealth", "The infrastructure is unhealthy."
	}
	t.byItself = !t.fate.infra
	if t.fate.code == nil {
		t.ExecutionStoppedAt = time.Time{}
	}
	t.wind(code, why, 23*time.Second, t.fate.code)
}

// wind shows the task on its way down, and its end after so long: ECS wants it stopped, and tells how it ended, for some twenty
// seconds before it is STOPPED.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
func (t *task) wind(code, why string, lasts time.Duration, exitCode *int) {
	t.after(0, func() {
		t.change(func() {
			t.LastStatus, t.DesiredStatus, t.StopCode, t.StoppedReason = "DEPROVISIONING", stopped, code, why
			t.Containers = t.container(exitCode)
		})
		t.after(lasts, func() { t.end(code, why, exitCode) })
	})
}

// container is what ECS tells of the job's container once it has ended.
func (t *task) container(exitCode *int) []spot.Container {
	why := ""
	if t.fate.oom && t.byItself {
		why = "OutOfMemoryError: Container killed due to memory usage"
	}
	return []spot.Container{{Name: "main", ExitCode: exitCode, Reason: why}}
}

// interrupt is Spot's: the notice, SIGTERM, and the end within two minutes.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html#fargate-capacity-providers-termination
func (t *task) interrupt() {
	if t.stopped() || t.ending || t.DesiredStatus == stopped {
		return
	}
	t.noticed = true
	t.w.sometimes("Spot takes a task")
	t.terminate(t.fate.notice, "Your Spot Task was interrupted.")
}

// stop is StopTask, by us or by hand; false where the task is ending already.
func (t *task) stop(code, reason string) bool {
	if t.stopped() || t.ending || t.DesiredStatus == stopped {
		return false
	}
	t.terminate(code, reason)
	return true
}

// terminate tells ECS's plan, and has the container end.
func (t *task) terminate(code, reason string) {
	t.turn++
	t.change(func() {
		t.DesiredStatus, t.StopCode, t.StoppedReason, t.StoppingAt = stopped, code, reason, t.w.now
	})
	onTerm := t.fate.onTerm
	if t.LastStatus != running {
		onTerm = nil
	}
	t.after(t.fate.stopIn, func() {
		if onTerm != nil {
			t.ExecutionStoppedAt = t.w.now
		}
		t.wind(code, reason, time.Second+t.fate.stopIn/3, onTerm)
	})
}

func (t *task) end(code, reason string, exitCode *int) {
	t.turn++
	t.change(func() {
		t.LastStatus, t.DesiredStatus, t.StopCode, t.StoppedReason, t.StoppedAt = stopped, stopped, code, reason, t.w.now
		t.Containers = t.container(exitCode)
	})
	t.w.cluster.live[t.provider]--
	if t.fate.gone > 0 {
		t.after(t.fate.gone, func() { t.change(func() { t.LastStatus = deleted }) })
	}
}
