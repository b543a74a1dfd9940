package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// lateECS lets something happen between DescribeTasks' answer and what rests on it.
type lateECS struct {
	*scriptedECS
	meanwhile func()
}

func (s *lateECS) Describe(ctx context.Context, arns []string) ([]spot.Task, []string, error) {
	tasks, missing, err := s.scriptedECS.Describe(ctx, arns)
	s.meanwhile()
	return tasks, missing, err
}

// TestAClockIsDecidedByALookAfterItAlone: a page of a hundred is described at once, and each of its jobs has its turn some time
// later.
func TestAClockIsDecidedByALookAfterItAlone(t *testing.T) {
	t.Parallel()
	run := func(w *world, task *fakeTask, after time.Duration) {
		task.LastStatus, task.StartedAt, task.Version = "RUNNING", start.Add(after), task.Version+1
	}
	for name, c := range map[string]struct {
		startWithin string
		meanwhile   func(w *world)
	}{
		"the task starts in time, after the look": {"900", func(w *world) {
			run(w, w.ecs.tasks[0], 890*time.Second)
			w.now = start.Add(905 * time.Second)
		}},
		"the look was at the task of the attempt before": {"650", func(w *world) {
			w.ecs.stop(w.ecs.tasks[0], "TaskFailedToStart", "Timeout waiting for network interface provisioning to complete.")
			w.observe(w.ecs.tasks[0].Task)
			run(w, w.ecs.tasks[1], 640*time.Second)
			w.now = start.Add(655 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, taskScript{silent: true, pending: true}, taskScript{silent: true, pending: true})
			w.roll = 0 // due after ten minutes; no backoff
			w.submit("job-1", `{"jobName":"report","taskDefinition":"job","timeout":{"startWithinSeconds":`+c.startWithin+`}}`)
			w.now = start.Add(600 * time.Second)
			if err := w.sweepBy(&lateECS{w.ecs, func() { c.meanwhile(w) }}); err != nil {
				t.Fatal(err)
			}
			j := w.job("job-1")
			if n := count(w.ecs.calls, "StopTask"); n > 0 {
				t.Errorf("a task that started in time was stopped: %s", j.StatusReason)
			}
			if wait := j.Internal.DueAt.Sub(w.now); wait > time.Minute {
				t.Errorf("the look that the clock needs comes in %v", wait)
			}
		})
	}
}

// TestNewsDoNotWaitForDescribeTasks: Spot took an attempt when PutEvents failed; now PutEvents is well, and DescribeTasks is away.
func TestNewsDoNotWaitForDescribeTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, interrupted, taskScript{forever: true})
	w.submit("job-1", plainRequest)
	w.mute = true
	w.drain()
	w.mute = false
	w.now = w.now.Add(time.Minute)
	_ = w.sweepBy(&throttledECS{scriptedECS: w.ecs, away: true})
	if n := len(w.published); n != 1 {
		t.Errorf("the interruption was published %d times", n)
	}
}
