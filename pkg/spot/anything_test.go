package spot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// TestNothingThatMayBeObservedBreaksAJob applies whatever may be told of a job, true or not, in any order: answers to any call, states
// of any task of any attempt, MISSING, lists without a task, cancels, and time. Each save passes jobs.Check, an end is final, and
// what is not ignored leaves a job that has a next step or a time at which it will.
func TestNothingThatMayBeObservedBreaksAJob(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := gossip{t, AWSTimes(), noon}
		j := newJob(func(j *jobs.Job) {
			j.Request.Capacity.Strategy = rapid.SampledFrom([]jobs.Strategy{jobs.SpotThenOnDemand, jobs.SpotOnly, jobs.OnDemand}).Draw(t, "strategy")
			j.Request.Capacity.SpotAttempts = rapid.IntRange(1, 10).Draw(t, "spotAttempts")
			j.Request.RetryStrategy.Attempts = rapid.IntRange(1, 10).Draw(t, "attempts")
			j.Request.Timeout = jobs.Timeout{AttemptDurationSeconds: 600, StartWithinSeconds: 1200, TotalSeconds: 7200}
		})
		j.Internal.ReadyAt = jobs.At(noon)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			g.now = g.now.Add(time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second)
			before := j.Clone()
			seen := g.observe(j)
			if diff := cmp.Diff(before, j); !seen.Changed && diff != "" {
				t.Fatalf("what was ignored (%s) has changed the job (-before +after):\n%s", seen.Ignored, diff)
			}
			g.act(j)
			at := g.moment()
			j.Internal.DueAt = Due(j, g.times, at)
			if err := jobs.Check(before, j); err != nil {
				t.Fatal(err)
			}
			if next := Next(j, g.now, g.times); !j.Ended() && (next == StepNone || next == StepDescribe) && !j.Internal.DueAt.After(g.now) {
				t.Fatalf("nothing is to do, and it is due at %v: %s", j.Internal.DueAt, j.StatusReason)
			}
			if j.StatusReason == "" {
				t.Fatalf("a %s job without a reason", j.Status)
			}
		}
	})
}

// gossip draws what is told of a job.
type gossip struct {
	t     *rapid.T
	times Times
	now   time.Time
}

func (g *gossip) moment() Moment {
	return Moment{Now: g.now, Roll: rapid.Float64Range(0, 0.999).Draw(g.t, "roll")}
}

// observe applies one thing that may be told.
func (g *gossip) observe(j *jobs.Job) Seen {
	at := g.moment()
	switch rapid.SampledFrom([]string{"answer", "task", "look", "missing", "no task", "cancel", "time"}).Draw(g.t, "what") {
	case "answer":
		return Answered(j, g.call(), g.answer(), g.times, at)
	case "task":
		return TaskSeen(j, g.number(), g.task(), at)
	case "look":
		return TaskLooked(j, g.number(), g.task(), g.now.Add(-time.Minute), g.times, at)
	case "missing":
		return TaskMissing(j, g.arn(), g.times, at)
	case "no task":
		return NoTaskFound(j, g.call(), g.times, at)
	case "cancel":
		if j.Ended() {
			return ignored("the job has ended")
		}
		j.RequestCancel("", g.now)
	}
	return Seen{Changed: true}
}

// act carries out what only changes the job, and the intent of what calls.
func (g *gossip) act(j *jobs.Job) {
	switch Next(j, g.now, g.times) {
	case StepEnd:
		EndUnstarted(j, g.times, g.moment())
	case StepDecideStop:
		j.DecideStop(ClockOver(j, g.now, g.times))
	case StepBegin:
		j.BeginAttempt(Provider(j), g.now)
	case StepRelaunch:
		j.Relaunch(g.now)
	case StepCallAgain:
		if rapid.Bool().Draw(g.t, "turn") {
			j.WaitForTurn(g.now.Add(time.Minute))
		} else {
			j.CallAgain(g.now)
		}
	}
}

func (g *gossip) number() int { return rapid.IntRange(1, 4).Draw(g.t, "number") }

func (g *gossip) call() Call {
	return Call{Attempt: g.number(), Launch: g.number(), Number: g.number()}
}

func (g *gossip) arn() string {
	return rapid.SampledFrom([]string{"arn:task/1", "arn:task/2", "arn:task/3"}).Draw(g.t, "arn")
}

// refusalCauses are those that pkg/spot/ecs gives a refusal; "" is a token that made no task.
var refusalCauses = []jobs.Cause{
	"", jobs.CauseNoCapacity, jobs.CauseQuota, jobs.CauseSubnetFull, jobs.CauseDeploymentFault, jobs.CausePlatformFailure, jobs.CauseLaunchRejected,
}

func (g *gossip) answer() Answer {
	return Answer{
		Kind:   rapid.SampledFrom([]AnswerKind{AnswerNone, AnswerThrottled, AnswerRefused, AnswerTask}).Draw(g.t, "kind"),
		Cause:  rapid.SampledFrom(refusalCauses).Draw(g.t, "cause"),
		Reason: "reason", Firm: rapid.Bool().Draw(g.t, "firm"), TaskARN: g.arn(),
	}
}

func (g *gossip) task() Task {
	task := Task{
		ARN: g.arn(), Version: int64(g.number()), SeenAt: g.now,
		LastStatus:    rapid.SampledFrom([]string{"PROVISIONING", "PENDING", taskRunning, "DEPROVISIONING", taskStopped, "?"}).Draw(g.t, "lastStatus"),
		DesiredStatus: rapid.SampledFrom([]string{taskRunning, taskStopped}).Draw(g.t, "desiredStatus"),
		StopCode:      rapid.SampledFrom([]string{"", stopTaskFailedToStart, stopEssentialExited, stopUserInitiated, stopSpot, "?"}).Draw(g.t, "stopCode"),
		StoppedReason: rapid.SampledFrom([]string{"", spotReason, "Capacity is unavailable at this time.", "CannotPullContainerError: denied"}).Draw(g.t, "reason"),
	}
	for _, at := range []*time.Time{&task.StartedAt, &task.StoppingAt, &task.ExecutionStoppedAt, &task.StoppedAt} {
		if rapid.Bool().Draw(g.t, "told") {
			*at = g.now.Add(time.Duration(rapid.IntRange(-3600, 60).Draw(g.t, "when")) * time.Second)
		}
	}
	if rapid.Bool().Draw(g.t, "exited") {
		task.Containers = []Container{{Name: "main", ExitCode: exit(rapid.SampledFrom([]int{0, 1, 137, 143}).Draw(g.t, "code"))}}
	}
	return task
}
