package function

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Pacer is an engine.Pacer that shares nothing with other instances: each has its part of the account's rate. It counts
// RunTask calls, whatever the provider: Fargate takes 20 of them a second, and 20 launches a second of each provider.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
//
// Who finds no token, and would wait for too long, is given a place behind all that were sent away before, so that they come
// back at the rate at which they can be served and not all at once.
type Pacer struct{ tokens, places *rate.Limiter }

// pacerPatience is how long a launch may wait for its token inside an invocation: waiting that long costs less than a save, a
// wake-up and an invocation more.
const pacerPatience = 2 * time.Second

// NewPacer makes a Pacer for so many launches a second, with a burst of one second's worth.
func NewPacer(perSecond float64) *Pacer {
	burst := max(1, int(math.Ceil(perSecond)))
	return &Pacer{rate.NewLimiter(rate.Limit(perSecond), burst), rate.NewLimiter(rate.Limit(perSecond), 1)}
}

// Launch waits for a token, or tells when to come back. It never waits longer than the invocation can spare.
func (p *Pacer) Launch(ctx context.Context, _ jobs.CapacityProvider) time.Duration {
	turn := p.tokens.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return 0
	}
	if wait <= pacerPatience && timeLeft(ctx) {
		select {
		case <-time.After(wait):
			return 0
		case <-ctx.Done():
		}
	}
	turn.Cancel()
	// At least a second: a wake-up is counted in seconds. At most what SQS delays.
	return min(max(p.places.Reserve().Delay(), 0)+wait+time.Second, 15*time.Minute-time.Second)
}
