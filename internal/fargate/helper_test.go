package fargate

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// world is a cluster on a database of its own. In a test that runs it, everything lives in one synctest bubble: real
// reads and writes of the file take no time there.
type world struct {
	*Cluster
	t        testing.TB
	executor *Scripted
	path     string
	opts     Options
}

func setup(t testing.TB, opts Options, script func(TaskSpec, ContainerSpec) Script) *world {
	t.Helper()
	dir := t.TempDir()
	if opts.LogDirectory == "" {
		opts.LogDirectory = filepath.Join(dir, "logs")
	}
	if opts.MaxTasks == 0 {
		opts.MaxTasks = 100
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if script == nil {
		script = func(TaskSpec, ContainerSpec) Script { return Script{} }
	}
	w := &world{t: t, path: filepath.Join(dir, "state.db"), opts: opts, executor: NewScripted(script)}
	w.Cluster = w.open()
	t.Cleanup(func() { _ = w.executor.Close() })
	return w
}

// open opens the same cluster as another process would.
func (w *world) open() *Cluster {
	w.t.Helper()
	db, err := sqlitedb.Open(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	c, err := Open(w.t.Context(), db, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// start runs the cluster and returns what ends that.
func (w *world) start() (stop func()) { return w.startWith(w.executor) }

func (w *world) startWith(executor Executor) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, executor) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

const mainContainer = "main"

func definitionInput(family string) *ecs.RegisterTaskDefinitionInput {
	return &ecs.RegisterTaskDefinitionInput{
		Family:                  &family,
		Cpu:                     new("1024"),
		Memory:                  new("2048"),
		NetworkMode:             types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions: []types.ContainerDefinition{{
			Name:  new(mainContainer),
			Image: new("example.com/job:1"),
			Environment: []types.KeyValuePair{
				{Name: new("FIRST"), Value: new("defined")}, {Name: new("SECOND"), Value: new("defined")},
			},
		}},
	}
}

// register registers the family "job", changed as edit says.
func (w *world) register(edit func(*ecs.RegisterTaskDefinitionInput)) {
	w.t.Helper()
	in := definitionInput("job")
	if edit != nil {
		edit(in)
	}
	if _, err := w.RegisterTaskDefinition(w.t.Context(), in); err != nil {
		w.t.Fatal(err)
	}
}

func spotRequest() *ecs.RunTaskInput {
	return &ecs.RunTaskInput{
		TaskDefinition:           new("job"),
		StartedBy:                new("spotbatch/j1/1"),
		CapacityProviderStrategy: []types.CapacityProviderStrategyItem{{CapacityProvider: new("FARGATE_SPOT"), Weight: 1}},
	}
}

// run starts one Spot task and returns its ARN.
func (w *world) run(edit func(*ecs.RunTaskInput)) string {
	w.t.Helper()
	in := spotRequest()
	if edit != nil {
		edit(in)
	}
	out, err := w.RunTask(w.t.Context(), in)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(out.Tasks) != 1 || len(out.Failures) != 0 {
		w.t.Fatalf("RunTask answered %d tasks and the failures %v", len(out.Tasks), out.Failures)
	}
	return *out.Tasks[0].TaskArn
}

func (w *world) describe(arn string) types.Task {
	w.t.Helper()
	out, err := w.DescribeTasks(w.t.Context(), &ecs.DescribeTasksInput{Tasks: []string{arn}})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(out.Tasks) != 1 {
		w.t.Fatalf("DescribeTasks found nothing of %s", arn)
	}
	return out.Tasks[0]
}

func (w *world) inject(list string) {
	w.t.Helper()
	faults, err := ParseFaults(list)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.SetFaults(w.t.Context(), faults); err != nil {
		w.t.Fatal(err)
	}
}

// seen is what tests compare of an event.
type seen struct {
	Status, Desired, StopCode, Reason string
	Version                           int64
	ExitCode                          string // "-" where there is none
}

func (w *world) events() []seen {
	w.t.Helper()
	events, err := w.unacknowledged(w.t.Context(), 0, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []seen
	for _, event := range events {
		var body struct{ Detail detail }
		if err := json.Unmarshal(event.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, see(body.Detail))
	}
	return all
}

func see(d detail) seen {
	s := seen{Status: d.LastStatus, Desired: d.DesiredStatus, StopCode: d.StopCode, Reason: d.StoppedReason, Version: d.Version, ExitCode: "-"}
	if c := d.Containers[0]; c.ExitCode != nil {
		s.ExitCode = string(encodeJSON(*c.ExitCode))
	}
	return s
}

// settle sleeps, and then waits until nothing moves.
func settle(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func always(script Script) func(TaskSpec, ContainerSpec) Script {
	return func(TaskSpec, ContainerSpec) Script { return script }
}

// row is the task as it is stored.
func (w *world) row(id string) (row *task) {
	w.t.Helper()
	err := w.db.View(w.t.Context(), func(tx *sqlitedb.Tx) (err error) {
		row, err = loadTask(tx, id, time.Now())
		return err
	})
	if err != nil || row == nil {
		w.t.Fatalf("task %s: %v", id, err)
	}
	return row
}

// count counts a table's rows.
func (w *world) count(table string) (n int) {
	w.t.Helper()
	err := w.db.View(w.t.Context(), func(tx *sqlitedb.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM " + table).Scan(&n)
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// exec changes the tables behind the cluster's back.
func (w *world) exec(statement string) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *sqlitedb.Tx) error {
		_, err := tx.Exec(statement)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// exits are the events of a task that ran and ended by itself.
func exits(code string) []seen {
	return []seen{
		{Status: "RUNNING", Desired: "RUNNING", Version: 3, ExitCode: "-"},
		{Status: "STOPPED", Desired: "STOPPED", StopCode: "EssentialContainerExited", Reason: "Essential container in task exited", Version: 5, ExitCode: code},
	}
}

func (w *world) called(call, arn string) bool {
	for _, c := range w.executor.Calls() {
		if c.Call == call && c.TaskID == lastPart(arn) {
			return true
		}
	}
	return false
}

// signals are the signals that a task got, and when after the first call.
func (w *world) signals(arn string, since time.Time) []string {
	var got []string
	for _, c := range w.executor.Calls() {
		if c.Call == "Signal" && c.TaskID == lastPart(arn) {
			text := c.Signal.String() + " after " + c.At.Sub(since).Round(time.Second).String()
			if c.Container != "" {
				text = c.Container + ": " + text
			}
			got = append(got, text)
		}
	}
	return got
}

var (
	terminated = syscall.SIGTERM.String()
	killed     = syscall.SIGKILL.String()
)
