package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

const plainRequest = `{"jobName":"report","taskDefinition":"job"}`

func code(n int) *int { return &n }

var (
	succeeds    = taskScript{code: code(0), stopCode: "EssentialContainerExited", reason: "Essential container in task exited"}
	failsWith3  = taskScript{code: code(3), stopCode: "EssentialContainerExited", reason: "Essential container in task exited"}
	interrupted = taskScript{notice: true, code: code(143), stopCode: "SpotInterruption", reason: "Your Spot Task was interrupted."}
	noCapacity  = taskScript{answer: &spot.Answer{
		Kind: spot.AnswerRefused, Cause: jobs.CauseNoCapacity, Reason: "Capacity is unavailable at this time.", Firm: true,
	}}
	noStart = taskScript{stopCode: "TaskFailedToStart", reason: "Timeout waiting for network interface provisioning to complete."}
)

// crashScenario is a whole life of a job, with the one right end.
type crashScenario struct {
	request string
	script  []taskScript
	cancel  bool
	want    string
	tasks   int
	events  int // publications at least
}

var crashScenarios = map[string]crashScenario{
	"a job that succeeds": {
		plainRequest,
		[]taskScript{succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED", 1, 1,
	},
	"a job that Spot interrupts": {
		plainRequest,
		[]taskScript{interrupted, succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SPOT_INTERRUPTION; 2 FARGATE SUCCEEDED", 2, 2,
	},
	"a job for which Spot has no capacity": {
		plainRequest,
		[]taskScript{noCapacity, succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT NO_CAPACITY; 2 FARGATE SUCCEEDED", 1, 1,
	},
	"a job that fails and is retried": {
		`{"jobName":"report","taskDefinition":"job","retryStrategy":{"attempts":2}}`,
		[]taskScript{failsWith3, succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT EXIT_NONZERO; 2 FARGATE_SPOT SUCCEEDED", 2, 1,
	},
	"a job that could not start": {
		plainRequest,
		[]taskScript{noStart, succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT PLATFORM_FAILURE; 2 FARGATE_SPOT SUCCEEDED", 2, 1,
	},
	"a job whose events are all lost": {
		plainRequest,
		[]taskScript{{silent: true, notice: true, code: code(143), stopCode: "SpotInterruption", reason: "Your Spot Task was interrupted."}, succeeds},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SPOT_INTERRUPTION; 2 FARGATE SUCCEEDED", 2, 2,
	},
	"a job whose RunTask answer is lost": {
		plainRequest,
		[]taskScript{{lost: true, silent: true, code: code(0), stopCode: "EssentialContainerExited", reason: "Essential container in task exited"}},
		false,
		"SUCCEEDED; SUCCEEDED; 1 FARGATE_SPOT SUCCEEDED", 1, 1,
	},
	"a job that is cancelled while it runs": {
		plainRequest,
		[]taskScript{{forever: true, code: code(143)}},
		true,
		"CANCELLED; CANCELLED; 1 FARGATE_SPOT CANCELLED", 1, 1,
	},
}

// TestCrashAfterEveryCall kills the process before and after each single call of a job's life, delivers again, and expects
// one job, one task for each attempt, and the same end as without the crash.
func TestCrashAfterEveryCall(t *testing.T) {
	t.Parallel()
	for name, c := range crashScenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls := c.live(t, death{})
			for at := 1; at <= calls; at++ {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprintf("killed at call %d of %d, after it: %v", at, calls, after), func(t *testing.T) {
						t.Parallel()
						c.live(t, death{at: at, after: after})
					})
				}
			}
		})
	}
}

// live plays the life and returns how many calls it took.
func (c crashScenario) live(t *testing.T, d death) int {
	t.Helper()
	w := newWorld(t, c.script...)
	w.death = d
	w.submit("job-1", c.request)
	w.drain()
	if c.cancel {
		w.deliver(func(e *engine.Engine) error {
			_, err := e.Cancel(t.Context(), "job-1", "not needed")
			return err
		})
	}
	w.settleDown()
	j := w.job("job-1")
	if got := summary(j); got != c.want {
		t.Errorf("the job ended as\n%s\nwant\n%s\ncalls: %v", got, c.want, w.ecs.calls)
	}
	if len(w.ecs.tasks) != c.tasks {
		t.Errorf("%d tasks were made, want %d", len(w.ecs.tasks), c.tasks)
	}
	if len(w.published) < c.events {
		t.Errorf("%d events were published, want at least %d", len(w.published), c.events)
	}
	if last := w.published[len(w.published)-1]; last.Status != j.Status {
		t.Errorf("the last event says %s, the job %s", last.Status, j.Status)
	}
	if !j.Internal.DueAt.IsZero() {
		t.Errorf("the job has ended, is published, and is still due at %v", j.Internal.DueAt)
	}
	if i := slices.IndexFunc(w.ecs.tasks, func(t *fakeTask) bool { return t.LastStatus != "STOPPED" }); i >= 0 {
		t.Errorf("task %d still runs", i+1)
	}
	return w.death.calls
}
