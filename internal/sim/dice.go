package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// dice is one stream of chance. Every concern of a world has its own, so that a fault which is switched off changes little of
// the rest: a failing seed can be made smaller.
type dice struct{ *rand.Rand }

func newDice(seed uint64, concern string) dice {
	h := fnv.New64a()
	_, _ = h.Write([]byte(concern)) // never fails
	return dice{rand.New(rand.NewPCG(seed*0x9e3779b97f4a7c15+1, h.Sum64()))}
}

func (d dice) chance(p float64) bool { return p > 0 && d.Float64() < p }

// between is a time from shortest to longest.
func (d dice) between(shortest, longest time.Duration) time.Duration {
	return shortest + time.Duration(d.Float64()*float64(longest-shortest))
}

// one chooses one of several, each as likely.
func one[T any](d dice, options ...T) T { return options[int(d.Float64()*float64(len(options)))] }

// pick chooses one of several, each with its weight.
func pick[T any](d dice, options []weighted[T]) T {
	sum := 0.0
	for _, o := range options {
		sum += o.weight
	}
	roll := d.Float64() * sum
	for _, o := range options {
		if roll -= o.weight; roll < 0 {
			return o.value
		}
	}
	return options[len(options)-1].value
}

type weighted[T any] struct {
	weight float64
	value  T
}
