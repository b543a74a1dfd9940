package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestLocalUpSaysWhatItIsAndWhatIsLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		found local.Status
		args  []string
		left  bool
	}{
		"nothing special": {local.Status{Executor: "processes", TaskDefinitions: []string{"work:1"}}, nil, false},
		"everything": {
			local.Status{Executor: "docker 28.2.2", TaskDefinitions: []string{"a:1", "b:2", "c:1", "d:1", "e:7", "f:1"}, Running: 3, Waiting: 1},
			[]string{
				"--executor", "docker", "--data", "my jobs", "--local", "--max-tasks", "4", "--queue", "in & out", "--schedules", "schedules.json",
				"--inject", "no-capacity:2,throttle:5", "--time-scale", "20",
			},
			true,
		},
		"earlier task definitions": {local.Status{Executor: "processes", Running: 1}, []string{"--queue", "-"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newFake()
				m.up = func(ctx context.Context, ready func(local.Status)) error {
					ready(c.found)
					<-ctx.Done()
					return nil
				}
				if c.left {
					m.put(newJob("a"), newJob("b"), newJob("c"))
					m.move("a", func(j *jobs.Job) {
						begin(j, jobs.FargateSpot, epoch)
						j.TaskRunning(epoch)
					})
				}
				s := newShell(m)
				s.cli.getenv = func(string) string { return "" }
				ctx, stop := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, stop)
				got := s.run(ctx, "", append([]string{"local", "up"}, c.args...)...).String()
				golden(t, "local-up-"+strings.ReplaceAll(name, " ", "-"), got)
				told, _, _ := strings.Cut(got, "To carry on:") // and a command, which the terminal breaks
				checkWidth(t, strings.Split(told, "\n"), display{width: 80})
			})
		})
	}
}

func TestLocalRunFinishesWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"), newJob("b"), newJob("old"))
		finish(m, "old", jobs.CauseExitNonzero, 1)
		s := newShell(m)
		go func() {
			time.Sleep(time.Second)
			finish(m, "a", jobs.CauseSucceeded, 0)
			m.put(newJob("late")) // by another process, meanwhile
			time.Sleep(time.Second)
			finish(m, "b", jobs.CauseSucceeded, 0)
			time.Sleep(3 * time.Second)
			finish(m, "late", jobs.CauseSucceeded, 0)
		}()
		golden(t, "local-run-rest", s.run(t.Context(), "", "local", "run").String())
	})
}

func TestLocalRunThatIsInterruptedSaysHowToFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"))
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		got := newShell(m).run(ctx, "", "local", "run", "-q", "--executor", "process", "--max-tasks", "2", "--inject", "throttle")
		want := "\nEnded. To finish what is left:\n  spotbatch local run --executor process --max-tasks 2\n"
		if got.code != exitCancelled || got.stderr != want {
			t.Errorf("got %v", got)
		}
	})
}

func TestExecutingRefusesATimeScaleOutOfBounds(t *testing.T) {
	t.Parallel()
	for scale, want := range map[string]int{
		"NaN": exitUsage, "Inf": exitUsage, "-Inf": exitUsage, "-1": exitUsage, "0": exitUsage, "0.0009": exitUsage,
		"1000001": exitUsage, "1e-300": exitUsage, "0.001": exitOK, "1": exitOK, "1000000": exitOK,
	} {
		got := newShell(newFake()).run(t.Context(), "", "local", "run", "--time-scale", scale)
		if got.code != want || want == exitUsage && !strings.Contains(got.stderr, "--time-scale must be a number from 0.001 to 1,000,000") {
			t.Errorf("%s: %v", scale, got)
		}
	}
}

func TestVerbsOfThisMachineRefuseAStack(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"local up", "local run", "local interrupt j"} {
		s := newShell(newFake())
		s.cli.open = func(context.Context, local.Options, bool) (machine, error) { return nil, errors.New("it was opened") }
		got := s.run(t.Context(), "", append(strings.Fields(verb), "--stack", "prod")...)
		want := "spotbatch: " + strings.TrimSuffix(verb, " j") + " does not go with --stack: one is this machine, the other is AWS\n"
		if got.code != exitUsage || got.stderr != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestBesideAnEngineTheHintReachesTheSameJobs(t *testing.T) {
	t.Parallel()
	m := newFake()
	m.up = func(context.Context, func(local.Status)) error { return local.ErrLocked }
	s := newShell(m)
	s.cli.getenv = func(string) string { return "" }
	got := s.run(t.Context(), "", "local", "run", "--data", "my jobs")
	if want := `use 'spotbatch submit --local --data "my jobs"'`; !strings.Contains(got.stderr, want) {
		t.Errorf("%q is not in %v", want, got)
	}
}

// TestLocalRunForReal runs a job of two attempts as processes, through everything that there is.
func TestLocalRunForReal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	definition := filepath.Join(dir, "sh.json")
	err := os.WriteFile(definition, []byte(`{"family":"sh","requiresCompatibilities":["FARGATE"],"networkMode":"awsvpc","cpu":"256",
		"memory":"512","containerDefinitions":[{"name":"main","image":"none","entryPoint":["/bin/sh","-c"]}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := newShell(newFake())
	s.cli.open, s.cli.now = openLocal, time.Now
	s.cli.getenv = os.Getenv
	data := filepath.Join(dir, "data")
	got := s.run(t.Context(), `{"jobName":"twice","jobId":"twice","taskDefinition":"sh","retryStrategy":{"attempts":2,"backoffSeconds":0},
		"containerOverrides":{"command":["echo attempt $SPOTBATCH_ATTEMPT; [ $SPOTBATCH_ATTEMPT = 2 ] || exit 5; exit 7"]}}`,
		"local", "run", "-f", "-", "--data", data, "--task-definitions", definition, "--executor", "process")
	if diff := cmp.Diff("attempt 1\nattempt 2\n", got.stdout); diff != "" || got.code != 7 {
		t.Fatalf("%v\n%s", got, diff)
	}
	s.stdout.Reset()
	s.stderr.Reset()
	got = s.run(t.Context(), "", "describe", "twice", "-o", "json", "--local", "--data", data)
	var j jobs.Job
	if err := json.Unmarshal([]byte(got.stdout), &j); err != nil || len(j.Attempts) != 2 || *j.Attempts[0].ExitCode != 5 {
		t.Errorf("%v: %v", err, got)
	}
}
