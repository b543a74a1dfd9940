package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const plain = `{"jobId":"job-0","jobName":"report","taskDefinition":"job","timeout":{"attemptDurationSeconds":1200}}`

// useCase is one use case with all that belongs to it, in a world where nothing else goes wrong.
type useCase struct {
	request Request
	fates   []fate // of the attempts, in order; the last holds for all that follow
	spells  []Spell
	fault   Fault // that always happens until the chaos is over; 0 = none, for MessageTwice is not asked for
	want    []string
}

var (
	succeeds    = fate{startsIn: 30 * time.Second, lasts: 5 * time.Minute, code: exit(0), onTerm: exit(143), stopIn: time.Second}
	fails       = fate{startsIn: 30 * time.Second, lasts: time.Minute, code: exit(3)}
	runsOn      = fate{startsIn: 30 * time.Second, forever: true, onTerm: exit(143), stopIn: time.Second}
	interrupted = fate{
		startsIn: 30 * time.Second, lasts: time.Hour, taken: true, spotIn: time.Minute, onTerm: exit(143),
		stopIn: time.Second, notice: "SpotInterruption",
	}
	startFails = fate{startsIn: 30 * time.Second, startErr: startErrors[0].value.reason, cause: startErrors[0].value.cause}
	noImage    = fate{startsIn: 30 * time.Second, startErr: startErrors[3].value.reason, cause: startErrors[3].value.cause}
)

const (
	oneSuccess = "SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED"
	cancelled  = "CANCELLED CANCELLED"
)

var useCases = map[string]useCase{
	"submit through the queue": {request: Request{Body: plain}, fates: []fate{succeeds}, want: []string{oneSuccess}},
	"submit directly": {
		request: Request{Body: plain, JobID: "job-0", Direct: true}, fates: []fate{succeeds},
		want: []string{oneSuccess},
	},
	"reject": {
		request: Request{Body: `{"jobId":"job-0","jobName":"!","taskDefinition":"job"}`},
		want:    []string{"FAILED REQUEST_REJECTED"},
	},
	"interruption": {
		request: Request{Body: plain}, fates: []fate{interrupted, succeeds},
		want: []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT SPOT_INTERRUPTION; 2 FARGATE SUCCEEDED"},
	},
	"no Spot capacity": {
		request: Request{Body: plain}, fates: []fate{succeeds}, spells: []Spell{{NoSpot, 0, time.Hour, 1}},
		want: []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT NO_CAPACITY; 2 FARGATE SUCCEEDED"},
	},
	"no capacity at all for a while": {
		request: Request{Body: plain}, fates: []fate{succeeds},
		spells: []Spell{{NoSpot, 0, time.Hour, 1}, {NoOnDemand, 0, 8 * time.Minute, 1}},
		want:   []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT NO_CAPACITY; 2 FARGATE SUCCEEDED"},
	},
	"the job's own failure": {
		request: Request{Body: `{"jobId":"job-0","jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":2}}`},
		fates:   []fate{fails, succeeds},
		want:    []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT EXIT_NONZERO; 2 FARGATE_SPOT SUCCEEDED"},
	},
	"the platform's failure": {
		request: Request{Body: plain}, fates: []fate{startFails, succeeds},
		want: []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT PLATFORM_FAILURE; 2 FARGATE_SPOT SUCCEEDED"},
	},
	"a start that the user must mend": {
		request: Request{Body: plain}, fates: []fate{noImage}, want: []string{"FAILED START_FAILED; 1 FARGATE_SPOT START_FAILED"},
	},
	"the attempt's clock": {
		request: Request{Body: plain}, fates: []fate{runsOn}, want: []string{"FAILED TIMED_OUT; 1 FARGATE_SPOT TIMED_OUT"},
	},
	"cancel of a running job": {
		request: Request{Body: plain, JobID: "job-0", CancelAt: 3 * time.Minute}, fates: []fate{runsOn},
		want: []string{
			cancelled + "; 1 FARGATE_SPOT CANCELLED",
			"FAILED TIMED_OUT; 1 FARGATE_SPOT TIMED_OUT",
		}, // it came before the job
	},
	"cancel of a job that is being launched": {
		request: Request{
			Body: plain, JobID: "job-0",
			CancelAt: time.Second,
		}, fates: []fate{runsOn}, spells: []Spell{{AnswersLost, 0, 10 * time.Minute, 1}},
		want: []string{cancelled + "; 1 FARGATE_SPOT CANCELLED", "FAILED TIMED_OUT; 1 FARGATE_SPOT TIMED_OUT"},
	},
	"cancel of a job that waits": {
		request: Request{Body: plain, JobID: "job-0", CancelAt: 10 * time.Minute}, fates: []fate{succeeds},
		spells: []Spell{{NoSpot, 0, time.Hour, 1}, {NoOnDemand, 0, time.Hour, 1}},
		want:   []string{cancelled + "; 1 FARGATE_SPOT NO_CAPACITY; 2 FARGATE CANCELLED"},
	},
	"retry": {
		request: Request{Body: plain, JobID: "job-0", RetryAt: 40 * time.Minute}, fates: []fate{succeeds},
		want: []string{oneSuccess + " | " + oneSuccess},
	},
	"every event lost": {
		request: Request{Body: plain}, fates: []fate{interrupted, succeeds}, spells: []Spell{{EventsGone, 0, 2 * time.Hour, 1}},
		want: []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT SPOT_INTERRUPTION; 2 FARGATE SUCCEEDED"},
	},
	"every answer of RunTask lost": {
		request: Request{Body: plain}, fates: []fate{succeeds}, spells: []Spell{{
			AnswersLost, 0, 2 * time.Hour,
			1,
		}}, want: []string{oneSuccess},
	},
	"answers and events lost, and the launch settled": {
		request: Request{Body: plain}, fates: []fate{{startsIn: time.Minute, lasts: 50 * time.Minute, code: exit(0)}},
		spells: []Spell{{AnswersLost, 0, 2 * time.Hour, 1}, {EventsGone, 0, 2 * time.Hour, 1}},
		want: []string{
			"FAILED TIMED_OUT; 1 FARGATE_SPOT TIMED_OUT",
			oneSuccess,
		}, // its clock is over when it is found, or it has ended
	},
	"ECS down": {
		request: Request{Body: plain}, fates: []fate{succeeds}, spells: []Spell{{
			ECSDown, 0, 20 * time.Minute,
			1,
		}}, want: []string{oneSuccess},
	},
	"a launch rate that is used up": {
		request: Request{Body: plain}, fates: []fate{succeeds}, fault: RunThrottled,
		want: []string{oneSuccess},
	},
	"publications fail": {
		request: Request{Body: plain}, fates: []fate{interrupted, succeeds},
		fault: PublishFails, want: []string{"SUCCEEDED SUCCEEDED; 1 FARGATE_SPOT SPOT_INTERRUPTION; 2 FARGATE SUCCEEDED"},
	},
}

// TestEveryUseCaseSurvivesADeathAtEachOfItsCalls kills an invocation before and after each single call of a use case, and lets
// the world go on: the invariants hold, the books balance, and the job ends as it would have.
func TestEveryUseCaseSurvivesADeathAtEachOfItsCalls(t *testing.T) {
	t.Parallel()
	for name, c := range useCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := c.live(t, 0, false)
			for at := 1; at <= calls; at++ {
				c.live(t, at, false)
				c.live(t, at, true)
			}
			t.Logf("%d calls, each the last of an invocation once before and once after it took effect", calls)
		})
	}
}

// live lets the use case happen and returns how many calls it took.
func (c useCase) live(t *testing.T, killAt int, after bool) int {
	t.Helper()
	p := Plan{
		Seed: 1, Chaos: 70 * time.Minute, Requests: []Request{c.request}, Spells: c.spells, KillAt: killAt, KillAfter: after,
		LaunchBurst: 100, LaunchRate: 20, Quota: 1000, Concurrency: 2, LaunchesPerSecond: 2,
		Fate: func(_ dice, _ string, attempt int, _ bool, _ time.Duration) fate {
			return c.fates[min(attempt, len(c.fates))-1]
		},
	}
	if c.fault != 0 {
		p.Chaos, p.Strength[c.fault] = 4*time.Minute, 1
	}
	w := newWorld(p)
	w.live()
	if w.violation != nil {
		t.Errorf("killed at call %d, after it: %v: %v\n%v", killAt, after, w.violation, RunTraced(p, w.violation.JobID).Trace)
		return w.calls
	}
	if got := ends(w); !slices.Contains(c.want, got) {
		t.Errorf("killed at call %d, after it: %v: it ended as\n%s\nwant one of\n%q", killAt, after, got, c.want)
	}
	return w.calls
}

// ends is how the world's jobs ended, in one line.
func ends(w *World) string {
	all := w.table.newestFirst()
	slices.Reverse(all)
	text := ""
	for i, j := range all {
		if i > 0 {
			text += " | "
		}
		text += string(j.Status) + " " + string(j.Cause) + attemptEnds(j)
	}
	return text
}

func attemptEnds(j *jobs.Job) (text string) {
	for _, a := range j.Attempts {
		text += fmt.Sprintf("; %d %s %s", a.Number, a.CapacityProvider, a.Cause)
	}
	return text
}
