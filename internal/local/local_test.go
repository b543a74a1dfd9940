package local

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/fargate/process"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.Verb {
		os.Exit(process.Supervise(os.Args[2:]))
	}
	if dir := os.Getenv(upEnvironment); dir != "" {
		os.Exit(upAsProcess(dir))
	}
	if dir := os.Getenv(submitEnvironment); dir != "" {
		os.Exit(submitAsProcess(dir))
	}
	// These tests wait more than they compute.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// shellDefinition runs its command in a shell; "sh -c" takes what follows the script as $0, $1 and so on.
const shellDefinition = `{"family":"sh","requiresCompatibilities":["FARGATE"],"networkMode":"awsvpc","cpu":"256","memory":"512",
"containerDefinitions":[{"name":"main","image":"none","entryPoint":["/bin/sh","-c"],"stopTimeout":30}]}`

// testSystem is a system whose engine's clock can be moved and whose dice always roll low, so that backoffs are short.
type testSystem struct {
	*System
	endpoint string // of ECS's API
	clock    struct{ ahead atomic.Int64 }
}

// lowRoll is the roll of dice that keep backoffs short.
func lowRoll() float64 { return 0.01 }

// up opens a data directory of its own and has it execute.
func up(t *testing.T, change ...func(*Options)) *testSystem {
	t.Helper()
	dir := t.TempDir()
	definition := filepath.Join(dir, "sh.json")
	if err := os.WriteFile(definition, []byte(shellDefinition), 0o600); err != nil {
		t.Fatal(err)
	}
	options := Options{
		DataDir: filepath.Join(dir, "data"), TaskDefinitions: []string{definition}, Executor: "process", TimeScale: 20, MaxTasks: 8,
		Path: os.Getenv("PATH"), Home: dir, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&options)
	}
	system, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	s := &testSystem{System: system}
	s.Engine.Now = func() time.Time { return time.Now().Add(time.Duration(s.clock.ahead.Load())) }
	s.Engine.Roll = lowRoll
	ctx, cancel := context.WithCancel(t.Context())
	done, ready := make(chan error, 1), make(chan struct{})
	go func() { done <- s.Up(ctx, func(status Status) { s.endpoint = status.ECSEndpoint; close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("up: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("up: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		awaitSupervisors(t, options.DataDir)
	})
	return s
}

func request(name, script, more string) string {
	return fmt.Sprintf(`{"jobName":%q,"taskDefinition":"sh","containerOverrides":{"command":[%q]}%s}`, name, script, more)
}

func submit(t *testing.T, s *testSystem, body string) *jobs.Job {
	t.Helper()
	j, err := s.Engine.Submit(t.Context(), engine.Submission{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// patience bounds every wait for something that will be. Only a test that fails waits so long, on however slow a machine.
const patience = 2 * time.Minute

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up after %v waiting for %s", patience, what)
		}
	}
}

// wait waits until the job is as wanted.
func wait(t *testing.T, s *testSystem, id string, what string, wanted func(*jobs.Job) bool) *jobs.Job {
	t.Helper()
	deadline := time.After(patience)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := s.Watch(ctx)
	for {
		j, err := s.Store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if wanted(j) {
			return j
		}
		select {
		case <-changes:
		case <-deadline:
			t.Fatalf("job %s is not %s after %v: %s %s %s", id, what, patience, j.Status, j.Cause, j.StatusReason)
		}
	}
}

func ended(j *jobs.Job) bool { return j.Ended() }

func TestAMissingTaskDefinitionIsRefusedWithWhatIsThereInstead(t *testing.T) {
	t.Parallel()
	s := up(t)
	for name, want := range map[string]string{
		"sh:9":    "no such task definition: sh:9; the newest is sh:1",
		"other:1": "no such task definition: other:1; give its file to 'local up' or 'local run' with --task-definitions",
	} {
		body := fmt.Sprintf(`{"jobName":"a","taskDefinition":%q}`, name)
		_, err := s.Engine.Submit(t.Context(), engine.Submission{Body: []byte(body)})
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestAJobRunsToItsEnd(t *testing.T) {
	t.Parallel()
	s := up(t)
	j := submit(t, s, request("hello", "echo hello", ""))
	j = wait(t, s, j.JobID, "ended", ended)
	if j.Status != jobs.StatusSucceeded {
		t.Fatalf("%s %s %s", j.Status, j.Cause, j.StatusReason)
	}
	text, err := os.ReadFile(s.LogFile(j, j.Last()))
	if err != nil || string(text) != "hello\n" {
		t.Errorf("log %q, %v", text, err)
	}
}

func TestAStoreThatFailsIsToldOnce(t *testing.T) {
	t.Parallel()
	_, s := prepareDir(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	err := s.Engine.Reject(t.Context(), engine.Submission{JobID: "a", Body: []byte(`{}`)}, errors.New("bad"))
	if err == nil || strings.Count(err.Error(), "create job a: ") != 1 {
		t.Errorf("error %v, want one word of the job that was not created", err)
	}
}
