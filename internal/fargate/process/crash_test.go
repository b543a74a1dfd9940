package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// until ends a script once a file of that name is in the working directory.
func until(file string) string { return "until [ -e " + file + " ]; do sleep 0.01; done; " }

func (b *bench) touch(t testing.TB, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantFates(t testing.TB, got, want map[string]fargate.Adopted) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("fates = %v, want %v (0 not started, 1 running, 2 lost)", got, want)
	}
}

func TestTheNextEngineAdopts(t *testing.T) {
	t.Parallel()
	first := setup(t)
	runs := first.sh("runs", until("go")+"exit 3")
	ended := first.sh("ended", "exit 4")
	away := first.sh("away", until("gone")+"exit 0")
	both := first.sh("both", "exit 6")
	both.Containers = append(both.Containers, first.container("both", "side", until("go")+"exit 7"))
	for _, task := range []fargate.TaskSpec{runs, ended, away, both} {
		first.start(t, task)
	}
	wantCode(t, first.exit(t, "ended", "main"), 4)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	first.touch(t, "gone") // it ends while no engine is there

	second := setupIn(t, first.dir)
	wantFates(t, second.adopt(t, runs, ended, away, both, second.sh("never", "exit 0")), map[string]fargate.Adopted{
		"runs": fargate.AdoptedRunning, "ended": fargate.AdoptedRunning, "away": fargate.AdoptedRunning,
		"both": fargate.AdoptedRunning, "never": fargate.AdoptedNotStarted,
	})
	wantCode(t, second.exit(t, "ended", "main"), 4)
	wantCode(t, second.exit(t, "away", "main"), 0)
	wantCode(t, second.exit(t, "both", "main"), 6)
	second.start(t, second.sh("never", "exit 5")) // under a supervisor of its own
	wantCode(t, second.exit(t, "never", "main"), 5)
	second.touch(t, "go")
	wantCode(t, second.exit(t, "runs", "main"), 3)
	wantCode(t, second.exit(t, "both", "side"), 7)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}

	third := setupIn(t, first.dir)
	wantFates(t, third.adopt(t, runs), map[string]fargate.Adopted{"runs": fargate.AdoptedRunning})
	wantCode(t, third.exit(t, "runs", "main"), 3)
	eventually(t, "the older supervisors to end", func() bool { return third.supervisorsHeld(t) == 0 })
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	fourth := setupIn(t, first.dir)
	// Not at the first time, perhaps: a child that a test beside this one forks holds the lock of a look until its exec.
	eventually(t, "files of dead supervisors to go", func() bool {
		wantFates(t, fourth.adopt(t), map[string]fargate.Adopted{})
		return len(fourth.supervisors(t)) == 0
	})
}

func TestAnAdoptedTaskIsSignalled(t *testing.T) {
	t.Parallel()
	first := setup(t)
	task := first.sh("t1", `trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done`)
	task.Containers = append(task.Containers, first.container("t1", "side", "exec sleep 1000"))
	first.start(t, task)
	first.awaitLog(t, task, "ready")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := setupIn(t, first.dir)
	wantFates(t, second.adopt(t, task), map[string]fargate.Adopted{"t1": fargate.AdoptedRunning})
	for container, signal := range map[string]syscall.Signal{"main": syscall.SIGTERM, "side": syscall.SIGKILL} {
		if err := second.Signal(t.Context(), "t1", container, signal); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, second.exit(t, "t1", "main"), 42)
	wantCode(t, second.exit(t, "t1", "side"), 137)
}

// TestAClosedExecutorWritesNoMoreOnceItsTasksHaveEnded is what lets a directory be removed once its engine has closed.
func TestAClosedExecutorWritesNoMoreOnceItsTasksHaveEnded(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.start(t, e.sh("t1", "exit 3"))
	wantCode(t, e.exit(t, "t1", "main"), 3)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if held := e.supervisorsHeld(t); held != 0 {
		t.Errorf("%d supervisors live on", held)
	}
}

// TestASupervisorThatCannotWriteItsMarkerTriesAgain: until it is there no engine takes over.
func TestASupervisorThatCannotWriteItsMarkerTriesAgain(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	for name, c := range map[string]struct {
		failures, idleAfter int // idleAfter: seconds
		want                error
	}{
		"at once":                         {0, 5, nil},
		"once there is room":              {3, 5, nil},
		"never, and its tasks have ended": {9, 5, full},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				idle, tries := make(chan struct{}), 0
				time.AfterFunc(time.Duration(c.idleAfter)*time.Second+drainRetry/2, func() { close(idle) })
				err := drain(func() error {
					if tries++; tries <= c.failures {
						return full
					}
					return nil
				}, idle)
				if !errors.Is(err, c.want) || tries != min(c.failures, c.idleAfter)+1 {
					t.Errorf("%v after %d tries", err, tries)
				}
			})
		})
	}
}

// TestClosingWhatHasClosedItselfIsNoError: an executor closes its pipes when its supervisor dies.
func TestClosingWhatHasClosedItselfIsNoError(t *testing.T) {
	t.Parallel()
	e := setup(t)
	e.start(t, e.sh("t1", "exit 0"))
	wantCode(t, e.exit(t, "t1", "main"), 0)
	e.mu.Lock()
	link := e.link
	e.mu.Unlock()
	if err := errors.Join(link.close(), e.Close()); err != nil {
		t.Error(err)
	}
}

func TestATaskThatTheStateHasStoppedDoesNotRunOn(t *testing.T) {
	t.Parallel()
	first := setup(t)
	first.start(t, first.sh("t1", "exec sleep 1000"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := setupIn(t, first.dir)
	second.adopt(t)
	eventually(t, "its supervisor to end", func() bool { return second.supervisorsHeld(t) == 0 })
}

// TestARemovalThatWasCutShortLosesNoTask plays an engine that is killed while it clears up after a dead supervisor: a task
// that nobody started must not count as lost for it.
func TestARemovalThatWasCutShortLosesNoTask(t *testing.T) {
	t.Parallel()
	for removed := range len(removalOrder()) + 1 {
		t.Run(fmt.Sprintf("after %d files", removed), func(t *testing.T) {
			t.Parallel()
			first := setup(t)
			first.start(t, first.sh("t1", "exit 0"))
			wantCode(t, first.exit(t, "t1", "main"), 0)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "its supervisor to end", func() bool { return first.supervisorsHeld(t) == 0 })
			id := first.supervisors(t)[0]
			for _, suffix := range removalOrder()[:removed] {
				if err := os.Remove(first.files.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			}
			second := setupIn(t, first.dir)
			other := second.sh("t2", "exit 0")
			wantFates(t, second.adopt(t, other), map[string]fargate.Adopted{"t2": fargate.AdoptedNotStarted})
		})
	}
}

func TestASupervisorDiesUnderALivingEngine(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.sh("t1", `echo ready; setsid sleep 1000 & sleep 1000`)
	task.Containers = append(task.Containers, e.container("t1", "side", "exit 8"))
	e.start(t, task)
	e.awaitLog(t, task, "ready")
	wantCode(t, e.exit(t, "t1", "side"), 8)
	if err := syscall.Kill(e.supervisorPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, e.exit(t, "t1", "main"))
	if e.marked("t1") {
		t.Error("the task runs on")
	}
	e.start(t, e.sh("t2", "exit 2"))
	wantCode(t, e.exit(t, "t2", "main"), 2)
	wantCode(t, e.exit(t, "t1", "side"), 8) // its exit stays what it was
}

func TestASupervisorDiesUnderAnAdoptingEngine(t *testing.T) {
	t.Parallel()
	first := setup(t)
	task := first.sh("t1", "exec sleep 1000")
	first.start(t, task)
	pid := first.supervisorPID()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := setupIn(t, first.dir)
	wantFates(t, second.adopt(t, task), map[string]fargate.Adopted{"t1": fargate.AdoptedRunning})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	wantUnknown(t, second.exit(t, "t1", "main"))
}

func TestEngineAndSupervisorDieTogether(t *testing.T) {
	t.Parallel()
	first := setup(t)
	lost := first.sh("lost", "echo ready; exec sleep 1000")
	ended := first.sh("ended", "exit 9")
	first.start(t, lost)
	first.start(t, ended)
	first.awaitLog(t, lost, "ready")
	wantCode(t, first.exit(t, "ended", "main"), 9)
	// Stopped first: so it cannot drain between the death of the one and of the other.
	pid := first.supervisorPID()
	stopAndWait(t, pid)
	if err := errors.Join(first.Close(), syscall.Kill(pid, syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lock to be free", func() bool { return first.supervisorsHeld(t) == 0 })
	unheard := first.sh("unheard", "exit 0")
	want := map[string]fargate.Adopted{
		"lost": fargate.AdoptedLost, "ended": fargate.AdoptedRunning,
		"unheard": fargate.AdoptedLost, // it may have been in the hands of the supervisor that died
	}

	second := setupIn(t, first.dir)
	wantFates(t, second.adopt(t, lost, ended, unheard), want)
	if second.marked("lost") {
		t.Error("a lost task runs")
	}
	wantCode(t, second.exit(t, "ended", "main"), 9)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}

	third := setupIn(t, first.dir) // the answer of the second was not stored; a new task had been handed to it
	want["later"] = fargate.AdoptedNotStarted
	wantFates(t, third.adopt(t, lost, ended, unheard, third.sh("later", "exit 0")), want)
}

// stopAndWait has a child stop, and waits until all its threads have: they run on for a moment after the signal.
func stopAndWait(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait for %d to stop: %v, status %v", pid, err, status)
	}
}

// runEngine is an engine that starts tasks without end, four at a time, and says which before it does; the tests kill it.
func runEngine(args []string) int {
	dir, self := args[0], os.Args[0]
	e, err := New(Config{
		Dir: filepath.Join(dir, "executor"), WorkingDirectory: dir, Command: superviseCommand(self),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	b := &bench{Executor: e, dir: dir}
	var number atomic.Int64
	for range 4 {
		go func() {
			for {
				task := b.sh(fmt.Sprint("task", number.Add(1)), engineTask)
				fmt.Println(task.TaskID)
				if err := e.Start(context.Background(), task); err != nil {
					fmt.Println(err)
				}
			}
		}()
	}
	select {}
}

// engineTask is what runEngine's tasks do. They end no sooner than the test wants.
const engineTask = "echo once; until [ -e go ]; do sleep 0.1; done; exit 11"

func TestTheEngineIsKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	for announced := 1; announced <= 25; announced += 3 {
		t.Run(fmt.Sprint("after announcing task ", announced), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tasks := b.killEngine(t, announced)
			fates := b.adopt(t, tasks...)
			b.touch(t, "go")
			for _, task := range tasks {
				switch fates[task.TaskID] {
				case fargate.AdoptedRunning:
				case fargate.AdoptedNotStarted: // so it may be started, and runs for the first time
					b.start(t, task)
				default:
					t.Errorf("%s is lost although its supervisor lived", task.TaskID)
					continue
				}
				wantCode(t, b.exit(t, task.TaskID, "main"), 11)
				if got := b.log(t, task); got != "once\n" {
					t.Errorf("log of %s (fate %d) = %q, want it to have run once", task.TaskID, fates[task.TaskID], got)
				}
			}
		})
	}
}

// killEngine runs an engine, kills it as soon as it has announced so many tasks, and returns all that it announced.
func (b *bench) killEngine(t *testing.T, announced int) []fargate.TaskSpec {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	engine := exec.Command(self, engineVerb, b.dir)
	out, err := engine.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	var tasks []fargate.TaskSpec
	for lines := bufio.NewScanner(out); lines.Scan(); {
		tasks = append(tasks, b.sh(lines.Text(), engineTask))
		if len(tasks) == announced {
			if err := engine.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = engine.Wait() // it was killed
	if len(tasks) < announced {
		t.Fatalf("the engine announced %d tasks, want %d", len(tasks), announced)
	}
	return tasks
}
