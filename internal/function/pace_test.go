package function

import (
	"container/heap"
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

// TestABigCrowdIsLaunchedAtTheRate has four hours of launches ask within two minutes: more than there are turns that a message
// can be delayed for. They come back until each is launched, and tokens do not lie idle meanwhile.
func TestABigCrowdIsLaunchedAtTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const crowd, perSecond = 10_000, 2.5
		p := NewPacer(perSecond)
		ctx, cancel := context.WithTimeout(t.Context(), 0) // nobody waits inside
		defer cancel()
		begin := time.Now()
		var asks askers
		for i := range crowd {
			asks = append(asks, begin.Add(time.Duration(i)*10*time.Millisecond))
		}
		heap.Init(&asks)
		asked, launched := 0, 0
		for launched < crowd*9/10 {
			time.Sleep(time.Until(heap.Pop(&asks).(time.Time)))
			asked++
			if wait := p.Launch(ctx, jobs.FargateSpot); wait > 0 {
				heap.Push(&asks, time.Now().Add(wait))
			} else {
				launched++
			}
		}
		ideal := time.Duration(float64(launched) / perSecond * float64(time.Second))
		if took := time.Since(begin); took > ideal*6/5 || asked > 6*crowd {
			t.Errorf("%d were launched in %v, where the rate allows %v; they asked %d times", launched, took, ideal, asked)
		}
	})
}

// askers are the times at which somebody asks, soonest first.
type askers []time.Time

func (a askers) Len() int           { return len(a) }
func (a askers) Less(i, j int) bool { return a[i].Before(a[j]) }
func (a askers) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *askers) Push(x any)        { *a = append(*a, x.(time.Time)) }

func (a *askers) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
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
