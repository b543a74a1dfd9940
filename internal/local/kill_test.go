package local

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// upEnvironment makes the test binary a process that does nothing but Up on the data directory it names.
const upEnvironment = "SPOTBATCH_TEST_UP"

func upAsProcess(dir string) int {
	s, err := Open(context.Background(), processOptions(dir))
	if err == nil {
		s.Engine.Roll = lowRoll
		err = s.Up(context.Background(), func(Status) { fmt.Println("ready") })
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func processOptions(dir string) Options {
	return Options{
		DataDir: filepath.Join(dir, "data"), TaskDefinitions: []string{filepath.Join(dir, "sh.json")}, Executor: "process",
		MaxTasks: 8, Path: "/usr/local/bin:/usr/bin:/bin", Home: dir, Log: slog.New(slog.DiscardHandler),
	}
}

// startUp starts an engine process of its own, which does not outlive the test, and waits until it executes.
func startUp(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), upEnvironment+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatalf("the engine did not come up: %v", err)
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// prepareDir makes a directory with the shell's task definition and a system opened for calls alone.
func prepareDir(t *testing.T) (string, *testSystem) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sh.json"), []byte(shellDefinition), 0o600); err != nil {
		t.Fatal(err)
	}
	system, err := Open(t.Context(), processOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = system.Close()
		awaitSupervisors(t, filepath.Join(dir, "data"))
	})
	return dir, &testSystem{System: system}
}

// awaitSupervisors waits for those that their engine left behind: each writes a last file before it ends and gives up its
// lock, and the data directory cannot be removed before.
func awaitSupervisors(t *testing.T, dataDir string) {
	t.Helper()
	locks, err := filepath.Glob(filepath.Join(dataDir, "processes", "*.lock"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range locks {
		f, err := os.Open(path)
		if err != nil {
			continue // somebody has cleared up after it
		}
		eventually(t, "the end of the supervisor of "+path, func() bool {
			return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
		})
		_ = f.Close()
	}
}

// witness is a job that leaves a trace: it holds a directory while it runs, so that a second run at the same time shows, and
// counts its runs.
func witness(dir string, n int, seconds string) string {
	trace := filepath.Join(dir, "trace-"+strconv.Itoa(n))
	script := fmt.Sprintf("mkdir %[1]s.running || echo twice >> %[1]s.twice; echo run >> %[1]s.runs; sleep %[2]s; rmdir %[1]s.running; exit %[3]d", trace, seconds, n%3)
	return fmt.Sprintf(`{"jobName":"witness","jobId":"witness-%d","taskDefinition":"sh","containerOverrides":{"command":[%q]}}`, n, script)
}

// TestKilledAtAHundredRandomMoments kills the engine process a hundred times while jobs run: none is lost, none runs twice,
// and each ends with its own exit code.
func TestKilledAtAHundredRandomMoments(t *testing.T) {
	t.Parallel()
	kills, jobCount := 100, 120
	if testing.Short() {
		kills, jobCount = 10, 20
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))

	dir, s := prepareDir(t)
	cmd := startUp(t, dir)
	submitted := 0
	for range kills {
		for range (jobCount + kills - 1) / kills {
			if submitted < jobCount {
				submit(t, s, witness(dir, submitted, fmt.Sprintf("0.%02d", 5+dice.IntN(30))))
				submitted++
			}
		}
		time.Sleep(time.Duration(dice.IntN(40)) * time.Millisecond) // the random moment, not a synchronisation
		kill(cmd)
		cmd = startUp(t, dir)
	}
	for n := range jobCount {
		j := wait(t, s, "witness-"+strconv.Itoa(n), "ended", ended)
		want := "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0"
		if code := n % 3; code != 0 {
			want = fmt.Sprintf("FAILED EXIT_NONZERO: 1 FARGATE_SPOT EXIT_NONZERO %d", code)
		}
		if got := story(j); got != want {
			t.Errorf("job %d ended as\n%s\nwant\n%s\n(%s)", n, got, want, j.Attempts[0].Reason)
		}
		trace := filepath.Join(dir, "trace-"+strconv.Itoa(n))
		if runs, _ := os.ReadFile(trace + ".runs"); strings.Count(string(runs), "run") != 1 {
			t.Errorf("job %d ran %d times", n, strings.Count(string(runs), "run"))
		}
		if _, err := os.Stat(trace + ".twice"); err == nil {
			t.Errorf("job %d ran twice at the same time", n)
		}
	}
}

// runsForEverOnce submits a job whose first run sleeps, and waits until it does; the second finds a marker and ends.
func runsForEverOnce(t *testing.T, s *testSystem, dir, sleep string) *jobs.Job {
	t.Helper()
	marker := filepath.Join(dir, "second")
	j := submit(t, s, request("cut-short", fmt.Sprintf("if [ -e %[1]s ]; then exit 0; fi; touch %[1]s; %[2]s", marker, sleep), ""))
	return wait(t, s, j.JobID, "running", func(j *jobs.Job) bool {
		_, err := os.Stat(marker)
		return err == nil && j.Status == jobs.StatusRunning
	})
}

// TestKilledTogetherWithItsSupervisors is the one case in which nobody knows how a task ended: it is said so, and the job
// runs again only when nothing of the old task is left.
func TestKilledTogetherWithItsSupervisors(t *testing.T) {
	t.Parallel()
	needProc(t)
	dir, s := prepareDir(t)
	cmd := startUp(t, dir)
	j := runsForEverOnce(t, s, dir, "sleep 1000")
	supervisors := childrenOf(t, cmd.Process.Pid)
	if len(supervisors) == 0 {
		t.Fatal("no supervisor found")
	}
	kill(cmd)
	for _, pid := range supervisors {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	startUp(t, dir)
	j = wait(t, s, j.JobID, "past its first attempt", func(j *jobs.Job) bool { return j.Attempts[0].Status == jobs.AttemptStopped })
	if a := j.Attempts[0]; a.Cause != jobs.CausePlatformFailure || !strings.Contains(a.Reason, "supervisor") || a.ExitCode != nil {
		t.Errorf("attempt 1: %s %q, exit code %v; want PLATFORM_FAILURE that says so, without an exit code", a.Cause, a.Reason, a.ExitCode)
	}
	if j = wait(t, s, j.JobID, "ended", ended); j.Status != jobs.StatusSucceeded {
		t.Errorf("%s: %s", j.Status, j.StatusReason)
	}
}

// TestAnOrderlyShutdownIsNotTheJobsOwnFailure ends every process with SIGTERM, as a machine that is shut down does.
func TestAnOrderlyShutdownIsNotTheJobsOwnFailure(t *testing.T) {
	t.Parallel()
	needProc(t)
	dir, s := prepareDir(t)
	cmd := startUp(t, dir)
	j := runsForEverOnce(t, s, dir, "exec sleep 1000")
	supervisors := childrenOf(t, cmd.Process.Pid)
	if len(supervisors) != 1 {
		t.Fatalf("found %d supervisors", len(supervisors))
	}
	// The supervisor first: it would take a signal to the task alone, long before its own, for somebody else's.
	for _, pid := range slices.Concat(supervisors, childrenOf(t, supervisors[0]), []int{cmd.Process.Pid}) {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	_ = cmd.Wait()
	startUp(t, dir) // the machine is up again
	j = wait(t, s, j.JobID, "ended", ended)
	if first := j.Attempts[0]; j.Status != jobs.StatusSucceeded || first.Cause != jobs.CausePlatformFailure || first.ExitCode != nil {
		t.Errorf("%s: %s; attempt 1: %s %q, exit code %v; want PLATFORM_FAILURE and a second attempt", j.Status, j.StatusReason, first.Cause, first.Reason, first.ExitCode)
	}
}

// needProc skips a test that has to know the supervisor, before it has started one.
func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc here")
	}
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Fatalf("no /proc is here: %v", err)
	}
	var children []int
	for _, stat := range stats {
		text, _ := os.ReadFile(stat) // one that has gone is nobody's child
		id, rest, _ := strings.Cut(string(text), " ")
		// The program's name is in parentheses and may hold any. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
		if child, err := strconv.Atoi(id); err == nil && len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, child)
		}
	}
	return children
}

// TestASecondEngineIsRefused holds the rule that one process executes.
func TestASecondEngineIsRefused(t *testing.T) {
	t.Parallel()
	s := up(t)
	second, err := Open(t.Context(), s.options)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.Up(t.Context(), func(Status) {}); err == nil || !strings.Contains(err.Error(), ErrLocked.Error()) {
		t.Errorf("a second engine: %v, want %v", err, ErrLocked)
	}
	if !second.Running() {
		t.Error("Running says that nobody executes")
	}
}

func TestAnEngineWhoseDataDirectoryIsGoneEnds(t *testing.T) {
	t.Parallel()
	dir, _ := prepareDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), upEnvironment+"="+dir)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		t.Fatal(err)
	}
	defer kill(cmd)
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "data"), filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	// Any part of it may be the first to notice, and says it in its own words.
	if err := cmd.Wait(); err == nil || said.Len() == 0 {
		t.Errorf("ended with %v, saying %q", err, said.String())
	}
}

// TestTwoProcessesSubmitAThousandJobsEach has two processes write to one data directory while the engine runs.
func TestTwoProcessesSubmitAThousandJobsEach(t *testing.T) {
	t.Parallel()
	each := 1000
	if testing.Short() {
		each = 50
	}
	dir, s := prepareDir(t)
	startUp(t, dir)
	var submitters []*exec.Cmd
	for n := range 2 {
		submitter := exec.Command(os.Args[0])
		submitter.Env = append(os.Environ(), fmt.Sprintf("%s=%s", submitEnvironment, dir), fmt.Sprintf("FIRST=%d", n*each), fmt.Sprintf("COUNT=%d", each))
		submitter.Stderr = os.Stderr
		if err := submitter.Start(); err != nil {
			t.Fatal(err)
		}
		submitters = append(submitters, submitter)
	}
	for _, submitter := range submitters {
		if err := submitter.Wait(); err != nil {
			t.Fatalf("submitter: %v", err)
		}
	}
	for n := range 2 * each {
		j := wait(t, s, fmt.Sprintf("bulk-%d", n), "ended", ended)
		if got := story(j); got != "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0" {
			t.Fatalf("job %d ended as %s", n, got)
		}
	}
}

// submitEnvironment makes the test binary a process that submits COUNT jobs from FIRST on.
const submitEnvironment = "SPOTBATCH_TEST_SUBMIT"

func submitAsProcess(dir string) int {
	ctx := context.Background()
	s, err := Open(ctx, processOptions(dir))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	first, _ := strconv.Atoi(os.Getenv("FIRST"))
	count, _ := strconv.Atoi(os.Getenv("COUNT"))
	errs := make(chan error)
	for worker := range 16 {
		go func() {
			var err error
			for n := worker; n < count && err == nil; n += 16 {
				id := fmt.Sprintf("bulk-%d", first+n)
				body := fmt.Sprintf(`{"jobName":"bulk","jobId":%q,"taskDefinition":"sh","containerOverrides":{"command":["true"]}}`, id)
				_, err = s.Engine.Submit(ctx, engine.Submission{JobID: id, Body: []byte(body)})
			}
			errs <- err
		}()
	}
	for range 16 {
		if err := <-errs; err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}
