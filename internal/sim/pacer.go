package sim

import "time"

// bucket is a token bucket on the virtual clock. Its level may go below zero: what is owed is waited for.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

// fill brings the bucket's level up to now.
func (b *bucket) fill(now time.Time) {
	if b.at.IsZero() {
		b.level = b.burst
	} else if now.After(b.at) {
		b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	}
	b.at = now
}

// take takes a token if there is one.
func (b *bucket) take(now time.Time) bool {
	if b.fill(now); b.level < 1 {
		return false
	}
	b.level--
	return true
}

// reserve takes a token in any case and tells from when on it counts.
func (b *bucket) reserve(now time.Time) time.Duration {
	b.fill(now)
	b.level--
	return time.Duration(max(0, -b.level) / b.rate * float64(time.Second))
}

// pacer does on the virtual clock what internal/function's Pacer does on the real one.
type pacer struct{ tokens, places bucket }

func newPacer(perSecond float64) *pacer {
	return &pacer{bucket{rate: perSecond, burst: max(1, perSecond)}, bucket{rate: perSecond, burst: 1}}
}

const (
	// patience is how long a launch waits inside its invocation.
	patience = 2 * time.Second
	// turnMax is the furthest that a turn is away.
	turnMax = 15*time.Minute - time.Second
)

func (p *pacer) launch(by *process) time.Duration {
	now := by.w.now
	wait := p.tokens.reserve(now)
	if wait == 0 {
		return 0
	}
	if wait <= patience && by.timeLeft() {
		by.pause(wait)
		return 0
	}
	p.tokens.level++
	if away := p.places.reserve(now) + wait + time.Second; away <= turnMax {
		return away
	}
	p.places.level++
	return by.dice.between(turnMax/2, turnMax)
}
