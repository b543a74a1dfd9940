package fargate

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// TestAKillAtAnyMomentLosesNothing kills the executing process (its database is gone from one moment to the next, and
// with it everything that was not stored) again and again while tasks run, are stopped and reclaimed.
func TestAKillAtAnyMomentLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { killAgainAndAgain(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func killAgainAndAgain(t *testing.T, random *rand.Rand) {
	w := setup(t, Options{MaxTasks: 4, TimeScale: 10}, func(spec TaskSpec, _ ContainerSpec) Script {
		kind := int(spec.TaskID[0]) % 4
		return Script{RunFor: time.Duration(kind*200) * time.Millisecond, ExitCode: kind, Forever: kind == 3, IgnoreTerm: spec.TaskID[1]%2 == 0}
	})
	w.register(nil)
	var arns []string
	for range 6 {
		for range 5 {
			arns = append(arns, w.run(nil))
		}
		w.killedRun(func() {
			time.Sleep(time.Duration(random.IntN(int(900 * time.Millisecond))))
			arn := arns[random.IntN(len(arns))]
			if random.IntN(2) == 0 {
				_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
			} else {
				_ = w.Interrupt(t.Context(), arn)
			}
			for range random.IntN(4) {
				time.Sleep(time.Duration(random.IntN(int(200 * time.Millisecond))))
			}
		})
	}
	w.start()
	settle(5 * time.Second)
	for _, arn := range arns {
		if task := w.describe(arn); *task.LastStatus == "RUNNING" && *task.DesiredStatus == "RUNNING" {
			_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
		}
	}
	settle(20 * time.Second)
	for range len(arns) { // those that never end by themselves hold the slots of those that wait
		for _, arn := range w.list(&ecs.ListTasksInput{}) {
			_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
		}
		settle(4 * time.Second)
		if counts, _ := w.Live(t.Context()); counts == (Counts{}) {
			break
		}
	}
	w.check(arns)
	if peak := w.executor.Peak(); peak > w.opts.MaxTasks {
		t.Errorf("%d ran at once", peak)
	}
}

// killedRun runs the cluster on a database of its own, and takes that away when during returns.
func (w *world) killedRun(during func()) {
	db, err := sqlitedb.Open(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := Open(w.t.Context(), db, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = c.Run(ctx, w.executor)
		close(done)
	}()
	during()
	_ = db.Close()
	cancel()
	<-done
}

// check holds what must be true of tasks that have all ended.
func (w *world) check(arns []string) {
	w.t.Helper()
	starts := map[string]int{}
	for _, call := range w.executor.Calls() {
		if call.Call == "Start" {
			starts[call.TaskID]++
		}
	}
	events, err := w.unacknowledged(w.t.Context(), 0, 10000)
	if err != nil {
		w.t.Fatal(err)
	}
	ends, last := map[string]string{}, map[string]int64{}
	for _, event := range events {
		var body struct{ Detail json.RawMessage }
		var d detail
		if err := json.Unmarshal(event.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(body.Detail, &d); err != nil {
			w.t.Fatal(err)
		}
		if d.Version <= last[event.TaskID] {
			w.t.Errorf("task %s: version %d came after %d", event.TaskID, d.Version, last[event.TaskID])
		}
		last[event.TaskID] = d.Version
		if d.LastStatus == "STOPPED" {
			ends[event.TaskID] = string(body.Detail)
		}
	}
	for _, arn := range arns {
		t := w.row(lastPart(arn))
		if starts[t.id] > 1 {
			w.t.Errorf("task %s was started %d times", t.id, starts[t.id])
		}
		if t.phase != phaseStopped || ends[t.id] != string(encodeJSON(t.detail)) {
			w.t.Errorf("task %s is %s, and its last event says %s", t.id, encodeJSON(t.detail), ends[t.id])
		}
		if ran := t.StartedAt != nil; ran != (starts[t.id] == 1) || ran != (t.Containers[0].ExitCode != nil) {
			w.t.Errorf("task %s was started %d times and is %s", t.id, starts[t.id], encodeJSON(t.detail))
		}
	}
}
