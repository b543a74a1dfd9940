//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// tenth matches the jobs that work on Spot until they are interrupted: those whose ids end in 0.
const tenth = `*"0 FARGATE_SPOT"`

func TestAJobThatSpotTakesAwayEndsOnDemand(t *testing.T) {
	t.Parallel()
	d := deploy(t, "127.0.0.1", tenth)
	d.serve(t)
	began := time.Now()
	d.send(t, request(`"jobName": "one", "jobId": "one-0"`))
	d.reclaim(t)
	eventually(t, 2*visibility, "the job has ended", func() bool { j := d.job(t, "one-0"); return j != nil && j.Ended() })
	t.Logf("from the queue to its end, with an interruption: %v", time.Since(began))
	d.quiet(t)

	want := []string{
		"start one-0 1 FARGATE_SPOT", "end one-0 1 FARGATE_SPOT", "start one-0 2 FARGATE", "end one-0 2 FARGATE",
	}
	if diff := cmp.Diff(want, d.runs(t)); diff != "" {
		t.Errorf("what the tasks wrote (-want +got):\n%s", diff)
	}
	d.checkInterrupted(t, d.stored(t, "one-0"))
	if n := len(d.bus.published("one-0")); n != 2 {
		t.Errorf("the job was published %d times", n)
	}
}

// checkInterrupted fails unless the job ran on Spot, was interrupted, succeeded on-demand, and both was published.
func (d *deployment) checkInterrupted(t *testing.T, j *jobs.Job) {
	t.Helper()
	type attempt struct {
		Provider jobs.CapacityProvider
		Cause    jobs.Cause
		ExitCode int
		Launches int
	}
	var got []attempt
	for _, a := range j.Attempts {
		got = append(got, attempt{a.CapacityProvider, a.Cause, aws.ToInt(a.ExitCode), a.Launches})
		if a.InterruptedAt.IsZero() != (a.Cause != jobs.CauseSpotInterruption) {
			t.Errorf("job %s: attempt %d was interrupted at %v", j.JobID, a.Number, a.InterruptedAt)
		}
	}
	want := []attempt{
		{jobs.FargateSpot, jobs.CauseSpotInterruption, 143, 1}, {jobs.FargateOnDemand, jobs.CauseSucceeded, 0, 1},
	}
	if diff := cmp.Diff(want, got); diff != "" || j.Status != jobs.StatusSucceeded {
		t.Errorf("job %s is %s; its attempts (-want +got):\n%s", j.JobID, j.Status, diff)
	}
	told := map[string]bool{}
	for _, document := range d.bus.published(j.JobID) {
		last := document.Attempts[len(document.Attempts)-1]
		told[string(document.Status)+" "+string(last.Cause)] = true
	}
	// The interruption and the end, each at least once: told again after a death, an interruption shows the job as it is then.
	if !told["SUCCEEDED SUCCEEDED"] || len(told) < 2 {
		t.Errorf("job %s was published as %v", j.JobID, slices.Sorted(maps.Keys(told)))
	}
}

func TestNothingIsLostOrDoubledWhenDynamoDBIsKilled(t *testing.T) {
	t.Parallel()
	storm(t, paced, func(d *deployment) { d.dynamo.outage() })
}

func TestNothingIsLostOrDoubledWhenECSIsKilled(t *testing.T) {
	t.Parallel()
	storm(t, paced, func(d *deployment) { d.ecs.outage() }, "--inject", "lost-answer:20,duplicate-event,throttle:20")
}

// No job waits for its turn here, so the sweep launches none: what dies with a message is done anew when the message comes back,
// but what dies with a sweep is nobody's until its job is due, in ten to fifteen minutes. The simulation has the time for that.
func TestNothingIsLostOrDoubledWhenTheFunctionsAreKilled(t *testing.T) {
	t.Parallel()
	storm(t, unpaced, func(d *deployment) {
		for range 5 {
			d.killFunctions(t)
			time.Sleep(500 * time.Millisecond) // new ones are at work by then
		}
	})
}

// many is how many jobs a storm has; every tenth is interrupted.
const many = 500

// Launches a second of one instance of a function.
const (
	paced   = "5" // most jobs of a storm wait for their turn
	unpaced = "1000"
)

// storm sends many jobs, has a disaster happen in the middle, and checks each job once all have ended.
func storm(t *testing.T, launches string, disaster func(*deployment), flags ...string) {
	t.Helper()
	d := deploy(t, "127.0.0.1", tenth, flags...)
	d.env["SPOTBATCH_LAUNCHES_PER_SECOND"] = launches
	d.serve(t)
	var requests, ids []string
	for i := range many {
		ids = append(ids, fmt.Sprintf("storm-%03d", i))
		requests = append(requests, request(fmt.Sprintf(`"jobName": "storm", "jobId": %q`, ids[i])))
	}
	began := time.Now()
	d.send(t, requests...)
	d.reclaim(t)

	ended := func() int { return strings.Count(strings.Join(d.runs(t), "\n"), "end ") }
	eventually(t, 3*time.Minute, "a third of the tasks has ended", func() bool { return ended() >= many/3 })
	t.Logf("the disaster comes %v after the first message, when %d tasks have ended", time.Since(began), ended())
	disaster(d)

	live := ids
	defer func() { d.explain(t, live) }()
	eventually(t, 4*time.Minute, "all jobs have ended", func() bool {
		live = slices.DeleteFunc(live, func(id string) bool { j := d.job(t, id); return j != nil && j.Ended() })
		return len(live) == 0
	})
	mapped, _ := os.ReadFile(d.mappingLog()) // only told
	t.Logf("%d jobs, a tenth of them interrupted, %d batches and sweeps that failed: %v", many, bytes.Count(mapped, []byte{'\n'}), time.Since(began))
	d.quiet(t)
	d.checkStorm(t)
	d.checkTasks(t)
}

// explain tells of the first jobs that have not ended: how they are stored, what their tasks and the functions wrote of them.
func (d *deployment) explain(t *testing.T, live []string) {
	t.Helper()
	for _, id := range live[:min(3, len(live))] {
		stored, err := json.Marshal(d.job(t, id))
		if err != nil {
			t.Error(err)
		}
		told := strings.Split(d.lambda.Log("submit")+d.lambda.Log("watch")+strings.Join(d.runs(t), "\n"), "\n")
		told = slices.DeleteFunc(told, func(line string) bool { return !strings.Contains(line, id) })
		t.Logf("%d jobs have not ended, job %s among them:\n%s\n%s", len(live), id, stored, strings.Join(told, "\n"))
	}
}

// reclaim has Spot take away the tasks of every tenth job once they have told that they began, until the test ends.
func (d *deployment) reclaim(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.Cleanup(func() {
		stop()
		<-ended
	})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			tasks, err := tasksOf(ctx, d.cluster, types.DesiredStatusRunning)
			if err != nil && ctx.Err() == nil {
				t.Errorf("list tasks: %v", err)
			}
			runs := d.runs(t)
			for _, task := range tasks {
				jobID, attempt, _ := spot.Owner("integration", aws.ToString(task.StartedBy))
				if strings.HasSuffix(jobID, "0") && slices.Contains(runs, fmt.Sprintf("start %s %d FARGATE_SPOT", jobID, attempt)) {
					_ = d.cluster.Interrupt(ctx, *task.TaskArn) // it may be about to stop: the next look tells
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
}

// checkStorm fails unless every job succeeded, those of every tenth number on-demand after an interruption and the others at
// their first attempt, and unless the tasks themselves wrote down one run for each attempt, never two at a time.
func (d *deployment) checkStorm(t *testing.T) {
	t.Helper()
	var want []string
	for i := range many {
		id := fmt.Sprintf("storm-%03d", i)
		j := d.stored(t, id)
		want = append(want, "start "+id+" 1 FARGATE_SPOT", "end "+id+" 1 FARGATE_SPOT")
		if i%10 == 0 {
			want = append(want, "start "+id+" 2 FARGATE", "end "+id+" 2 FARGATE")
			d.checkInterrupted(t, j)
			continue
		}
		if j.Status != jobs.StatusSucceeded || len(j.Attempts) != 1 {
			t.Errorf("job %s is %s (%s) after %d attempts", id, j.Status, j.StatusReason, len(j.Attempts))
		}
		if len(d.bus.published(id)) == 0 {
			t.Errorf("the end of job %s was not published", id)
		}
	}
	got := d.runs(t)
	slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(strings.Fields(a)[1], strings.Fields(b)[1]) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the tasks wrote, by job, in the order in which they wrote it (-want +got):\n%s", diff)
	}
}

// checkTasks fails unless the stand-in has made one task for each attempt, and none runs any more.
func (d *deployment) checkTasks(t *testing.T) {
	t.Helper()
	running, err := tasksOf(t.Context(), d.cluster, types.DesiredStatusRunning)
	if err != nil || len(running) > 0 {
		t.Errorf("%d tasks still run: %v", len(running), err)
	}
	stopped, err := tasksOf(t.Context(), d.cluster, types.DesiredStatusStopped)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]int{}
	for _, task := range stopped {
		made[aws.ToString(task.StartedBy)]++
	}
	for startedBy, n := range made {
		if n != 1 {
			t.Errorf("%d tasks were started by %s", n, startedBy)
		}
	}
	if want := many + many/10; len(made) != want {
		t.Errorf("there are tasks of %d attempts, want %d", len(made), want)
	}
}
