// Package pace keeps calls under the account's rate: it says for each whether it may go now, after a moment's wait inside
// its invocation, or is to come back later.
//
// It is responsible for the rate and for the order in which those who were sent away come back. It refuses to wait, to read the
// clock and to roll dice: internal/function does it on the real clock and internal/sim on a virtual one; they are its callers.
//
// The invariant it keeps: leave is never given faster than the rate, after a burst of one second's worth.
package pace

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pacer shares nothing with other instances: each has its part of the account's rate. One counts RunTask calls, whatever the
// provider: Fargate takes 20 of them a second, and 20 launches a second of each provider. Another counts StopTask calls: ECS
// takes 40 a second of both together.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
//
// Who finds no token waits for one inside its invocation, or is given a turn behind all that were sent away before, whichever
// comes first. The turns are for whoever has tokens to spare; that no more are given than can be served, and those who find
// none keep their invocation busy, is what spreads a crowd over all instances.
type Pacer struct {
	mu            sync.Mutex // a reservation that is cancelled gives back only what nobody reserved behind it
	tokens, turns *rate.Limiter
}

const (
	// wakeMin is the nearest that a turn is away: a wake-up is counted in seconds, and has a queue to go through.
	wakeMin = time.Second
	// turnMax is the furthest that a turn is away: what SQS delays.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
	turnMax = 15*time.Minute - time.Second
)

// New makes a Pacer for so many calls a second, with a burst of one second's worth, rounded down: the bursts of all instances
// come together. Turns are how many of those that were sent away may come back a second, to this instance or to others.
func New(calls, turns float64) *Pacer {
	return &Pacer{
		tokens: rate.NewLimiter(rate.Limit(calls), max(1, int(calls))),
		turns:  rate.NewLimiter(rate.Limit(turns), 1),
	}
}

// Reserve takes a token that is there (both are zero), or will be after a wait within the caller's patience; or it tells how far
// away the caller's turn is. Roll is one roll of the dice in [0,1).
func (p *Pacer) Reserve(now time.Time, patience time.Duration, roll float64) (wait, away time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	token, turn := p.tokens.ReserveN(now, 1), p.turns.ReserveN(now, 1)
	wait, away = token.DelayFrom(now), turn.DelayFrom(now)+wakeMin
	if wait <= min(away, patience) {
		turn.CancelAt(now)
		return wait, 0
	}
	token.CancelAt(now)
	if away <= turnMax {
		return 0, away
	}
	// More wait than there are turns. They come back spread over the time in which the turns are used up, so that some are
	// always there, and take no turn: the queue must not grow by those who only ask again.
	turn.CancelAt(now)
	return 0, turnMax/2 + time.Duration(roll*float64(turnMax/2))
}
