package function

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestLaunchesGoAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(4)
		begin := time.Now()
		for range 12 {
			if wait := p.Launch(t.Context(), jobs.FargateSpot); wait != 0 {
				t.Fatalf("sent away for %v although a token was near", wait)
			}
		}
		// A burst of 4, then 8 more at 4 a second.
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("12 launches took %v, want 2s", took)
		}
	})
}

func TestTheProvidersShareTheRateOfRunTask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(1)
		begin := time.Now()
		for _, provider := range []jobs.CapacityProvider{jobs.FargateSpot, jobs.FargateOnDemand} {
			if p.Launch(t.Context(), provider) != 0 {
				t.Errorf("no leave for %s", provider)
			}
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("two calls at one a second took %v", took)
		}
	})
}

// TestWhoIsSentAwayComesBackAtTheRate has 40 jobs at once on 2 launches a second: those that are sent away get turns half a
// second apart, so that they do not come back all at once.
func TestWhoIsSentAwayComesBackAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(2)
		ctx, cancel := context.WithTimeout(t.Context(), timeLeftMin) // no time to wait in
		defer cancel()
		time.Sleep(time.Millisecond)
		var last time.Duration
		away := 0
		for range 40 {
			wait := p.Launch(ctx, jobs.FargateSpot)
			if wait == 0 {
				continue
			}
			away++
			if wait <= last || away > 1 && wait-last > 600*time.Millisecond {
				t.Errorf("turn %d in %v, the one before in %v", away, wait, last)
			}
			last = wait
		}
		if away != 38 || last < 18*time.Second || last > 22*time.Second {
			t.Errorf("%d sent away, the last for %v; want 38 within about 20s", away, last)
		}
	})
}

func TestNoTurnIsFurtherAwayThanAMessageCanBeDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPacer(0.01)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 50 {
			if wait := p.Launch(ctx, jobs.FargateSpot); wait > 15*time.Minute {
				t.Fatalf("sent away for %v", wait)
			}
		}
	})
}
