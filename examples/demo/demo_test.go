package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/internal/local/schedule"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// submitter opens a data directory with the examples' task definitions loaded; nothing executes.
func submitter(t *testing.T) func(request []byte) error {
	t.Helper()
	system, err := local.Open(t.Context(), local.Options{DataDir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := system.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := system.Cluster.LoadTaskDefinitions(t.Context(), filepath.Join("..", "task-definitions")); err != nil {
		t.Fatal(err)
	}
	return func(request []byte) error {
		_, err := system.Engine.Submit(context.WithoutCancel(t.Context()), engine.Submission{JobID: jobs.ResolveID(request), Body: request})
		return err
	}
}

func TestEveryExampleRequestIsAccepted(t *testing.T) {
	t.Parallel()
	submit := submitter(t)
	files, err := filepath.Glob(filepath.Join("..", "jobs", "*.json*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n, request := range documents(t, content) {
			if err := submit(request); err != nil {
				t.Errorf("%s, request %d: %v", file, n+1, err)
			}
		}
	}
	for _, request := range demoRequests(t) {
		if err := submit(request); err != nil {
			t.Errorf("%s: %v", request, err)
		}
	}
}

func TestEveryExampleScheduleSubmitsARequestThatIsAccepted(t *testing.T) {
	t.Parallel()
	submit := submitter(t)
	entries, err := schedule.Load(filepath.Join("..", "schedules.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		due, ok := entry.Next(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
		if !ok {
			t.Errorf("schedule %s is never due", entry.Name)
		}
		if err := submit(entry.Request(due)); err != nil {
			t.Errorf("schedule %s: %v", entry.Name, err)
		}
	}
}

// documents splits JSON documents that follow one another.
func documents(t *testing.T, content []byte) []json.RawMessage {
	t.Helper()
	var list []json.RawMessage
	for decoder := json.NewDecoder(bytes.NewReader(content)); ; {
		var one json.RawMessage
		if err := decoder.Decode(&one); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, one)
	}
}

// demoRequests are what the demo submits with its data in "a folder".
func demoRequests(t *testing.T) []json.RawMessage {
	t.Helper()
	d := &demo{data: "a folder"}
	return documents(t, []byte(d.filled(noRoom)+d.filled(requests)))
}

func TestTheDemoLeavesNoCheckpointBehind(t *testing.T) {
	t.Parallel()
	for _, body := range demoRequests(t) {
		request, err := jobs.ParseRequest(body)
		if err != nil {
			t.Fatal(err)
		}
		want := []jobs.EnvVar{{Name: "CHECKPOINT_DIR", Value: filepath.Join("a folder", "checkpoints")}}
		if got := request.ContainerOverrides.Environment; request.TaskDefinition == "wordcount" && !cmp.Equal(got, want) {
			t.Errorf("job %s has the environment %v", request.JobID, got)
		}
	}
}

func TestTheDemoExpectsSomethingOfEveryJobItSubmits(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, id := range ids() {
		want[id] = true
	}
	for _, request := range demoRequests(t) {
		id := jobs.ResolveID(request)
		if !want[id] {
			t.Errorf("job %s is submitted, and nothing is expected of it", id)
		}
		delete(want, id)
	}
	if len(want) > 0 {
		t.Errorf("expected and never submitted: %v", want)
	}
}

// attempt makes one that ran for so long, or did not.
func attempt(provider jobs.CapacityProvider, cause jobs.Cause, ran time.Duration) jobs.Attempt {
	a := jobs.Attempt{CapacityProvider: provider, Cause: cause}
	if ran > 0 {
		began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
		a.StartedAt, a.StoppedAt = jobs.Time{Time: began}, jobs.Time{Time: began.Add(ran)}
	}
	return a
}

func TestBilledMinutes(t *testing.T) {
	t.Parallel()
	interrupted := func(id string) *jobs.Job {
		return &jobs.Job{JobID: id, Attempts: []jobs.Attempt{
			attempt(jobs.FargateSpot, jobs.CauseSpotInterruption, 4*time.Second),
			attempt(jobs.FargateOnDemand, jobs.CauseSucceeded, 5*time.Second),
		}}
	}
	list := []*jobs.Job{
		interrupted("kept"),
		interrupted("lost"),
		{JobID: "refused", Attempts: []jobs.Attempt{
			attempt(jobs.FargateSpot, jobs.CauseNoCapacity, 0),
			attempt(jobs.FargateOnDemand, jobs.CauseSucceeded, 3*time.Second),
		}},
		{JobID: "failed", Attempts: []jobs.Attempt{
			attempt(jobs.FargateSpot, jobs.CauseExitNonzero, time.Second),
			attempt(jobs.FargateSpot, jobs.CauseSucceeded, 3*time.Second),
		}},
	}
	resumed := map[string]bool{"kept": true}
	for name, c := range map[string]struct {
		times                 int
		spot, onDemand, alone time.Duration
	}{
		"as they ran, each attempt is a minute":                                          {1, 4 * time.Minute, 3 * time.Minute, 5 * time.Minute},
		"a minute for every second, on-demand needs what was kept and not what was lost": {60, 12 * time.Minute, 13 * time.Minute, (9 + 5 + 3 + 4) * time.Minute},
	} {
		used, alone := billed(list, c.times, resumed)
		if used.Spot != c.spot || used.OnDemand != c.onDemand || alone != c.alone {
			t.Errorf("%s: %+v and alone %v, want %+v", name, used, alone, c)
		}
	}
	for _, line := range costs(list, resumed) {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("wider than a terminal: %s", line)
		}
	}
}

func TestStoryTellsAttemptsAndTheJob(t *testing.T) {
	t.Parallel()
	j := &jobs.Job{Status: jobs.StatusSucceeded, Attempts: []jobs.Attempt{
		{Number: 1, CapacityProvider: jobs.FargateSpot, Cause: jobs.CauseNoCapacity},
		{Number: 2, CapacityProvider: jobs.FargateOnDemand, Cause: jobs.CauseSucceeded, ExitCode: new(0)},
	}}
	if got, want := story(j), "1 FARGATE_SPOT NO_CAPACITY, 2 FARGATE SUCCEEDED 0; SUCCEEDED"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// It drives command lines that are none.
func TestTheDemoSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, want string }{
		"an engine that does not come up": {"echo no such flag >&2; exit 2", "spotbatch local up: no such flag"},
		"a verb that fails":               {`case "$1" in local) echo Ctrl-C ends this. >&2; exec sleep 60;; esac; echo out of order >&2; exit 1`, "out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			program := filepath.Join(dir, "spotbatch")
			writeProgram(t, program, "#!/bin/sh\n"+c.script+"\n")
			d := &demo{spotbatch: program, executor: "process", data: dir, stdout: io.Discard, stderr: io.Discard}
			if err := d.play(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// writeProgram writes what is to be executed while nobody forks: a child would hold the file open for writing until its exec,
// and who executes it meanwhile is told that it is busy.
func writeProgram(t *testing.T, path, content string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}
