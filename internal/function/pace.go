package function

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
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
type Pacer struct {
	mu             sync.Mutex // a reservation that is cancelled gives back only what nobody reserved behind it
	tokens, places *rate.Limiter
}

// pacerPatience is how long a launch may wait for its token inside an invocation: waiting that long costs less than a save, a
// wake-up and an invocation more.
const pacerPatience = 2 * time.Second

// turnMax is the furthest that a turn is away: what SQS delays.
const turnMax = 15*time.Minute - time.Second

// NewPacer makes a Pacer for so many launches a second, with a burst of one second's worth.
func NewPacer(perSecond float64) *Pacer {
	burst := max(1, int(math.Ceil(perSecond)))
	return &Pacer{tokens: rate.NewLimiter(rate.Limit(perSecond), burst), places: rate.NewLimiter(rate.Limit(perSecond), 1)}
}

// Launch waits for a token, or tells when to come back. It never waits longer than the invocation can spare.
func (p *Pacer) Launch(ctx context.Context, _ jobs.CapacityProvider) time.Duration {
	wait, away := p.turn(timeLeft(ctx))
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

// turn takes a token that is there or will be within the caller's patience, or a place.
func (p *Pacer) turn(patient bool) (wait, away time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := p.tokens.Reserve()
	wait = token.Delay()
	if wait == 0 || patient && wait <= pacerPatience {
		return wait, 0
	}
	token.Cancel()
	place := p.places.Reserve()
	if away = place.Delay() + wait + time.Second; away <= turnMax { // at least a second: a wake-up is counted in seconds
		return 0, away
	}
	// More wait than there are places. They come back spread over the time in which the places are used up, so that some are
	// always there, and take no place: the queue of places must not grow by those who only ask again.
	place.Cancel()
	return 0, turnMax/2 + rand.N(turnMax/2)
}
