package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

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

// listsTooLate answers a look at its jobs with the end of the context, as a store does that was just being asked.
type listsTooLate struct{ *fakeMachine }

func (m listsTooLate) List(ctx context.Context, _ jobs.Query) (jobs.Page, error) {
	<-ctx.Done()
	return jobs.Page{}, ctx.Err()
}

func TestRunTellsWhatIsWrongWithItsFileWhateverItLookedAtMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want result
	}{
		"no file":                          {"nofile", result{2, "", "spotbatch: open nofile: no such file or directory\n"}},
		"a directory":                      {".", result{2, "", "spotbatch: . is a directory: give a file of job requests\n"}},
		"a store that fails in the middle": {"-", result{1, "", "1 job submitted all the same.\nspotbatch: stdin:2: the store is gone\n"}},
	} {
		for _, verb := range []string{"run", "local run"} {
			t.Run(verb+" with "+name, func(t *testing.T) {
				t.Parallel()
				m := newFake()
				m.refuse = "bad"
				s := newShell(m)
				s.cli.open = func(context.Context, local.Options, bool) (machine, error) { return listsTooLate{m}, nil }
				stdin := good + "\n" + strings.Replace(good, "nightly", "bad", 1)
				got := s.run(t.Context(), stdin, append(strings.Fields(verb), "-q", "-f", c.file)...)
				if diff := cmp.Diff(c.want.String(), got.String()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestRunThatIsInterruptedSaysThatTheJobGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShell(newFake())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		interrupted, stop := context.WithCancel(ctx)
		time.AfterFunc(time.Second, stop)
		got := s.run(interrupted, good, "run")
		if got.code != exitCancelled || !strings.Contains(got.stderr, "The job goes on; 'spotbatch wait job-1' takes it up again.") {
			t.Errorf("got %v", got)
		}
	})
}
