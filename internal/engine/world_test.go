package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/sqlite"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

const runner = "test"

// world is everything around an engine: a real store, a scripted ECS, a clock that only moves when told, and a death that
// comes at a chosen call.
type world struct {
	t         *testing.T
	now       time.Time
	store     jobs.Store
	ecs       *scriptedECS
	published []*jobs.Job
	mute      bool // publications fail
	death     death
	ids       int
	roll      float64
	hooks     *hooks // nil: none
}

func newWorld(t *testing.T, script ...taskScript) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "jobs.db"), sqlite.WithClock(func() time.Time { return start }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	w := &world{t: t, now: start, store: store, roll: 0.5}
	w.ecs = &scriptedECS{world: w, script: script, byToken: map[string]*fakeTask{}, refused: map[string]spot.Answer{}}
	return w
}

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// engine makes a new engine on the world, as a new Lambda instance would be.
func (w *world) engine() *engine.Engine {
	config := engine.Config{
		Runner: runner, Store: mortalStore{w.store, &w.death}, Launcher: mortalLauncher{w.ecs, &w.death}, Publisher: mortalPublisher{w},
		Times: spot.AWSTimes(), Now: func() time.Time { return w.now }, Roll: func() float64 { return w.roll },
		NewID: func() string { w.ids++; return fmt.Sprintf("id-%04d", w.ids) }, Log: slog.New(slog.DiscardHandler),
	}
	if w.hooks != nil {
		config.Waker, config.Pacer, config.Meter = w.hooks, w.hooks, w.hooks
	}
	return engine.New(config)
}

// attempt runs a delivery and reports whether the process died in it.
func (w *world) attempt(delivery func(e *engine.Engine) error) (died bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errDeath {
				panic(r)
			}
			died = true
		}
	}()
	return false, delivery(w.engine())
}

// deliver delivers until the process survives it: what died is redelivered once its visibility time-out is over.
func (w *world) deliver(delivery func(e *engine.Engine) error) {
	w.t.Helper()
	for {
		died, err := w.attempt(delivery)
		if err != nil {
			w.t.Fatalf("delivery: %v", err)
		}
		if !died {
			return
		}
		w.now = w.now.Add(6 * time.Minute)
	}
}

func (w *world) submit(id, body string) {
	w.t.Helper()
	w.deliver(func(e *engine.Engine) error {
		_, err := e.Submit(w.t.Context(), engine.Submission{JobID: id, Body: []byte(body)})
		return err
	})
}

func (w *world) observe(t spot.Task) {
	w.t.Helper()
	w.deliver(func(e *engine.Engine) error {
		_, err := e.Observe(w.t.Context(), t)
		return err
	})
}

// sweepBy sweeps once with another launcher.
func (w *world) sweepBy(launcher engine.Launcher) error {
	w.t.Helper()
	e := w.engine()
	e.Launcher = launcher
	_, err := e.Sweep(w.t.Context(), "", time.Time{})
	return err
}

// drain delivers every event that ECS has sent, in order, with the time that ECS says.
func (w *world) drain() {
	w.t.Helper()
	for len(w.ecs.events) > 0 {
		event := w.ecs.events[0]
		w.ecs.events = w.ecs.events[1:]
		w.observe(event)
	}
}

// settleDown delivers events and sweeps until nothing is due any more or a day has passed.
func (w *world) settleDown() {
	w.t.Helper()
	for range 24 * 60 {
		w.drain()
		w.deliver(func(e *engine.Engine) error {
			_, err := e.Sweep(w.t.Context(), "", time.Time{})
			return err
		})
		if ids, _, err := w.store.Due(w.t.Context(), w.now.Add(1000*time.Hour), "", 10); err == nil && len(ids) == 0 && len(w.ecs.events) == 0 {
			return
		}
		w.now = w.now.Add(time.Minute)
	}
}

func (w *world) job(id string) *jobs.Job {
	w.t.Helper()
	j, err := w.store.Get(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

// summary is a job in one line: status, cause, and provider:cause of each attempt.
func summary(j *jobs.Job) string {
	parts := []string{string(j.Status), string(j.Cause)}
	for _, a := range j.Attempts {
		text := fmt.Sprintf("%d %s %s", a.Number, a.CapacityProvider, a.Cause)
		if a.Repeats > 0 {
			text += fmt.Sprintf(" x%d", a.Repeats+1)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// taskScript says how the n-th task goes, or how the n-th RunTask is answered.
type taskScript struct {
	answer   *spot.Answer // instead of a task
	lost     bool         // the task is made and the answer lost
	silent   bool         // no event is ever sent
	notice   bool
	code     *int
	stopCode string
	reason   string
	forever  bool // it runs until StopTask
	pending  bool // it never runs
}

type fakeTask struct {
	spot.Task
	script taskScript
}

// scriptedECS is an ECS that keeps its own side of the bargain: one task a token, startedBy, versions.
type scriptedECS struct {
	world   *world
	script  []taskScript
	tasks   []*fakeTask
	byToken map[string]*fakeTask
	refused map[string]spot.Answer // ECS replays its first answer to a token, a refusal too
	events  []spot.Task
	calls   []string
	next    int
}

func (s *scriptedECS) Run(_ context.Context, launch spot.Launch) spot.Answer {
	s.calls = append(s.calls, "RunTask")
	if t, ok := s.byToken[launch.ClientToken]; ok {
		return spot.Answer{Kind: spot.AnswerTask, TaskARN: t.ARN, Stopped: t.LastStatus == "STOPPED"}
	}
	if answer, ok := s.refused[launch.ClientToken]; ok {
		return answer
	}
	script := taskScript{code: new(int), stopCode: "EssentialContainerExited", reason: "Essential container in task exited"}
	if s.next < len(s.script) {
		script = s.script[s.next]
	}
	s.next++
	if script.answer != nil {
		if script.answer.Kind == spot.AnswerRefused {
			s.refused[launch.ClientToken] = *script.answer
		}
		return *script.answer
	}
	t := &fakeTask{script: script, Task: spot.Task{
		ARN: fmt.Sprintf("arn:aws:ecs:us-east-1:123456789012:task/batch/%032d", len(s.tasks)+1), StartedBy: launch.StartedBy,
		Version: 1, LastStatus: "PROVISIONING", DesiredStatus: "RUNNING",
	}}
	s.tasks = append(s.tasks, t)
	s.byToken[launch.ClientToken] = t
	s.play(t)
	if script.lost {
		return spot.Answer{Kind: spot.AnswerNone, Reason: "time-out"}
	}
	return spot.Answer{Kind: spot.AnswerTask, TaskARN: t.ARN}
}

// play sends the task's events as its script says.
func (s *scriptedECS) play(t *fakeTask) {
	if t.script.pending {
		return
	}
	if t.script.stopCode != "TaskFailedToStart" {
		t.LastStatus, t.StartedAt = "RUNNING", s.world.now.Add(30*time.Second)
		s.send(t)
	}
	if t.script.notice {
		t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", t.script.stopCode, t.script.reason
		t.StoppingAt = t.StartedAt.Add(time.Minute)
		s.send(t)
	}
	if !t.script.forever {
		s.stop(t, t.script.stopCode, t.script.reason)
	}
}

func (s *scriptedECS) stop(t *fakeTask, code, reason string) {
	t.LastStatus, t.DesiredStatus, t.StopCode, t.StoppedReason = "STOPPED", "STOPPED", code, reason
	if t.StoppingAt.IsZero() {
		t.StoppingAt = s.world.now.Add(time.Minute)
	}
	t.ExecutionStoppedAt, t.StoppedAt = t.StoppingAt.Add(20*time.Second), t.StoppingAt.Add(40*time.Second)
	t.Containers = []spot.Container{{Name: "main", ExitCode: t.script.code}}
	s.send(t)
}

func (s *scriptedECS) send(t *fakeTask) {
	t.Version++
	t.SeenAt = s.world.now
	if !t.script.silent {
		s.events = append(s.events, t.Task)
	}
}

func (s *scriptedECS) Stop(_ context.Context, arn, reason string) error {
	s.calls = append(s.calls, "StopTask")
	for _, t := range s.tasks {
		if t.ARN == arn && t.LastStatus != "STOPPED" {
			s.stop(t, "UserInitiated", reason)
		}
	}
	return nil
}

func (s *scriptedECS) Describe(_ context.Context, arns []string) (tasks []spot.Task, missing []string, err error) {
	s.calls = append(s.calls, "DescribeTasks")
	for _, arn := range arns {
		i := slices.IndexFunc(s.tasks, func(t *fakeTask) bool { return t.ARN == arn })
		if i < 0 {
			missing = append(missing, arn)
			continue
		}
		tasks = append(tasks, s.tasks[i].Task)
	}
	return tasks, missing, nil
}

func (s *scriptedECS) Find(_ context.Context, startedBy, _ string) ([]spot.Task, error) {
	s.calls = append(s.calls, "ListTasks")
	var found []spot.Task
	for _, t := range s.tasks {
		if t.StartedBy == startedBy {
			found = append(found, t.Task)
		}
	}
	return found, nil
}

func (s *scriptedECS) TaskDefinition(_ context.Context, name string) (spot.TaskDefinition, error) {
	if name == "missing" {
		return spot.TaskDefinition{}, fmt.Errorf("%w: %s", spot.ErrNoTaskDefinition, name)
	}
	return spot.TaskDefinition{
		ARN: "arn:aws:ecs:us-east-1:123456789012:task-definition/job:7", Family: "job", Revision: 7, Active: true, Fargate: true,
		CPU: "256", Memory: "512", ContainerDefs: []spot.ContainerDef{{Name: "main", Essential: true, LogGroup: "/jobs", LogStreamPrefix: "job"}},
	}, nil
}

// death counts calls and ends the process at one of them, before or after it took effect.
type death struct {
	at    int // the call to die at, from 1; 0 = immortal
	after bool
	calls int
}

const errDeath = deathSentinel("the process is killed")

type deathSentinel string

// call runs one call of the process.
func (d *death) call(effect func()) {
	d.calls++
	if d.at == d.calls && !d.after {
		panic(errDeath)
	}
	effect()
	if d.at == d.calls && d.after {
		panic(errDeath)
	}
}

type mortalStore struct {
	jobs.Store
	death *death
}

func (m mortalStore) Create(ctx context.Context, j *jobs.Job) (err error) {
	m.death.call(func() { err = m.Store.Create(ctx, j) })
	return err
}

func (m mortalStore) Save(ctx context.Context, j *jobs.Job) (err error) {
	m.death.call(func() { err = m.Store.Save(ctx, j) })
	return err
}

type mortalLauncher struct {
	engine.Launcher
	death *death
}

func (m mortalLauncher) Run(ctx context.Context, l spot.Launch) (a spot.Answer) {
	m.death.call(func() { a = m.Launcher.Run(ctx, l) })
	return a
}

func (m mortalLauncher) Stop(ctx context.Context, arn, reason string) (err error) {
	m.death.call(func() { err = m.Launcher.Stop(ctx, arn, reason) })
	return err
}

func (m mortalLauncher) Describe(ctx context.Context, arns []string) (tasks []spot.Task, missing []string, err error) {
	m.death.call(func() { tasks, missing, err = m.Launcher.Describe(ctx, arns) })
	return tasks, missing, err
}

func (m mortalLauncher) Find(ctx context.Context, startedBy, family string) (tasks []spot.Task, err error) {
	m.death.call(func() { tasks, err = m.Launcher.Find(ctx, startedBy, family) })
	return tasks, err
}

type mortalPublisher struct{ world *world }

func (m mortalPublisher) Publish(_ context.Context, j *jobs.Job) error {
	if m.world.mute {
		return errors.New("EventBridge is away")
	}
	m.world.death.call(func() { m.world.published = append(m.world.published, j) })
	return nil
}
