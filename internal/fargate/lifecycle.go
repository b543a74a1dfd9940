package fargate

import (
	"fmt"
	"hash/crc32"
	"syscall"
	"time"
)

// ECS's names for what one may see of a task.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
const (
	statusProvisioning   = "PROVISIONING"
	statusPending        = "PENDING"
	statusRunning        = "RUNNING"
	statusStopping       = "STOPPING"
	statusDeprovisioning = "DEPROVISIONING"
	statusStopped        = "STOPPED"
)

// Why tasks stop, in ECS's words.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
const (
	stopFailedToStart   = "TaskFailedToStart"
	stopContainerExited = "EssentialContainerExited"
	stopUser            = "UserInitiated"
	stopSpot            = "SpotInterruption"

	reasonContainerExited = "Essential container in task exited"
	reasonStoppedByUser   = "Task stopped by user"
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
	reasonSpot         = "Your Spot Task was interrupted."
	reasonNoInterface  = "Timeout waiting for network interface provisioning to complete."
	reasonExecutorDied = "Task lost: the supervisor of its containers died, and nobody knows how they ended"
)

const (
	// spotNotice is how long Spot leaves a task after the notice.
	spotNotice = 2 * time.Minute
	// stopTimeoutDefault and its bounds are Fargate's.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
	stopTimeoutDefault = 30 * time.Second
	stopTimeoutMin     = 2
	stopTimeoutMax     = 120
	// stoppedTasksKept is how long ECS shows a stopped task.
	stoppedTasksKept = time.Hour
)

// The transitions. Each is a fact that has become known; each leaves a stopped task, and a fact already known, alone.
// None does any I/O: they change the task in memory, and save stores it with the events that they gave rise to.

// pulling: the executor is being asked to start it.
func (t *task) pulling(now time.Time) {
	if t.LastStatus != statusProvisioning {
		return
	}
	t.Connectivity, t.ConnectivityAt, t.PullStartedAt = "CONNECTED", instant(now), instant(now)
	t.moved(statusPending, now)
}

// started: its containers run.
func (t *task) started(now time.Time) {
	t.pulling(now)
	if t.LastStatus != statusPending {
		return
	}
	t.PullStoppedAt, t.StartedAt = instant(now), instant(now)
	for i := range t.Containers {
		c := &t.Containers[i]
		c.LastStatus = statusRunning
		c.RuntimeID = fmt.Sprintf("%s-%010d", t.id, crc32.ChecksumIEEE([]byte(c.Name)))
	}
	t.began = true
	t.moved(statusRunning, now)
	t.emit()
}

// failedToStart: it has not run and never will.
func (t *task) failedToStart(now time.Time, reason, containerReason string) {
	if t.phase == phaseStopped {
		return
	}
	t.stopping(now, stopFailedToStart, reason)
	for i := range t.Containers {
		t.Containers[i].Reason = containerReason
	}
	t.stopped(now)
}

// stopRequested: StopTask was called.
func (t *task) stopRequested(now time.Time, reason string) {
	if t.DesiredStatus == statusStopped {
		return
	}
	if reason == "" {
		reason = reasonStoppedByUser
	}
	t.stopping(now, stopUser, reason)
	t.tags = "" // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html says so
	switch {
	case t.phase == phaseWaiting:
		t.stopped(now)
	case t.LastStatus == statusRunning:
		t.moved(statusRunning, now)
		t.emit()
	default:
		t.moved(t.LastStatus, now)
	}
}

// reclaimed: Spot wants the capacity back. This is the notice; the end follows when the containers have exited.
func (t *task) reclaimed(now time.Time) {
	if t.DesiredStatus == statusStopped || t.LastStatus != statusRunning {
		return
	}
	t.stopping(now, stopSpot, reasonSpot)
	t.moved(statusRunning, now)
	t.emit()
}

// neverStarted: it was to stop before the executor was asked to start it, or while it was being started.
func (t *task) neverStarted(now time.Time) {
	if t.phase != phaseStopped && t.DesiredStatus == statusStopped {
		t.stopped(now)
	}
}

// exited: one of its containers has. essential says whether that ends the task.
func (t *task) exited(now time.Time, exit ContainerExit, essential bool) {
	if t.phase == phaseStopped {
		return
	}
	t.started(now) // an exit may be known before Start has returned
	c := t.container(exit.Container)
	if c == nil || c.LastStatus == statusStopped {
		return
	}
	c.LastStatus, c.Reason = statusStopped, exit.Reason
	if exit.ExitCode != nil {
		c.ExitCode = new(int32(*exit.ExitCode))
	}
	t.changed = true
	over := !t.containersRun()
	if over {
		// ECS has whole seconds here.
		t.ExecutionStoppedAt = new(exit.At.UTC().Truncate(time.Second))
	}
	if (essential || over) && t.DesiredStatus != statusStopped {
		if exit.ExitCode == nil {
			t.stopping(now, "", reasonExecutorDied)
		} else {
			t.stopping(now, stopContainerExited, reasonContainerExited)
		}
		if !over {
			t.moved(statusStopping, now)
		}
	}
	if over {
		t.stopped(now)
	}
}

// lost: it ran, and how it ended is not known. A stop that was under way stays the reason.
func (t *task) lost(now time.Time) {
	if t.phase == phaseStopped {
		return
	}
	t.started(now)
	if t.DesiredStatus != statusStopped {
		t.stopping(now, "", reasonExecutorDied)
	}
	t.ExecutionStoppedAt = new(now.UTC().Truncate(time.Second))
	t.stopped(now)
}

// termSent: the containers have been told to stop.
func (t *task) termSent(at time.Time) {
	if t.phase == phaseHanded && t.termAt.IsZero() {
		t.termAt, t.changed = at, true
	}
}

// stopping sets what is known from the moment that the task is to stop.
func (t *task) stopping(now time.Time, code, reason string) {
	t.DesiredStatus, t.StoppingAt, t.StopCode, t.StoppedReason = statusStopped, instant(now), code, reason
	t.changed = true
}

// stopped is the end of every task.
func (t *task) stopped(now time.Time) {
	for i := range t.Containers {
		t.Containers[i].LastStatus = statusStopped
	}
	t.moved(statusDeprovisioning, now)
	t.moved(statusStopped, now)
	t.StoppedAt = instant(now)
	t.phase, t.attention, t.reclaimAt = phaseStopped, false, time.Time{}
	t.emit()
}

// moved is a state change that ECS numbers.
func (t *task) moved(status string, now time.Time) {
	t.LastStatus = status
	t.Version++
	t.UpdatedAt = *instant(now)
	t.changed = true
}

// emit keeps the task as it is now for the outbox. Only RUNNING and STOPPED are for it: the deployment's EventBridge
// rule matches no others.
func (t *task) emit() { t.emitted = append(t.emitted, encodeJSON(t.detail)) }

// containersRun tells whether any container still does.
func (t *task) containersRun() bool {
	for i := range t.Containers {
		if t.Containers[i].LastStatus != statusStopped {
			return true
		}
	}
	return false
}

// expired tells whether ECS would not show it any more.
func (t *task) expired(now time.Time) bool {
	return t.phase == phaseStopped && now.Sub(*t.StoppedAt) > stoppedTasksKept
}

// demand is what must be done now about a task that runs, and when to look again (zero: when something happens).
type demand struct {
	reclaim bool           // the moment of its interruption has come
	signals []signalDemand // to be sent now
	again   time.Time
}

type signalDemand struct {
	container string // "" = all
	signal    syscall.Signal
}

// demands derives the next step from the task alone, so that it is the same after a crash.
func (t *task) demands(spec TaskSpec, opts *Options, now time.Time) (d demand) {
	if t.phase != phaseHanded || t.StartedAt == nil {
		return d
	}
	if t.DesiredStatus != statusStopped {
		if !t.reclaimAt.IsZero() {
			d.reclaim, d.again = !now.Before(t.reclaimAt), t.reclaimAt
		}
		return d
	}
	if t.termAt.IsZero() {
		d.signals = []signalDemand{{"", syscall.SIGTERM}}
		return d
	}
	for _, c := range spec.Containers {
		if known := t.container(c.Name); known == nil || known.LastStatus == statusStopped {
			continue
		}
		kill := t.killAt(c.StopTimeout, opts)
		if !now.Before(kill) {
			d.signals = append(d.signals, signalDemand{c.Name, syscall.SIGKILL})
		} else if d.again.IsZero() || kill.Before(d.again) {
			d.again = kill
		}
	}
	return d
}

// killAt is when a container that was told to stop is killed. stopTimeout is scaled already. Spot's two minutes count from
// SIGTERM too: a reclaim may have been asked for while no engine ran, and takes nobody's time to save what he has.
func (t *task) killAt(stopTimeout time.Duration, opts *Options) time.Time {
	if t.StopCode == stopSpot {
		stopTimeout = min(stopTimeout, opts.scaled(spotNotice))
	}
	return t.termAt.Add(stopTimeout)
}

// instant is a time as ECS writes it: UTC, milliseconds.
func instant(at time.Time) *time.Time { return new(at.UTC().Truncate(time.Millisecond)) }
