package dynamo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// ecs starts every task that it is asked for and answers nothing else: events tell how tasks go on.
type ecs struct{ started []spot.Task }

func (e *ecs) Run(_ context.Context, launch spot.Launch) spot.Answer {
	arn := "arn:aws:ecs:eu-central-1:210987654321:task/studio-batch/" + hexes(32, fmt.Sprint("task", len(e.started)))
	e.started = append(e.started, spot.Task{
		ARN: arn, StartedBy: launch.StartedBy, Version: 1, LastStatus: "PROVISIONING", DesiredStatus: "RUNNING",
	})
	return spot.Answer{Kind: spot.AnswerTask, TaskARN: arn}
}

var errNotAsked = errors.New("the budget has no room for this call")

func (*ecs) Stop(context.Context, string, string) error { return errNotAsked }

func (*ecs) Describe(context.Context, []string) ([]spot.Task, []string, error) {
	return nil, nil, errNotAsked
}

func (*ecs) Find(context.Context, string, string) ([]spot.Task, error) { return nil, errNotAsked }

func (*ecs) TaskDefinition(_ context.Context, name string) (spot.TaskDefinition, error) {
	return spot.TaskDefinition{
		ARN: name, Family: "film-renderer", Revision: 42, Active: true, Fargate: true, CPU: "4096", Memory: "16384",
		ContainerDefs: []spot.ContainerDef{
			{Name: "renderer", Essential: true, LogGroup: "/ecs/film-renderer", LogStreamPrefix: "render"},
		},
	}, nil
}

// publisher counts what the world was told.
type publisher struct{ told int }

func (p *publisher) Publish(context.Context, *jobs.Job) error { p.told++; return nil }

// world is the real engine on a metered table.
type world struct {
	t      *testing.T
	now    time.Time
	ids    int
	ecs    ecs
	told   publisher
	engine *engine.Engine
}

func newWorld(t *testing.T, cfg aws.Config, table string) *world {
	w := &world{t: t, now: start.Time}
	w.engine = engine.New(engine.Config{
		Runner: "studio", Store: dynamo.New(cfg, table, dynamo.WithClock(func() time.Time { return w.now })), Launcher: &w.ecs,
		Publisher: &w.told, Times: spot.AWSTimes(), Now: func() time.Time { return w.now }, Roll: func() float64 { return 0.5 },
		NewID: func() string { w.ids++; return hexes(26, fmt.Sprint("id", w.ids)) }, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

// observe is the next event of the latest task, half a minute on.
func (w *world) observe(change func(task *spot.Task)) {
	w.t.Helper()
	w.now = w.now.Add(30 * time.Second)
	task := &w.ecs.started[len(w.ecs.started)-1]
	task.Version++
	change(task)
	if _, err := w.engine.Observe(w.t.Context(), *task); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) runs() {
	w.observe(func(task *spot.Task) { task.LastStatus, task.StartedAt = "RUNNING", w.now })
}

func (w *world) noticed() {
	w.observe(func(task *spot.Task) {
		task.DesiredStatus, task.StopCode, task.StoppingAt = "STOPPED", "SpotInterruption", w.now
		task.StoppedReason = "Your Spot Task was interrupted."
	})
}

func (w *world) stops(exitCode int) {
	w.observe(func(task *spot.Task) {
		task.LastStatus, task.StoppedAt, task.ExecutionStoppedAt = "STOPPED", w.now, w.now
		task.Containers = []spot.Container{{Name: "renderer", ExitCode: &exitCode}}
		if task.StopCode == "" {
			task.StopCode, task.StoppedReason = "EssentialContainerExited", "Essential container in task exited"
		}
	})
}

// checkBudget runs whole jobs and holds what they consume against docs/cost.md.
func checkBudget(t *testing.T, cfg aws.Config, table string) {
	t.Helper()
	meter := &meter{}
	cfg = meter.metered(cfg)
	run := func(jobID string, interrupted bool) bill {
		w := newWorld(t, cfg, table)
		if _, err := w.engine.Submit(t.Context(), engine.Submission{JobID: jobID, Body: []byte(request)}); err != nil {
			t.Fatal(err)
		}
		w.runs()
		if interrupted {
			w.noticed()
			w.stops(143)
			w.runs()
		}
		w.stops(0)
		spent := meter.reset()
		j, err := dynamo.New(cfg, table).Get(t.Context(), jobID)
		if err != nil || j.Status != jobs.StatusSucceeded || len(w.ecs.started) != w.told.told {
			t.Fatalf("%v: the job is %s after %d tasks, and the world was told %d times", err, j.Status, len(w.ecs.started), w.told.told)
		}
		meter.reset()
		return spent
	}
	plain, interrupted := run("plain", false), run("interrupted", true)
	t.Logf("a job that succeeds: %+v", plain)
	t.Logf("with one interruption: %+v", interrupted)
	if plain.tableWrites > 5 || plain.indexWrites > 4 || plain.puts != int(plain.tableWrites) {
		t.Errorf("a job that succeeds takes %+v; at most 5 write units of the table and 4 of its indexes", plain)
	}
	if interrupted.tableWrites > plain.tableWrites+4 || interrupted.indexWrites > plain.indexWrites {
		t.Errorf("an interruption takes it to %+v; at most 4 write units of the table more, and none of its indexes", interrupted)
	}
}

func TestAJobKeepsWithinTheBudgetOfWrites(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	checkBudget(t, cfg, "jobs")
}
