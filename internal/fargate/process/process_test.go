package process

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// engineVerb makes the test binary an engine of its own that the tests can kill (see crash_test.go).
const engineVerb = "__engine"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case Verb:
			os.Exit(Supervise(os.Args[2:]))
		case engineVerb:
			os.Exit(runEngine(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// patience bounds every wait for a condition; a test that needs so long has failed.
const patience = 2 * time.Minute

// bench is an executor with its exits collected.
type bench struct {
	*Executor
	dir string

	mu    sync.Mutex
	exits map[string]fargate.ContainerExit // by task/container
	came  *sync.Cond
}

// setup returns a fresh executor on a directory of its own. Whatever a test leaves running is killed at its end.
func setup(t testing.TB) *bench {
	t.Helper()
	return setupIn(t, t.TempDir())
}

// setupIn returns the next executor on a directory.
func setupIn(t testing.TB, dir string) *bench {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{
		Dir: filepath.Join(dir, "executor"), WorkingDirectory: dir, Path: os.Getenv("PATH"), Home: dir,
		Command: superviseCommand(self), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Executor: e, dir: dir, exits: map[string]fargate.ContainerExit{}}
	b.came = sync.NewCond(&b.mu)
	go b.collect()
	t.Cleanup(func() { b.tearDown(t) })
	return b
}

// superviseCommand runs the test binary as supervisor, without the second that the race detector takes at its exit.
func superviseCommand(self string) []string {
	return []string{"env", "GORACE=atexit_sleep_ms=0", self, Verb}
}

func (b *bench) collect() {
	for {
		select {
		case exit := <-b.Exits():
			b.mu.Lock()
			b.exits[exit.TaskID+"/"+exit.Container] = exit
			b.came.Broadcast()
			b.mu.Unlock()
		case <-b.closed:
			return
		}
	}
}

func (b *bench) tearDown(t testing.TB) {
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	remains := map[string]history{}
	for _, id := range b.supervisors(t) {
		journal := b.journalOf(id)
		if err := journal.read(); err != nil {
			t.Error(err)
		}
		for task, h := range journal.tasks {
			remains[task] = *h
		}
	}
	b.killRemains(remains)
	eventually(t, "supervisors to end", func() bool { return b.supervisorsHeld(t) == 0 })
}

// supervisors lists those whose files are there.
func (b *bench) supervisors(t testing.TB) []string {
	t.Helper()
	ids, err := b.files.ids()
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func (b *bench) supervisorsHeld(t testing.TB) int {
	t.Helper()
	count := 0
	for _, id := range b.supervisors(t) {
		held, err := b.files.held(id)
		if err != nil {
			t.Fatal(err)
		}
		if held {
			count++
		}
	}
	return count
}

// start runs a task and fails the test if it does not.
func (b *bench) start(t testing.TB, task fargate.TaskSpec) {
	t.Helper()
	if err := b.Start(t.Context(), task); err != nil {
		t.Fatalf("start %s: %v", task.TaskID, err)
	}
}

// exit waits for a container's exit.
func (b *bench) exit(t testing.TB, task, container string) fargate.ContainerExit {
	t.Helper()
	watchdog := time.AfterFunc(patience, func() { b.came.Broadcast() })
	defer watchdog.Stop()
	began := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if exit, ok := b.exits[task+"/"+container]; ok {
			return exit
		}
		if time.Since(began) >= patience {
			t.Fatalf("no exit of %s/%s", task, container)
		}
		b.came.Wait()
	}
}

// seen returns how many exits have come.
func (b *bench) seen() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.exits)
}

// sh is a task with one container, main, that runs a script.
func (b *bench) sh(taskID, script string) fargate.TaskSpec {
	return fargate.TaskSpec{TaskID: taskID, Containers: []fargate.ContainerSpec{b.container(taskID, "main", script)}}
}

func (b *bench) container(taskID, name, script string) fargate.ContainerSpec {
	return fargate.ContainerSpec{
		Name: name, EntryPoint: []string{"sh", "-c"}, Command: []string{script}, Essential: true,
		LogFile: filepath.Join(b.dir, "logs", taskID, name+".log"),
	}
}

// log returns what a container of the task has printed.
func (b *bench) log(t testing.TB, task fargate.TaskSpec) string {
	t.Helper()
	data, err := os.ReadFile(task.Containers[0].LogFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// awaitLog waits until a task has printed something.
func (b *bench) awaitLog(t testing.TB, task fargate.TaskSpec, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in the log of %s", text, task.TaskID), func() bool {
		return strings.Contains(b.log(t, task), text)
	})
}

func (b *bench) adopt(t testing.TB, tasks ...fargate.TaskSpec) map[string]fargate.Adopted {
	t.Helper()
	fates, err := b.Adopt(t.Context(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	return fates
}

// supervisorPID is the process id of the supervisor that takes new tasks.
func (b *bench) supervisorPID() int {
	b.Executor.mu.Lock()
	defer b.Executor.mu.Unlock()
	return b.link.cmd.Process.Pid
}

// wantCode fails the test unless a container has exited with the code and nothing to be said about it.
func wantCode(t testing.TB, got fargate.ContainerExit, want int) {
	t.Helper()
	if got.ExitCode == nil || *got.ExitCode != want || got.Reason != "" || got.At.IsZero() {
		t.Errorf("exit of %s/%s = %s, want code %d", got.TaskID, got.Container, show(got), want)
	}
}

// wantUnknown fails the test unless a container's exit code is not known, for the reason that its supervisor died.
func wantUnknown(t testing.TB, got fargate.ContainerExit) {
	t.Helper()
	if got.ExitCode != nil || got.Reason != reasonSupervisorDied || got.At.IsZero() {
		t.Errorf("exit of %s/%s = %s, want no code and the supervisor's death", got.TaskID, got.Container, show(got))
	}
}

func show(exit fargate.ContainerExit) string {
	code := "none"
	if exit.ExitCode != nil {
		code = fmt.Sprint(*exit.ExitCode)
	}
	return fmt.Sprintf("{code %s, reason %q, at %s}", code, exit.Reason, exit.At)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}

// writeProgram writes what is to be executed while nobody forks: a child would hold the file open for writing until its exec,
// and who executes it meanwhile is told that it is busy.
func writeProgram(t testing.TB, path, content string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
}

// runs tells whether a process exists and has not ended.
func runs(pid int) bool {
	return syscall.Kill(pid, 0) == nil && !inspect(pid).zombie
}

// marked tells whether a process of a task runs.
func (b *bench) marked(taskID string) bool {
	return killMarked(b.config.Dir, map[string]bool{taskID: true}) != 0
}
