package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// sample are jobs in many states, newest first.
func sample() []*jobs.Job {
	running := newJob("tfxg68hj54282u9j2e3v")
	begin(running, jobs.FargateSpot, epoch)
	running.TaskRunning(epoch.Add(10 * time.Second))
	waiting := newJob("f47ac10b-58cc-4372-a567-0e02b2c3d479")
	waiting.JobName = "a-very-long-name-of-a-job-that-somebody-gave"
	for range 3 {
		neverRan(waiting, jobs.FargateOnDemand, jobs.CausePlatformFailure, "lost", 1)
	}
	waiting.WaitUntil(epoch.Add(time.Hour), "Attempt 3 was lost to the platform: lost")
	done := newJob("nightly-2026-11-21")
	endedCases[1].make(done)
	failed := newJob("x")
	endedCases[2].make(failed)
	cancelled := newJob("y")
	cancelled.End(jobs.StatusCancelled, jobs.CauseCancelled, "Cancelled on request.", epoch)
	rejected := newJob("z")
	endedCases[15].make(rejected)
	rejected.Version = 1
	return []*jobs.Job{running, waiting, done, failed, cancelled, rejected}
}

func TestJobTable(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]display{
		"list-80": {width: 80}, "list-any": {}, "list-40": {width: 40}, "list-colour": {width: 100, colour: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := jobTable(sample(), epoch.Add(3*time.Hour)).lines(d)
			golden(t, name, strings.Join(lines, "\n")+"\n")
			checkWidth(t, lines, d)
		})
	}
}

// checkWidth fails for a line that would be wrapped.
func checkWidth(t *testing.T, lines []string, d display) {
	t.Helper()
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); d.width > 0 && !d.colour && n > d.width {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

func TestTablesFitEveryWidth(t *testing.T) {
	t.Parallel()
	for width := 20; width < 140; width++ {
		checkWidth(t, jobTable(sample(), epoch).lines(display{width: width}), display{width: width})
	}
	for width := 60; width < 140; width++ {
		for _, j := range sample() {
			checkWidth(t, attemptTable(j, epoch).lines(display{width: width}), display{width: width})
		}
		checkWidth(t, outcomeTable(sample(), epoch).lines(display{width: width}), display{width: width})
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	fake := newFake()
	fake.now = func() time.Time { return epoch.Add(3 * time.Hour) }
	c := newShell(fake).cli
	full := newJob("nightly-2026-11-21")
	endedCases[1].make(full)
	full.RetryOf = "nightly-2026-11-20"
	full.Request.ContainerOverrides = jobs.ContainerOverrides{
		Name: "main", Command: []string{"render", "--title", "two words", "", "$HOME\x1b[2J"}, CPU: "1024", Memory: "2048",
		Environment: []jobs.EnvVar{{Name: "TOKEN", Value: "secret"}, {Name: "EMPTY", Value: ""}},
	}
	full.Request.EphemeralStorageGiB = 30
	full.Request.RetryStrategy = jobs.RetryStrategy{Attempts: 3, BackoffSeconds: 20, EvaluateOnExit: []jobs.ExitRule{
		{OnExitCode: "1*", Action: jobs.ActionExit}, {Action: jobs.ActionRetry},
	}}
	full.Request.Tags = map[string]string{"team": "films", "cost": "42"}
	full.Request.Schedule = &jobs.Schedule{ARN: "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/nightly", ScheduledTime: "2026-11-21T02:00:00Z"}
	for name, width := range map[string]int{"describe-80": 80, "describe-any": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := c.describe(full.Document(false), display{width: width})
			golden(t, name, strings.Join(lines, "\n")+"\n")
			checkWidth(t, lines, display{width: width})
		})
	}
	t.Run("a rejected request", func(t *testing.T) {
		t.Parallel()
		golden(t, "describe-rejected", strings.Join(c.describe(sample()[5], display{width: 80}), "\n")+"\n")
	})
	t.Run("environment values are shown on demand", func(t *testing.T) {
		t.Parallel()
		if text := strings.Join(c.describe(full.Document(true), display{}), "\n"); !strings.Contains(text, "TOKEN=secret") {
			t.Errorf("got:\n%s", text)
		}
	})
}

func TestProgressView(t *testing.T) {
	t.Parallel()
	m := newFake()
	now := epoch
	m.now = func() time.Time { return now }
	s := newShell(m)
	s.terminal(80, 24)
	f := s.cli.follower(m)
	p := s.cli.watch(f)
	for _, j := range sample() {
		f.add(t.Context(), j)
	}
	for i := range 30 {
		f.add(t.Context(), newJob(fmt.Sprintf("more-%02d", i)))
	}
	now = epoch.Add(90 * time.Second)
	d := display{width: 80, height: 24, live: true}
	lines := p.lines(d)
	golden(t, "progress-80", strings.Join(lines, "\n")+"\n")
	checkWidth(t, lines, d)
	if len(lines) >= d.height {
		t.Errorf("%d lines do not fit", len(lines))
	}
}

func TestScreenPaintsOverTheViewAndPrintsAboveIt(t *testing.T) {
	t.Parallel()
	s := newShell(newFake())
	s.terminal(80, 24)
	s.cli.console.setView(func(display) []string { return []string{"one", "two", "three"} })
	s.cli.console.print("above")
	s.cli.console.setView(nil)
	want := "one\ntwo\nthree\n" + "\r\x1b[K\x1b[3Aabove\x1b[K\none\x1b[K\ntwo\x1b[K\nthree\x1b[K\n" + "\r\x1b[K\x1b[3A\x1b[K\n\x1b[K\n\x1b[K\n\x1b[3A"
	if diff := cmp.Diff(want, s.stderr.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNewsLinesLineUp(t *testing.T) {
	t.Parallel()
	m := newFake()
	s := newShell(m)
	s.terminal(64, 24)
	line := func(id, status, text string) newsLine { return newsLine{epoch, id, status, text} }
	s.cli.sayNews(line("a", "RUNNABLE", "Alone."))
	s.cli.sayNews(line("b", "RUNNABLE", "Beside one that is longer."), line("nightly-2026-11-21", "SUCCEEDED", "It is longer."))
	s.cli.sayNews(line("f47ac10b-58cc-4372-a567-0e02b2c3d479", "FAILED", "Too long to make room for."))
	s.cli.sayNews(line("a", "RUNNABLE", "Attempt 1 exited 75 on FARGATE_SPOT; 1 of 3 attempts used up, the next follows."))
	s.cli.sayNews(line("a", "RUNNABLE", strings.Repeat("x", 60)))
	golden(t, "news-lines", s.stderr.String())
	checkWidth(t, strings.Split(s.stderr.String(), "\n"), display{width: 64})
}

func TestWhatWasDoneToAJobFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const id = "f47ac10b58cc4372a5670e02b2c3d479"
	for _, verb := range []string{"cancel", "local interrupt"} {
		m := newFake()
		m.put(newJob(id))
		m.move(id, func(j *jobs.Job) { begin(j, jobs.FargateSpot, epoch) })
		s := newShell(m)
		s.terminal(60, 24)
		got := s.run(t.Context(), "", append(strings.Fields(verb), id)...)
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		checkWidth(t, lines, display{width: 60})
		if len(lines) != 2 || !strings.HasPrefix(lines[1], "  ") {
			t.Errorf("got %v", got)
		}
	}
}

func TestNews(t *testing.T) {
	t.Parallel()
	job := func(steps ...func(*jobs.Job)) *jobs.Job {
		j := newJob("j")
		for _, step := range steps {
			step(j)
		}
		return j
	}
	started := func(j *jobs.Job) { begin(j, jobs.FargateSpot, epoch) }
	runs := func(j *jobs.Job) { j.TaskRunning(epoch) }
	touched := func(j *jobs.Job) { j.Version++ }
	taken := func(j *jobs.Job) {
		j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143), StoppedAt: epoch.Add(time.Minute)})
		j.WaitUntil(epoch, "Spot took attempt 1 away; the next runs on FARGATE.")
	}
	again := func(j *jobs.Job) { begin(j, jobs.FargateOnDemand, epoch) }
	for name, c := range map[string]struct {
		before, after *jobs.Job
		want          []string
	}{
		"a new job":          {nil, job(), []string{"RUNNABLE Accepted; waiting to be launched."}},
		"it runs":            {job(started), job(started, runs), []string{"RUNNING Attempt 1 runs on FARGATE_SPOT."}},
		"nothing that shows": {job(started, runs), job(started, runs, touched), nil},
		"an attempt ended":   {job(started, runs), job(started, runs, taken), []string{"RUNNABLE Spot took attempt 1 away; the next runs on FARGATE."}},
		"and another has begun": {
			job(started, runs), job(started, runs, taken, again),
			[]string{"RUNNABLE Attempt 1 on FARGATE_SPOT ended as SPOT_INTERRUPTION, exit code 143, after 1m.", "STARTING Attempt 2 starts on FARGATE."},
		},
		"which is told once": {job(started, runs, taken), job(started, runs, taken, again), []string{"STARTING Attempt 2 starts on FARGATE."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var before mark
			if c.before != nil {
				before = markOf(c.before)
				before.version = 1
			}
			var got []string
			for _, line := range before.news(c.after) {
				got = append(got, line.status+" "+line.text)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration][2]string{
		0: {"0s", "0s"}, 449 * time.Millisecond: {"0.4s", "0s"}, 59 * time.Second: {"59s", "59s"},
		61 * time.Second: {"1m1s", "1m"}, time.Hour: {"1h", "1h"}, 125 * time.Minute: {"2h5m", "2h"},
		47 * time.Hour: {"1d23h", "47h"}, 14 * 24 * time.Hour: {"14d", "14d"}, -time.Second: {"0s", "0s"},
	} {
		if got := [2]string{span(d), age(d)}; got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
}

// TestWideCharactersTakeTwoColumns: each in one cell of a terminal would be half as wide as it is.
func TestWideCharactersTakeTwoColumns(t *testing.T) {
	t.Parallel()
	const text = "夜間レポート は もう 必要 ありません、キャンセルしてください e\u0301te\u0301 🙂🙂"
	whole := func(lines []string) string { return strings.ReplaceAll(strings.Join(lines, ""), " ", "") }
	for width := 5; width < 60; width++ {
		for name, lines := range map[string][]string{"wrap": wrap(text, width), "hang": hang(text, 2, width), "cut": {cut(text, width)}, "pad": {pad("夜", width, true)}} {
			for _, line := range lines {
				if got := columns(line); got > width || name == "pad" && got != width {
					t.Errorf("%s to %d: %q takes %d", name, width, line, got)
				}
			}
			if got, want := whole(lines), whole([]string{text}); (name == "wrap" || name == "hang") && got != want {
				t.Errorf("%s to %d made %q of it", name, width, got)
			}
		}
	}
	if got := columns("e\u0301"); got != 1 {
		t.Errorf("a letter with its accent takes %d", got)
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"90m": epoch.Add(-90 * time.Minute), "7d": epoch.AddDate(0, 0, -7), "2026-11-20": epoch.AddDate(0, 0, -1).Truncate(24 * time.Hour),
		"2026-11-21T01:00:00+01:00": epoch.Add(-2 * time.Hour), "": {}, "-1h": {}, "yesterday": {}, "d": {}, "-1d": {},
	} {
		got, err := parseSince(text, epoch)
		if !got.Equal(want) || (err == nil) == want.IsZero() {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestADateIsOneOfTheZoneInWhichTimesAreShown(t *testing.T) {
	t.Parallel()
	tokyo := time.FixedZone("JST", 9*60*60)
	got, err := parseSince("2026-11-20", epoch.In(tokyo))
	if want := time.Date(2026, 11, 20, 0, 0, 0, 0, tokyo); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestPlainTakesTheTeethOutOfATerminalsCodes(t *testing.T) {
	t.Parallel()
	if got, want := plain("a\x1b[31m\r\nb\tü\u202e"), "a?[31m  b ü?"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
