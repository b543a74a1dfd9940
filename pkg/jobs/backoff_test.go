package jobs_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestBackoff(t *testing.T) {
	t.Parallel()
	const almost = 0.999999999
	for name, c := range map[string]struct {
		base time.Duration
		n    int
		roll float64
		want time.Duration
	}{
		"the first wait is up to the base":            {10 * time.Second, 0, almost, 10 * time.Second},
		"it doubles":                                  {10 * time.Second, 3, almost, 80 * time.Second},
		"the jitter is full":                          {10 * time.Second, 3, 0, 0},
		"half a roll is half the wait":                {10 * time.Second, 3, 0.5, 40 * time.Second},
		"it ends at fifteen minutes":                  {10 * time.Second, 7, almost, jobs.BackoffMax},
		"a base beyond it is cut":                     {time.Hour, 0, almost, jobs.BackoffMax},
		"a base of nothing is no wait, however often": {0, 1 << 62, almost, 0},
		"a negative base is no wait":                  {-time.Second, 2, almost, 0},
		"a huge n does not overflow":                  {1, 1 << 62, almost, jobs.BackoffMax},
		"it is rounded to milliseconds":               {time.Second, 0, 0.12345, 123 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := jobs.Backoff(c.base, c.n, c.roll); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestBackoffStaysWithinItsCeilingAndGrowsWithN(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.IntRange(0, 900).Draw(t, "seconds")) * time.Second
		n := rapid.IntRange(0, 1<<40).Draw(t, "n")
		roll := float64(rapid.IntRange(0, 999).Draw(t, "roll")) / 1000
		wait := jobs.Backoff(base, n, roll)
		if wait < 0 || wait > jobs.BackoffMax || wait%time.Millisecond != 0 {
			t.Fatalf("got %v", wait)
		}
		if next := jobs.Backoff(base, n+1, roll); next < wait {
			t.Fatalf("%v is followed by %v", wait, next)
		}
	})
}
