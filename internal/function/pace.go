package function

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/spotbatch/spotbatch/internal/pace"
)

// Patience is how long a call of submit's may wait for its token inside its invocation: that costs less than a save, a wake-up
// and an invocation more, and a busy instance is what makes Lambda use another one. watch has none: events would wait behind it.
const Patience = 2 * time.Second

// pacer is an engine.Pacer on the real clock. A call waits for its token as long as the patience allows.
type pacer struct {
	launches, stops *pace.Pacer
	patience        time.Duration
}

// newPacer makes a pacer of an instance's share of the calls a second, and of its turns a second.
func newPacer(share, turns float64, patience time.Duration) pacer {
	return pacer{pace.New(share, turns), pace.New(share, turns), patience}
}

func (p pacer) Launch(ctx context.Context) time.Duration { return p.leave(ctx, p.launches) }
func (p pacer) Stop(ctx context.Context) time.Duration   { return p.leave(ctx, p.stops) }

// leave waits for a token, or tells when to come back. It never waits longer than the invocation can spare.
func (p pacer) leave(ctx context.Context, calls *pace.Pacer) time.Duration {
	patience := p.patience
	if !timeLeft(ctx) {
		patience = 0
	}
	wait, away := calls.Reserve(wallClock(), patience, rand.Float64())
	if away > 0 || wait == 0 {
		return away
	}
	select {
	case <-time.After(wait):
		return 0
	case <-ctx.Done():
		return wait + time.Second // the token is lost: nobody is left to use it
	}
}
