package sim

import (
	"iter"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
)

// coroutine does one piece of work after the other in a goroutine of its own, and gives the world back its turn whenever the work
// pauses. A world has a hundred pieces for each job: that they share coroutines saves each of them a stack that must grow.
type coroutine struct {
	p      *process                 // whose work it does
	pause  func(time.Duration) bool // within the work; false: it is to end
	next   func() (time.Duration, bool)
	stop   func()
	ends   bool // the work is to end
	engine *engine.Engine
}

// finished is what a coroutine gives back in the place of a pause when its work is done.
const finished = time.Duration(-1)

func (w *World) newCoroutine() *coroutine {
	c := &coroutine{}
	c.engine = w.newEngine(c)
	c.next, c.stop = iter.Pull(func(yield func(time.Duration) bool) {
		c.pause = func(d time.Duration) bool { return yield(d) && !c.ends }
		for more := true; more; more = yield(finished) {
			c.p.run()
		}
	})
	return c
}

// coroutine takes one that is idle, or makes one, for a process.
func (w *World) coroutine(p *process) (c *coroutine) {
	if n := len(w.idle); n > 0 {
		c, w.idle = w.idle[n-1], w.idle[:n-1]
	} else {
		c = w.newCoroutine()
	}
	c.p, c.ends = p, false
	return c
}

// resume lets the work go on until its next pause; running is false once it is done.
func (c *coroutine) resume() (pause time.Duration, running bool) {
	pause, _ = c.next()
	return pause, pause != finished
}

// free ends the work, if it is not done, and keeps the coroutine for other work.
func (w *World) free(c *coroutine, done bool) {
	if !done {
		c.ends = true
		c.resume()
	}
	w.idle = append(w.idle, c)
}
