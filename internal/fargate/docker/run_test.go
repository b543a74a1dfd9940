package docker

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for _, code := range []int{0, 7, 255} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			task := e.task("exit", fmt.Sprint(code))
			e.start(t, task)
			wantExit(t, e.exit(t, task.TaskID, "main"), code, "")
		})
	}
}

func TestSigtermIsHandledAndTheCodeKept(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("obey", "42")
	e.start(t, task)
	e.awaitLog(t, task, "ready")
	if err := e.Signal(t.Context(), task.TaskID, "", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e.exit(t, task.TaskID, "main"), 42, "")
	if got, want := e.logOf(t, task), "ready\nsaved\n"; got != want {
		t.Errorf("log at the exit = %q, want %q", got, want)
	}
	for _, id := range []string{task.TaskID, "unknown"} {
		if err := e.Signal(t.Context(), id, "", syscall.SIGKILL); err != nil {
			t.Errorf("signal to what does not run: %v", err)
		}
	}
}

func TestSigkillAfterAnIgnoredSigterm(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("ignore")
	side := e.container(task.TaskID, "side", "obey", "3")
	task.Containers = append(task.Containers, side)
	e.start(t, task)
	e.awaitLog(t, task, "ready")
	if err := e.Signal(t.Context(), task.TaskID, "main", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	e.awaitLog(t, task, "no")
	if err := e.Signal(t.Context(), task.TaskID, "", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e.exit(t, task.TaskID, "main"), 137, "")
	wantExit(t, e.exit(t, task.TaskID, "side"), 137, "")
}

// TestTooMuchMemory has several containers killed for memory: of one the engine may never hear why; see memoryLooks.
func TestTooMuchMemory(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for name, limit := range map[string]func(*fargate.TaskSpec){
		"of the container": func(task *fargate.TaskSpec) { task.Containers[0].MemoryMiB = 32 },
		"of the task":      func(task *fargate.TaskSpec) { task.MemoryMiB = 32 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := ""
			for range 5 {
				task := e.task("eat")
				limit(&task)
				e.start(t, task)
				exit := e.exit(t, task.TaskID, "main")
				if told = exit.Reason; told != "" {
					wantExit(t, exit, 137, reasonOutOfMemory)
					return
				}
				wantExit(t, exit, 137, "")
			}
			t.Error("of none of five the engine has told why")
		})
	}
}

func TestEnvironmentIsTheContainers(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("environment")
	task.Containers[0].Environment = []string{"A=1", "B=two words"}
	e.start(t, task)
	wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
	var got []string
	for line := range strings.Lines(e.logOf(t, task)) {
		if name, _, _ := strings.Cut(line, "="); name != "PATH" && name != "HOME" && name != "HOSTNAME" {
			got = append(got, strings.TrimSpace(line))
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(task.Containers[0].Environment, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestTheTaskDefinitionIsKept(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("identity")
	c := &task.Containers[0]
	c.User, c.WorkingDirectory, c.ReadonlyRoot, c.Init, c.StopTimeout, c.CPU = "12:34", "/proc", true, true, 90*time.Second, 128
	task.CPU = 1 << 20 // more than any machine has
	e.start(t, task)
	wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
	if got, want := e.logOf(t, task), "12 /proc true false\n"; got != want {
		t.Errorf("user, directory, whether writing fails, whether first process = %q, want %q", got, want)
	}
	found, err := e.api.ContainerInspect(t.Context(), containerName(task.TaskID, "main"), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	host := found.Container.HostConfig
	got := []int64{host.Memory, host.MemorySwap, host.NanoCPUs, host.CPUShares, int64(*found.Container.Config.StopTimeout)}
	want := []int64{512 << 20, 512 << 20, int64(e.cpus) * 1e9, 128, 90}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("memory, with swap, CPUs, shares, stop timeout (-want +got):\n%s", diff)
	}
}

func TestOutputIsAppendedToTheLog(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("print")
	log := task.Containers[0].LogFile
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	e.start(t, task)
	wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
	lines := strings.Fields(e.logOf(t, task))
	slices.Sort(lines[1:]) // Docker reads the two outputs through two pipes
	if diff := cmp.Diff([]string{"before", "err", "out"}, lines); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestNoLineOfAShortContainerIsMissed(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for range 10 {
		task := e.task("print")
		e.start(t, task)
		wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
		if got := len(strings.Fields(e.logOf(t, task))); got != 2 {
			t.Fatalf("log has %d lines, want 2", got)
		}
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for name, test := range map[string]struct {
		change func(*fargate.ContainerSpec)
		want   string
	}{
		"no image":           {func(c *fargate.ContainerSpec) { c.Image = "" }, "CannotPullContainerError: the task definition names no image"},
		"an absent image":    {func(c *fargate.ContainerSpec) { c.Image = "localhost:1/absent:1" }, "CannotPullContainerError: "},
		"no image reference": {func(c *fargate.ContainerSpec) { c.Image = "UPPER CASE" }, "CannotPullContainerError: "},
		"no command":         {func(c *fargate.ContainerSpec) { c.EntryPoint, c.Command = nil, nil }, "CannotCreateContainerError: "},
		"too little memory":  {func(c *fargate.ContainerSpec) { c.MemoryMiB = 1 }, "CannotCreateContainerError: "},
		"a nameless variable": {
			func(c *fargate.ContainerSpec) { c.Environment = []string{"s3cret"} },
			"CannotCreateContainerError: environment entry 0 of container main has no name",
		},
		"no such program":      {func(c *fargate.ContainerSpec) { c.EntryPoint = []string{"/absent"} }, "CannotStartContainerError: "},
		"no such user":         {func(c *fargate.ContainerSpec) { c.User = "nobody-here" }, "CannotStartContainerError: "},
		"a value in the error": {func(c *fargate.ContainerSpec) { c.EntryPoint = []string{"/s3cret"} }, "CannotStartContainerError: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := e.task("exit", "0")
			task.Containers[0].Environment = []string{"PASSWORD=s3cret"}
			test.change(&task.Containers[0])
			err := e.Start(t.Context(), task)
			refused, ok := errors.AsType[*fargate.StartError](err)
			if !ok {
				t.Fatalf("error = %v, want a StartError", err)
			}
			if !strings.HasPrefix(refused.Reason, test.want) || strings.Contains(refused.Reason, "s3cret") {
				t.Errorf("reason = %q, want it to begin with %q and to hold no value", refused.Reason, test.want)
			}
			if e.exists(t, task) {
				t.Error("its container stays")
			}
		})
	}
}

func TestNothingIsLeftOfATaskWhoseSecondContainerIsRefused(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("ignore")
	bad := e.container(task.TaskID, "bad")
	bad.EntryPoint = []string{"/absent"}
	task.Containers = append(task.Containers, bad)
	if _, refused := errors.AsType[*fargate.StartError](e.Start(t.Context(), task)); !refused {
		t.Fatal("the task was not refused")
	}
	if e.exists(t, task) {
		t.Error("its first container stays")
	}
}

func TestAnEngineThatDoesNotAnswerIsNoRefusal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no Unix sockets")
	}
	api, err := client.New(client.WithHost("unix://" + filepath.Join(t.TempDir(), "absent.sock")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), Config{Dir: t.TempDir(), Client: api, Logger: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("an executor was made without an engine")
	}
	if name, err := answers(t.Context(), api); err == nil {
		t.Errorf("engine %q answers", name)
	}
	dir, err := prepare(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e := &Executor{api: api, notes: notes(filepath.Join(dir, "begun")), log: slog.New(slog.DiscardHandler)}
	task := fargate.TaskSpec{TaskID: "t1", Containers: []fargate.ContainerSpec{{Name: "main", Image: testImage}}}
	err = e.Start(t.Context(), task)
	if _, refused := errors.AsType[*fargate.StartError](err); err == nil || refused {
		t.Errorf("error = %v, want one that is no StartError", err)
	}
}

func TestForgetRemovesTheContainerAndKeepsTheLog(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("print")
	e.start(t, task)
	e.exit(t, task.TaskID, "main")
	e.Forget(task.TaskID)
	eventually(t, "the container to go", func() bool { return !e.exists(t, task) })
	if e.logOf(t, task) == "" {
		t.Error("its log went too")
	}
}
