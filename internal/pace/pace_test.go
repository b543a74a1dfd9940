package pace

import (
	"container/heap"
	"testing"
	"time"
)

const patience = 2 * time.Second

var start = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func TestLaunchesGoAtTheRate(t *testing.T) {
	t.Parallel()
	p, now := New(4, 4), start
	for range 12 {
		wait, away := p.Reserve(now, patience, 0)
		if away != 0 {
			t.Fatalf("sent away for %v although a token was near", away)
		}
		now = now.Add(wait)
	}
	// A burst of 4, then 8 more at 4 a second.
	if took := now.Sub(start); took != 2*time.Second {
		t.Errorf("12 launches took %v, want 2s", took)
	}
}

// TestWhoFindsNoTokenTakesWhatComesFirst has the items of one batch ask at once: one in two seconds' tokens waits for its
// token, and what would wait longer goes to whoever has tokens to spare, until the turns are as far away as the tokens.
func TestWhoFindsNoTokenTakesWhatComesFirst(t *testing.T) {
	t.Parallel()
	p := New(2, 4)
	for i, want := range []struct{ wait, away time.Duration }{
		{0, 0},
		{0, 0}, // the burst
		{500 * time.Millisecond, 0},
		{time.Second, 0}, // as soon as a turn
		{0, time.Second},
		{0, 1250 * time.Millisecond},
		{1500 * time.Millisecond, 0},
		{0, 1500 * time.Millisecond},
		{0, 1750 * time.Millisecond},
		{2 * time.Second, 0},
		{0, 2 * time.Second},
		{0, 2250 * time.Millisecond}, // nobody waits for longer than two seconds
	} {
		if wait, away := p.Reserve(start, patience, 0); wait != want.wait || away != want.away {
			t.Errorf("number %d waits for %v, or is sent away for %v; want %v and %v", i+1, wait, away, want.wait, want.away)
		}
	}
}

func TestNobodyWaitsLongInsideAnInvocation(t *testing.T) {
	t.Parallel()
	p := New(0.1, 0.2)
	p.Reserve(start, patience, 0)
	for range 20 {
		if wait, away := p.Reserve(start, patience, 0); wait != 0 || away == 0 {
			t.Errorf("at a launch in 10 s another waits for %v, or is sent away for %v", wait, away)
		}
	}
}

// TestWhoIsSentAwayComesBackAtTheRate has 40 jobs at once on 2 launches a second: those that are sent away get turns half a
// second apart, so that they do not come back all at once.
func TestWhoIsSentAwayComesBackAtTheRate(t *testing.T) {
	t.Parallel()
	p := New(2, 2)
	var last time.Duration
	sent := 0
	for range 40 {
		_, away := p.Reserve(start, 0, 0) // no time to wait in
		if away == 0 {
			continue
		}
		sent++
		if away <= last || sent > 1 && away-last > 600*time.Millisecond {
			t.Errorf("turn %d in %v, the one before in %v", sent, away, last)
		}
		last = away
	}
	if sent != 38 || last < 18*time.Second || last > 22*time.Second {
		t.Errorf("%d sent away, the last for %v; want 38 within about 20s", sent, last)
	}
}

// TestABigCrowdIsLaunchedAtTheRate has an hour of launches ask within two minutes: more than there are turns that a message
// can be delayed for. They come back until each is launched, and tokens do not lie idle meanwhile.
func TestABigCrowdIsLaunchedAtTheRate(t *testing.T) {
	t.Parallel()
	const crowd, perSecond = 10_000, 2.5
	p := New(perSecond, perSecond)
	var asks askers
	for i := range crowd {
		asks = append(asks, start.Add(time.Duration(i)*10*time.Millisecond))
	}
	heap.Init(&asks)
	now, asked, launched := start, 0, 0
	for launched < crowd*9/10 {
		now = heap.Pop(&asks).(time.Time)
		roll := float64(asked*7919%1000) / 1000
		asked++
		if _, away := p.Reserve(now, 0, roll); away > 0 {
			heap.Push(&asks, now.Add(away))
		} else {
			launched++
		}
	}
	ideal := time.Duration(float64(launched) / perSecond * float64(time.Second))
	if took := now.Sub(start); took > ideal*6/5 || asked > 6*crowd {
		t.Errorf("%d were launched in %v, where the rate allows %v; they asked %d times", launched, took, ideal, asked)
	}
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
	p := New(0.01, 0.02)
	for i := range 50 {
		if _, away := p.Reserve(start, 0, float64(i)/50); away > 15*time.Minute {
			t.Fatalf("sent away for %v", away)
		}
	}
}
