package sim

import (
	"context"
	"time"

	"github.com/spotbatch/spotbatch/internal/pace"
)

// pacers are an instance's, as internal/function makes them: turns are taken at either function.
type pacers struct{ launches, stops *pace.Pacer }

func newPacers(perSecond float64) pacers {
	return pacers{pace.New(perSecond, 2*perSecond), pace.New(perSecond, 2*perSecond)}
}

// pacing is the instance's pacer on the virtual clock.
type pacing struct{ *coroutine }

func (g pacing) Launch(context.Context) time.Duration {
	away := g.leave(g.p.on.pacers.launches)
	if away > 0 {
		g.p.w.sometimes("a launch waits for its turn")
	}
	return away
}

func (g pacing) Stop(context.Context) time.Duration {
	away := g.leave(g.p.on.pacers.stops)
	if away > 0 {
		g.p.w.sometimes("a stop waits for its turn")
		g.p.owes.turn = true
	}
	return away
}

func (g pacing) leave(calls *pace.Pacer) time.Duration {
	w := g.p.w
	patience := g.p.on.patience
	if !g.p.timeLeft() {
		patience = 0
	}
	wait, away := calls.Reserve(w.now, patience, g.p.w.dice.Float64())
	if wait > 0 {
		g.p.pause(wait)
	}
	if away > 0 && w.plan.Strength[PacerStrict] > 0 {
		w.sometimes("fault: pacer strict")
	}
	return away
}

// bucket is one of ECS's token buckets.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.at.IsZero() {
		b.level = b.burst
	} else if now.After(b.at) {
		b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}
