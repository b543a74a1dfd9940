package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const good = `{"jobName":"nightly","taskDefinition":"work"}`

// withID is a good request with a job id.
func withID(id string) string {
	return `{"jobName":"nightly","jobId":"` + id + `","taskDefinition":"work"}`
}

// succeed runs a job to a good end at once.
func succeed(m *fakeMachine, j *jobs.Job) { finish(m, j.JobID, jobs.CauseSucceeded, 0) }

// finish runs a job to an end at once.
func finish(m *fakeMachine, id string, cause jobs.Cause, code int) {
	m.move(id, func(j *jobs.Job) {
		j.BeginAttempt(jobs.FargateSpot, m.now())
		j.TaskCreated("arn:aws:ecs:local:000000000000:task/local/" + id)
		j.TaskRunning(m.now())
		j.StopAttempt(jobs.AttemptEnd{Cause: cause, ExitCode: exitCode(code), StoppedAt: m.now().Add(5 * time.Second)})
		status := jobs.StatusFailed
		switch cause {
		case jobs.CauseSucceeded:
			status = jobs.StatusSucceeded
		case jobs.CauseCancelled:
			status = jobs.StatusCancelled
		default:
		}
		j.End(status, cause, fmt.Sprintf("Attempt 1 ended as %s.", cause), m.now().Add(5*time.Second))
	})
}

func TestCommands(t *testing.T) {
	t.Parallel()
	ended := func(m *fakeMachine) {
		m.put(newJob("done"), newJob("live"))
		m.write("done", 1, "hello\n")
		finish(m, "done", jobs.CauseExitNonzero, 3)
		m.move("live", func(j *jobs.Job) {
			begin(j, jobs.FargateSpot, epoch)
			j.TaskRunning(epoch)
		})
	}
	billed := func(m *fakeMachine) { // interrupted on Spot after an hour, then on-demand
		ended(m)
		j := newJob("billed")
		ran(j, jobs.FargateSpot, 0, 3600, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143)})
		ran(j, jobs.FargateOnDemand, 3700, 36000, jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)})
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "", epoch.Add(39710*time.Second))
		m.put(j)
	}
	for name, c := range map[string]struct {
		setup func(*fakeMachine)
		stdin string
		args  []string
	}{
		"submit one":                           {nil, good, []string{"submit"}},
		"submit several, some of them bad":     {nil, withID("a") + "\n{\"jobName\":7}\n{\n" + withID("b"), []string{"submit", "-f", "-"}},
		"submit says that nothing executes":    {func(m *fakeMachine) { m.idle = true }, good, []string{"submit", "-q"}},
		"submit as documents":                  {nil, "[" + withID("a") + "," + withID("b") + "]", []string{"submit", "-o", "json"}},
		"submit without any request":           {nil, "", []string{"submit"}},
		"submit to a store that fails":         {func(m *fakeMachine) { m.refuse = "bad" }, withID("a") + "\n" + strings.Replace(good, "nightly", "bad", 1), []string{"submit"}},
		"submit from a file that is not there": {nil, "", []string{"submit", "-f", "testdata/nothing.json"}},
		"run one, which fails": {func(m *fakeMachine) {
			m.accepted = func(m *fakeMachine, j *jobs.Job) {
				m.write(j.JobID, 1, "hello\n")
				finish(m, j.JobID, jobs.CauseExitNonzero, 3)
			}
		}, good, []string{"run"}},
		"run one as a document": {func(m *fakeMachine) { m.accepted = succeed }, good, []string{"run", "-o", "json"}},
		"run several":           {func(m *fakeMachine) { m.accepted = succeed }, withID("a") + withID("b"), []string{"run"}},
		"run several, of which one does not end well": {
			func(m *fakeMachine) {
				m.accepted = func(m *fakeMachine, j *jobs.Job) {
					if j.JobID == "b" {
						finish(m, "b", jobs.CauseCancelled, 143)
						return
					}
					succeed(m, j)
				}
			}, withID("a") + withID("b") + withID("c"), []string{"run"},
		},
		"run quietly, with a bad request": {func(m *fakeMachine) { m.accepted = succeed }, withID("a") + withID("b") + `{}`, []string{"run", "-q"}},
		"run only bad requests":           {nil, `[{}, {"jobName":"x"}]`, []string{"run"}},
		"local run":                       {func(m *fakeMachine) { m.accepted = succeed }, good, []string{"local", "run", "-f", "-", "--max-tasks", "2"}},
		"local run with nothing to do":    {nil, "", []string{"local", "run"}},
		"local run beside an engine": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error { return local.ErrLocked }
		}, good, []string{"local", "run", "-f", "-"}},
		"local run with flags that cannot be":     {nil, "", []string{"local", "run", "--executor", "vm", "--time-scale", "0", "--max-tasks", "-1", "--launch-delay", "-1s"}},
		"list":                                    {ended, "", []string{"list"}},
		"list by status":                          {ended, "", []string{"list", "--status", "failed", "-q"}},
		"list by a status that is none":           {ended, "", []string{"list", "--status", "DONE"}},
		"list one of many":                        {ended, "", []string{"list", "--limit", "1"}},
		"list nothing":                            {nil, "", []string{"list"}},
		"list nothing as documents":               {nil, "", []string{"list", "-o", "json"}},
		"list one as documents":                   {ended, "", []string{"list", "-o", "json", "--limit", "1"}},
		"list since a time that is none":          {nil, "", []string{"list", "--since", "soon"}},
		"describe as a document":                  {ended, "", []string{"describe", "done", "-o", "json"}},
		"describe a job that is not":              {ended, "", []string{"describe", "nothing"}},
		"why":                                     {ended, "", []string{"why", "done"}},
		"logs":                                    {ended, "", []string{"logs", "done"}},
		"logs of an attempt that is not":          {ended, "", []string{"logs", "done", "--attempt", "2"}},
		"logs of a job without any":               {func(m *fakeMachine) { m.put(newJob("new")) }, "", []string{"logs", "new"}},
		"logs followed of an attempt that is not": {ended, "", []string{"logs", "-f", "done", "--attempt", "9"}},
		"run a directory":                         {nil, "", []string{"run", "-f", "."}},
		"local run a directory":                   {nil, "", []string{"local", "run", "-f", "."}},
		"local up with faults that are none":      {nil, "", []string{"local", "up", "--inject", "no-such-fault,interrupt"}},
		"local up with a bad file": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error {
				return fmt.Errorf("%w: schedules.json: %w", local.ErrUsage, &jobs.InvalidRequest{Problems: []string{"jobName is missing"}})
			}
		}, "", []string{"local", "up", "--schedules", "schedules.json"}},
		"local run with a bad file": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error { return fmt.Errorf("%w: work.json", local.ErrUsage) }
		}, "", []string{"local", "run", "--task-definitions", "work.json"}},
		"submit to no directory":        {nil, good, []string{"submit", "--data", ""}},
		"logs of a job that is not":     {nil, "", []string{"logs", "nothing", "-f"}},
		"wait for a job that has ended": {ended, "", []string{"wait", "done"}},
		"wait for a job that is not":    {ended, "", []string{"wait", "done", "nothing"}},
		"wait in vain":                  {ended, "", []string{"wait", "live", "--timeout", "30s"}},
		"cancel in any state": {
			func(m *fakeMachine) { ended(m); m.put(newJob("new")) }, "",
			[]string{"cancel", "done", "live", "new", "nothing", "--reason", "not needed"},
		},
		"cancel again":              {func(m *fakeMachine) { ended(m); _, _ = m.Cancel(context.Background(), "live", "") }, "", []string{"cancel", "live"}},
		"retry":                     {ended, "", []string{"retry", "done", "live"}},
		"cost of some jobs":         {ended, "", []string{"cost", "done", "live", "done"}},
		"cost as a document":        {billed, "", []string{"cost", "--name", "nightly", "--since", "24h", "-o", "json"}},
		"cost of all jobs":          {billed, "", []string{"cost"}},
		"cost of no job":            {nil, "", []string{"cost", "--since", "1h"}},
		"cost of a job that is not": {ended, "", []string{"cost", "done", "nothing"}},
		"cost of jobs and a name":   {nil, "", []string{"cost", "done", "--name", "nightly"}},
		"local interrupt":           {ended, "", []string{"local", "interrupt", "live", "nothing"}},
		"an unknown verb":           {nil, "", []string{"sumbit"}},
		"an unknown verb of local":  {nil, "", []string{"local", "down"}},
		"an unknown flag":           {nil, "", []string{"list", "--all"}},
		"an argument too few":       {nil, "", []string{"why"}},
		"an argument too many":      {nil, "", []string{"why", "a", "b"}},
		"an argument that is no id": {nil, "", []string{"why", "a b"}},
		"a form that is none":       {nil, "", []string{"list", "-o", "yaml"}},
		"two forms at once":         {nil, "", []string{"list", "-o", "json", "-q"}},
		"without a backend":         {nil, "", []string{"list", "--local=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newFake()
				shift := time.Since(epoch)
				m.now = func() time.Time { return time.Now().Add(-shift) } // the bubble's clock begins in 2000
				if c.setup != nil {
					c.setup(m)
				}
				if end := m.accepted; end != nil { // the jobs end one after another, once all are submitted
					m.accepted = func(m *fakeMachine, j *jobs.Job) {
						time.AfterFunc(time.Duration(2+strings.Index("abc", j.JobID))*time.Second, func() { end(m, j) })
					}
				}
				got := newShell(m).run(t.Context(), c.stdin, c.args...)
				golden(t, "cli/"+strings.NewReplacer(" ", "-", ",", "").Replace(name), "$ spotbatch "+strings.Join(c.args, " ")+"\n"+got.String())
			})
		})
	}
}

func TestHelpFitsEightyColumns(t *testing.T) {
	t.Parallel()
	root := newShell(newFake()).cli.root()
	root.InitDefaultCompletionCmd()
	var text strings.Builder
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Name() == "completion" {
			continue
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		got := newShell(newFake()).run(t.Context(), "", args...)
		checkWidth(t, strings.Split(got.stdout, "\n"), display{width: 80})
		text.WriteString(got.stdout)
	}
	for _, parent := range root.Commands() {
		for _, cmd := range parent.Commands() {
			if parent.Name() == "local" {
				got := newShell(newFake()).run(t.Context(), "", "local", cmd.Name(), "--help")
				checkWidth(t, strings.Split(got.stdout, "\n"), display{width: 80})
				text.WriteString(got.stdout)
			}
		}
	}
	golden(t, "help", text.String())
}

func TestSubmitKeepsTheOrderAndHoldsLittle(t *testing.T) {
	t.Parallel()
	const n = 1500
	m := newFake()
	s := newShell(m)
	var in strings.Builder
	var want strings.Builder
	for i := range n {
		in.WriteString(withID(fmt.Sprintf("job-%05d", i)) + "\n")
		fmt.Fprintf(&want, "job-%05d\n", i)
	}
	got := s.run(t.Context(), in.String(), "submit", "-q")
	if got.code != 0 || got.stdout != want.String() {
		t.Errorf("exit %d, %d bytes, want %d; %s", got.code, len(got.stdout), want.Len(), got.stderr)
	}
}

func TestRunFollowsManyJobsToTheirEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1200
		m := newFake()
		m.now = time.Now
		s := newShell(m)
		s.cli.pace = 100 * time.Millisecond
		var in strings.Builder
		for i := range n {
			in.WriteString(withID(fmt.Sprintf("job-%05d", i)) + "\n")
		}
		go func() { // ten a tenth of a second, every seventh job last
			for _, late := range []bool{false, true} {
				for i := range n {
					id := fmt.Sprintf("job-%05d", i)
					for _, err := m.Get(t.Context(), id); err != nil; _, err = m.Get(t.Context(), id) {
						time.Sleep(time.Millisecond)
					}
					if (i%7 == 0) == late {
						time.Sleep(10 * time.Millisecond)
						finish(m, id, jobs.CauseSucceeded, 0)
					}
				}
			}
		}()
		got := s.run(t.Context(), in.String(), "run")
		if got.code != 0 || got.stdout != "" {
			t.Errorf("exit %d, stdout %q", got.code, got.stdout)
		}
		if !strings.Contains(got.stderr, "1200 jobs in 12s: 1200 SUCCEEDED.\n") {
			t.Errorf("no totals in:\n%s", got.stderr)
		}
		if lines := strings.Count(got.stderr, "\n"); lines > fewJobs*2+10 {
			t.Errorf("%d lines for many jobs", lines)
		}
	})
}

func TestLogsFollowsThroughEveryAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.now = time.Now
		m.put(newJob("j"))
		s := newShell(m)
		go func() {
			for attempt := 1; attempt <= 2; attempt++ {
				time.Sleep(time.Second)
				m.move("j", func(j *jobs.Job) {
					begin(j, jobs.FargateSpot, m.now())
					j.TaskRunning(m.now())
				})
				for i := range 3 {
					m.write("j", attempt, fmt.Sprintf("attempt %d line %d\n", attempt, i))
					time.Sleep(time.Second)
				}
				m.write("j", attempt, "bye\n")
				m.move("j", func(j *jobs.Job) {
					j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, StoppedAt: m.now()})
					j.WaitUntil(m.now(), "")
				})
			}
			m.move("j", func(j *jobs.Job) { j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, "", m.now()) })
		}()
		got := s.run(t.Context(), "", "logs", "j", "--follow")
		golden(t, "logs-follow", got.String())
	})
}

func TestListWatchTellsEveryChangeInALine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"), newJob("b"))
		s := newShell(m)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			finish(m, "a", jobs.CauseSucceeded, 0)
			synctest.Wait()
			m.put(newJob("c"))
			synctest.Wait()
			cancel()
		}()
		got := s.run(ctx, "", "list", "-w")
		golden(t, "list-watch", got.String())
	})
}

func TestRunThatIsInterruptedSaysThatTheJobsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShell(newFake())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		interrupted, stop := context.WithCancel(ctx)
		time.AfterFunc(time.Second, stop)
		got := s.run(interrupted, good, "run")
		if got.code != exitCancelled || !strings.Contains(got.stderr, "The jobs go on") {
			t.Errorf("got %v", got)
		}
	})
}

func TestWaitThatIsInterruptedSaysThatTheJobsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"))
		s := newShell(m)
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		got := s.run(ctx, "", "wait", "a")
		if got.code != exitCancelled || !strings.Contains(got.stderr, "The jobs go on; 'spotbatch wait JOB' takes them up again.") {
			t.Errorf("got %v", got)
		}
	})
}

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
				"--executor", "docker", "--data", "my jobs", "--local", "--max-tasks", "4", "--queue", "inbox", "--schedules", "schedules.json",
				"--inject", "no-capacity:2,throttle:5",
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
				checkWidth(t, strings.Split(got, "\n"), display{width: 80})
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

func TestSubmitAsksForRequestsOnATerminal(t *testing.T) {
	t.Parallel()
	s := newShell(newFake())
	s.cli.window = func(any) (int, int, bool) { return 80, 24, true }
	if got := s.run(t.Context(), "", "submit"); got.code != exitUsage || !strings.Contains(got.stderr, "-f FILE") {
		t.Errorf("got %v", got)
	}
}

func TestOpenLocalRefusesADataDirectoryThatIsNot(t *testing.T) {
	t.Parallel()
	_, err := openLocal(t.Context(), local.Options{DataDir: filepath.Join(t.TempDir(), "none")}, false)
	if err == nil || !strings.Contains(err.Error(), "there is no data directory") {
		t.Errorf("got %v", err)
	}
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

func TestASignalIsTheExitCode(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		for _, args := range [][]string{{"run", "-f", "-"}, {"local", "run", "-f", "-"}} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(&interruption{signal}) })
				got := newShell(newFake()).run(ctx, good, args...)
				if got.code != want || strings.Contains(got.stderr, "signal") {
					t.Errorf("%v, %v: got %v, want %d", signal, args, got, want)
				}
			})
		}
	}
}

func TestInterruptible(t *testing.T) { //nolint:paralleltest // signals are the process's
	ctx := interruptible(t.Context())
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	cause, ok := errors.AsType[*interruption](context.Cause(ctx))
	if !ok || cause.signal != syscall.SIGTERM || !errors.Is(cause, context.Canceled) {
		t.Errorf("got %v", context.Cause(ctx))
	}
}

func TestOpenLocalSaysWhatItMayNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openLocal(t.Context(), local.Options{DataDir: file}, false)
	if err == nil || codeOfError(err) != exitUsage {
		t.Errorf("a file: got %v", err)
	}
	below := filepath.Join(file, "data")
	_, err = openLocal(t.Context(), local.Options{DataDir: below}, false)
	if err == nil || !strings.Contains(err.Error(), below+" must be readable and writable by this user") {
		t.Errorf("below a file: got %v", err)
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	shut := filepath.Join(dir, "shut")
	for _, mode := range []fs.FileMode{0o500, 0o300, 0} {
		if err := errors.Join(os.MkdirAll(shut, 0o700), os.Chmod(shut, mode)); err != nil {
			t.Fatal(err)
		}
		_, err = openLocal(t.Context(), local.Options{DataDir: shut}, false)
		if err == nil || !strings.Contains(err.Error(), shut+" must be readable and writable by this user") {
			t.Errorf("mode %o: got %v", mode, err)
		}
	}
}

func TestColourAndViewsAreForTerminalsThatCan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terminal bool
		env      map[string]string
		want     display
	}{
		"a pipe":                  {false, nil, display{}},
		"a terminal":              {true, nil, display{80, 24, true, true}},
		"NO_COLOR":                {true, map[string]string{"NO_COLOR": "1"}, display{80, 24, true, false}},
		"a terminal that is dumb": {true, map[string]string{"TERM": "dumb"}, display{80, 24, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(newFake())
			s.cli.window = func(any) (int, int, bool) { return 80, 24, c.terminal }
			s.cli.getenv = func(name string) string { return c.env[name] }
			if got := s.cli.displayOf(s.cli.stdout); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestVersionLine(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v1.2.3"
	if got, want := versionLine(info), "spotbatch v1.2.3 0123456789ab (modified) go1.26.8 "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := versionLine(nil); got != "spotbatch (unknown build)" {
		t.Errorf("got %q", got)
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
	if err := errors.Join(json.Unmarshal([]byte(got.stdout), &j)); err != nil || len(j.Attempts) != 2 || *j.Attempts[0].ExitCode != 5 {
		t.Errorf("%v: %v", err, got)
	}
}
