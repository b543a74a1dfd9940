package local

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/local/schedule"
)

// scheduled loads one schedule.
func scheduled(t *testing.T, expression string) schedule.Entry {
	t.Helper()
	file := filepath.Join(t.TempDir(), "schedules.json")
	text := fmt.Sprintf(`[{"name":"nightly","scheduleExpression":%q,"input":{"jobName":"a","taskDefinition":"sh","containerOverrides":{"command":["true"]}}}]`, expression)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := schedule.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return entries[0]
}

func TestLatestDue(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	hourly := scheduled(t, "cron(0 * * * ? *)")
	for name, c := range map[string]struct {
		until  time.Time
		due    time.Time
		missed int
	}{
		"nothing is due before its time":               {noon.Add(-30 * time.Minute), time.Time{}, 0},
		"what came due since is due":                   {noon.Add(-90 * time.Minute), noon.Add(-time.Hour), 0},
		"of several missed ones the latest is made up": {noon.Add(-5 * time.Hour), noon.Add(-time.Hour), 3},
		"what is older than a day is not":              {noon.Add(-100 * time.Hour), noon.Add(-time.Hour), 23},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := noon.Add(-time.Minute)
			due, missed, next := latestDue(hourly, c.until, now)
			if !due.Equal(c.due) || missed != c.missed || !next.Equal(noon) {
				t.Errorf("due %v, missed %d, next %v; want %v, %d, %v", due, missed, next, c.due, c.missed, noon)
			}
		})
	}
}

// TestAFiringIsOneJobHoweverOftenItIsFired restarts the schedules as a crash between the submission and the note would.
func TestAFiringIsOneJobHoweverOftenItIsFired(t *testing.T) {
	t.Parallel()
	s := up(t)
	if err := s.db.Migrate(t.Context(), schedulesSchema); err != nil {
		t.Fatal(err)
	}
	hourly := scheduled(t, "cron(0 * * * ? *)")
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for range 2 {
		if err := s.fire(t.Context(), hourly, noon); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, s); len(got) != 1 {
		t.Fatalf("%d jobs for one firing", len(got))
	}
	// A schedule that is new begins now; one that is known goes on where it was.
	for _, c := range []struct {
		now  time.Time
		jobs int
	}{{noon.Add(time.Minute), 1}, {noon.Add(59 * time.Minute), 1}, {noon.Add(61 * time.Minute), 2}, {noon.Add(62 * time.Minute), 2}} {
		if _, err := s.fireDue(t.Context(), hourly, c.now); err != nil {
			t.Fatal(err)
		}
		if got := list(t, s); len(got) != c.jobs {
			t.Errorf("%d jobs at %v, want %d", len(got), c.now, c.jobs)
		}
	}
}

// noteSchedules has an engine know the schedules of a file from a time on, so that what comes due before the next one is up is
// made up for.
func noteSchedules(t *testing.T, data, file string, since time.Time) {
	t.Helper()
	s, err := Open(t.Context(), Options{DataDir: data, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	entries, err := schedule.Load(file)
	if err := errors.Join(err, s.db.Migrate(t.Context(), schedulesSchema)); err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, err := s.fireDue(t.Context(), entry, since); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAClockThatWasAheadSilencesNoSchedule has the clock go wrong for one look, and then be set back by a few minutes.
func TestAClockThatWasAheadSilencesNoSchedule(t *testing.T) {
	t.Parallel()
	s := up(t)
	if err := s.db.Migrate(t.Context(), schedulesSchema); err != nil {
		t.Fatal(err)
	}
	hourly := scheduled(t, "cron(0 * * * ? *)")
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now  time.Time
		jobs int
	}{
		{noon.Add(-time.Minute), 0},
		{noon.Add(time.Minute), 1},
		{noon.AddDate(1, 0, 0), 2}, // ahead
		{noon.Add(2 * time.Minute), 2},
		{noon.Add(61 * time.Minute), 3},
		{noon.Add(55 * time.Minute), 3}, // set back
		{noon.Add(62 * time.Minute), 3}, // the same firing is the same job
		{noon.Add(121 * time.Minute), 4},
	} {
		next, err := s.fireDue(t.Context(), hourly, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(list(t, s)); got != c.jobs || next.Sub(c.now) > time.Hour {
			t.Errorf("%d jobs at %v, want %d; due again at %v", got, c.now, c.jobs, next)
		}
	}
}

func TestASchedulesFileIsReadAtUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "schedules.json")
	at := time.Now().UTC().Add(2 * time.Second)
	text := fmt.Sprintf(`[{"name":"once","scheduleExpression":"at(%s)","input":{"jobName":"a","taskDefinition":"sh","containerOverrides":{"command":["true"]}}}]`, at.Format("2006-01-02T15:04:05"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	noteSchedules(t, data, file, at.Add(-time.Minute))
	s := up(t, func(o *Options) { o.DataDir, o.Schedules = data, file })
	eventually(t, "the schedule to fire", func() bool { return len(list(t, s)) > 0 })
	if j := wait(t, s, list(t, s)[0].JobID, "ended", ended); j.Request.Schedule == nil {
		t.Error("the job does not know its schedule")
	}
}
