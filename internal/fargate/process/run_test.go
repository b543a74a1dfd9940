package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spotbatch/spotbatch/internal/fargate"
)

func TestExitCode(t *testing.T) {
	t.Parallel()
	e := setup(t)
	for name, test := range map[string]struct {
		script string
		want   int
	}{
		"zero is a code and not its absence":    {"exit 0", 0},
		"that of the program":                   {"exit 7", 7},
		"the highest":                           {"exit 255", 255},
		"128 and the signal that killed it":     {"kill -KILL $$", 137},
		"a signal with a core dump as any":      {"ulimit -c 0; kill -ABRT $$", 134},
		"that of the main process, not a child": {"(exit 9); exit 3", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.NewReplacer(" ", "-", ",", "").Replace(name)
			e.start(t, e.sh(id, test.script))
			wantCode(t, e.exit(t, id, "main"), test.want)
		})
	}
}

func TestOutputGoesToTheLogAndInputIsEmpty(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", "echo out; echo err >&2; read line || echo end of input")
	e.start(t, task)
	wantCode(t, e.exit(t, "t1", "main"), 0)
	if got, want := e.log(t, task), "out\nerr\nend of input\n"; got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
	again := e.sh("t2", "echo more")
	again.Containers[0].LogFile = task.Containers[0].LogFile
	e.start(t, again)
	wantCode(t, e.exit(t, "t2", "main"), 0)
	if got, want := e.log(t, task), "out\nerr\nend of input\nmore\n"; got != want {
		t.Errorf("log after a second task = %q, want %q", got, want)
	}
	for path, want := range map[string]os.FileMode{task.Containers[0].LogFile: 0o600, filepath.Dir(task.Containers[0].LogFile): 0o700} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %s = %o, want %o", path, got, want)
		}
	}
}

func TestEnvironmentIsTheContainersWithPathAndHome(t *testing.T) {
	t.Setenv("SPOTBATCH_TEST_SECRET", "of the engine") // not parallel, for this
	e := setup(t)
	task := e.sh("t1", "")
	task.Containers[0].EntryPoint, task.Containers[0].Command = nil, []string{"env"}
	task.Containers[0].Environment = []string{"A=1", "B=two words", "A=3", "HOME=/elsewhere", marker + "=forged"}
	e.start(t, task)
	wantCode(t, e.exit(t, "t1", "main"), 0)
	got := strings.Split(strings.TrimSpace(e.log(t, task)), "\n")
	slices.Sort(got)
	want := []string{"A=3", "B=two words", "HOME=/elsewhere", "PATH=" + os.Getenv("PATH"), marker + "=" + e.mark("t1", "main")}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

func TestItRunsWhereSpotbatchWasStarted(t *testing.T) {
	t.Parallel()
	e := setup(t)
	writeProgram(t, filepath.Join(e.dir, "job.sh"), "#!/bin/sh\npwd -P\n")
	task := e.sh("t1", "")
	task.Containers[0].EntryPoint, task.Containers[0].Command = []string{"./job.sh"}, nil
	task.Containers[0].WorkingDirectory = "/inside/an/image"
	e.start(t, task)
	wantCode(t, e.exit(t, "t1", "main"), 0)
	want, err := filepath.EvalSymlinks(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(e.log(t, task)); got != want {
		t.Errorf("working directory = %q, want %q", got, want)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.touch(t, "plain")
	for name, content := range map[string]string{"garbage": "no program\x00", "orphan": "#!/no/such/interpreter\n"} {
		writeProgram(t, filepath.Join(e.dir, name), content)
	}
	long := strings.Repeat("x", 1<<18) // Linux takes 128 KiB in one argument
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"neither entry point nor command": {nil, "container main has neither entryPoint nor command"},
		"empty program":                   {[]string{"", "x"}, "container main has neither entryPoint nor command"},
		"not on PATH":                     {[]string{"no-such-program", "s3cret"}, `exec: "no-such-program": executable file not found in $PATH`},
		"no such file":                    {[]string{"./absent", "s3cret"}, `exec: "./absent": no such file or directory`},
		"a directory":                     {[]string{"/", "s3cret"}, `exec: "/": is a directory`},
		"not executable":                  {[]string{"./plain", "s3cret"}, `exec: "./plain": permission denied`},
		"not a program":                   {[]string{"./garbage", "s3cret"}, `exec: "./garbage": exec format error`},
		"no interpreter":                  {[]string{"./orphan", "s3cret"}, `exec: "./orphan": no such file or directory`},
		"too long an argument":            {[]string{"true", long}, `exec: "true": argument list too long`},
		"a NUL in an argument":            {[]string{"true", "s3cret\x00"}, `exec: "true": invalid argument`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "too long an argument" && runtime.GOOS != "linux" {
				t.Skip("the limit is Linux's")
			}
			task := e.sh(strings.ReplaceAll(name, " ", "-"), "")
			task.Containers[0].EntryPoint, task.Containers[0].Command = nil, test.args
			task.Containers[0].Environment = []string{"PASSWORD=s3cret"}
			err := e.Start(t.Context(), task)
			refused, ok := errors.AsType[*fargate.StartError](err)
			if !ok {
				t.Fatalf("error = %v, want a StartError", err)
			}
			if want := "CannotStartContainerError: " + test.want; refused.Reason != want {
				t.Errorf("reason = %q, want %q", refused.Reason, want)
			}
		})
	}
}

func TestNothingRunsOfATaskWhoseSecondContainerIsRefused(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", "exec sleep 1000")
	bad := e.container("t1", "bad", "")
	bad.EntryPoint, bad.Command = nil, []string{filepath.Join(e.dir, "garbage")}
	writeProgram(t, bad.Command[0], "\x00")
	task.Containers = append(task.Containers, bad)
	if _, refused := errors.AsType[*fargate.StartError](e.Start(t.Context(), task)); !refused {
		t.Fatal("the task was not refused")
	}
	if e.marked("t1") {
		t.Error("its first container runs")
	}
	e.start(t, e.sh("t2", "exit 0"))
	wantCode(t, e.exit(t, "t2", "main"), 0)
	if e.seen() != 1 {
		t.Errorf("%d exits delivered, want only that of another task", e.seen())
	}
}

func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", "true")
	task.Containers[0].LogFile = filepath.Join(e.dir, "file", "log")
	if err := os.WriteFile(filepath.Join(e.dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := e.Start(t.Context(), task)
	if _, refused := errors.AsType[*fargate.StartError](err); err == nil || refused {
		t.Errorf("error for a log that cannot be opened = %v, want one that is no StartError", err)
	}
	for _, id := range []string{"", "../up", "a/b"} {
		if err := e.Start(t.Context(), e.sh(id, "true")); err == nil {
			t.Errorf("task id %q was accepted", id)
		}
	}
}

func TestSignalIsHandledAndTheCodeKept(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", `trap 'echo saved; exit 42' TERM; echo ready; while :; do sleep 0.01; done`)
	e.start(t, task)
	e.awaitLog(t, task, "ready")
	if err := e.Signal(t.Context(), "t1", "", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantCode(t, e.exit(t, "t1", "main"), 42)
	e.awaitLog(t, task, "saved")
	if err := e.Signal(t.Context(), "t1", "", syscall.SIGKILL); err != nil {
		t.Errorf("signal to what has exited: %v", err)
	}
	if err := e.Signal(t.Context(), "unknown", "main", syscall.SIGKILL); err != nil {
		t.Errorf("signal to what nobody knows: %v", err)
	}
}

func TestSignalReachesOneContainerOrAll(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", "exec sleep 1000")
	task.Containers = append(task.Containers, e.container("t1", "side", "exec sleep 1000"), e.container("t1", "log", "exec sleep 1000"))
	e.start(t, task)
	for _, step := range []struct {
		container string
		signal    syscall.Signal
	}{{"side", syscall.SIGTERM}, {"", syscall.SIGKILL}} {
		if err := e.Signal(t.Context(), "t1", step.container, step.signal); err != nil {
			t.Fatal(err)
		}
		if step.container != "" {
			wantCode(t, e.exit(t, "t1", step.container), 128+int(step.signal))
		}
	}
	wantCode(t, e.exit(t, "t1", "main"), 137)
	wantCode(t, e.exit(t, "t1", "log"), 137)
	wantCode(t, e.exit(t, "t1", "side"), 143)
}

func TestSignalReachesTheWholeGroup(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", `trap 'wait; exit 5' TERM; (trap 'echo child; exit' TERM; echo ready; while :; do sleep 0.01; done) & wait`)
	e.start(t, task)
	e.awaitLog(t, task, "ready")
	if err := e.Signal(t.Context(), "t1", "main", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantCode(t, e.exit(t, "t1", "main"), 5)
	e.awaitLog(t, task, "child")
}

func TestTheEndOfAContainerEndsAllInIt(t *testing.T) {
	t.Parallel()
	e := setup(t)
	scripts := map[string]string{"grandchildren in its group": `sh -c 'sleep 1000 & echo $!; wait' & sleep 1000 & echo $!`}
	if runtime.GOOS == "linux" { // elsewhere there are no subreapers
		scripts["daemons in sessions of their own"] = `setsid sh -c 'echo $$; setsid sh -c "echo \$\$; exec sleep 1000" & exec sleep 1000' &`
	}
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			task := e.sh(strings.ReplaceAll(name, " ", "-"), script+"\nuntil [ -e "+name[:4]+" ]; do sleep 0.01; done; exit 4")
			e.start(t, task)
			eventually(t, "both to say who they are", func() bool { return strings.Count(e.log(t, task), "\n") == 2 })
			if err := os.WriteFile(filepath.Join(e.dir, name[:4]), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			wantCode(t, e.exit(t, task.TaskID, "main"), 4)
			for line := range strings.FieldsSeq(e.log(t, task)) {
				pid, err := strconv.Atoi(line)
				if err != nil {
					t.Fatal(err)
				}
				eventually(t, fmt.Sprintf("process %d to be killed", pid), func() bool { return !runs(pid) })
			}
		})
	}
}

func TestAHundredTasksAtOnce(t *testing.T) {
	t.Parallel()
	e := setup(t)
	const tasks = 100
	var wg sync.WaitGroup
	for i := range tasks {
		wg.Go(func() {
			id := fmt.Sprint("task", i)
			if err := e.Start(t.Context(), e.sh(id, fmt.Sprintf("until [ -e go ]; do sleep 0.1; done; exit %d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := os.WriteFile(filepath.Join(e.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range tasks {
		wantCode(t, e.exit(t, fmt.Sprint("task", i), "main"), i)
	}
	if got := len(e.supervisors(t)); got != 1 {
		t.Errorf("%d supervisors, want one for all", got)
	}
}

func TestATaskIsStartedOnce(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.start(t, e.sh("t1", "exec sleep 1000"))
	if err := e.Start(t.Context(), e.sh("t1", "true")); err == nil {
		t.Error("the same task was started twice")
	}
}
