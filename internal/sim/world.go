package sim

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

const runner = "sim"

// beginning is when every world begins.
var beginning = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// World is everything around an engine, on one virtual clock and in one goroutine at a time.
type World struct {
	plan     Plan
	now      time.Time // the true time
	calm     bool      // all faults have stopped
	timeline timeline
	streams  [faults]dice
	dice     dice // of all that is no fault: how long calls take, spells, the engine's jitter

	table     *table
	cluster   *cluster
	requests  *queue // the jobs queue
	events    *queue
	sweepers  []*instance
	desks     []*instance // submit, invoked directly
	nextSweep time.Time

	users     int               // what users still mean to do
	sicklings map[string]bool   // jobs whose item is sick
	open      map[string]bool   // jobs that have not ended, or whose end is not published
	rejected  map[string]string // by message id
	accepted  map[string]bool   // jobs that somebody was told of
	retries   map[string]int    // how often users had a job run again
	published map[string]*news
	made      map[string]map[string]int // calls of each kind for each job
	spotGone  map[string]bool
	refusals  map[string]map[jobs.Cause]bool // what ECS refused a job for
	answers   map[string][]string            // RunTask's reasons, as a sentence has them
	documents map[string]map[int64]string    // of saves with something to publish, by version
	alive     map[*process]struct{}
	idle      []*coroutine

	ids, calls, saves, invocations, sweeps, steps int
	lastEnd                                       time.Time
	reached                                       map[string]int
	latest                                        time.Duration // how late a sweep found what was due, at the most
	violation                                     *Violation
	acting                                        *process // whose call takes effect now
	trace                                         *trace
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant, JobID, What string
	At                     time.Duration
}

func (v *Violation) String() string {
	return fmt.Sprintf("%v after the beginning, job %q: %s: %s", v.At, v.JobID, v.Invariant, v.What)
}

func newWorld(p Plan) *World {
	w := &World{
		plan: p, now: beginning, dice: newDice(p.Seed, "latency"), open: map[string]bool{}, rejected: map[string]string{},
		accepted: map[string]bool{}, retries: map[string]int{}, published: map[string]*news{}, made: map[string]map[string]int{}, spotGone: map[string]bool{},
		refusals: map[string]map[jobs.Cause]bool{}, answers: map[string][]string{}, documents: map[string]map[int64]string{},
		alive: map[*process]struct{}{}, sicklings: map[string]bool{}, reached: map[string]int{}, lastEnd: beginning,
	}
	for f := range w.streams {
		w.streams[f] = newDice(p.Seed, "fault/"+Fault(f).String())
	}
	w.table = newTable()
	w.table.changed = w.saved
	w.table.later = w.index
	w.cluster = newCluster(w)
	w.requests = &queue{w: w, name: "submit", maxReceives: 30, crew: w.crew("submit", p.Concurrency, patience)}
	w.requests.serve = w.serveBatch(w.requests, w.submitItem)
	w.events = &queue{w: w, name: "watch", maxReceives: 30, crew: w.crew("watch", p.Concurrency, 0)}
	w.events.serve = w.serveBatch(w.events, w.watchItem)
	w.sweepers = w.crew("sweep", 3, 0)
	w.desks = w.crew("direct", 3, patience)
	return w
}

// patience is functions/submit's; watch has none.
const patience = 2 * time.Second

// crew makes instances, each with a clock of its own.
func (w *World) crew(name string, n int, patience time.Duration) []*instance {
	crew := make([]*instance, n)
	for i := range crew {
		crew[i] = &instance{name: fmt.Sprintf("%s-%d", name, i+1), pacers: newPacers(w.plan.LaunchesPerSecond), patience: patience}
		if w.hit(ClockWrong) {
			crew[i].skew = w.streams[ClockWrong].between(-time.Minute, time.Minute)
		}
	}
	return crew
}

// newEngine makes the engine of a coroutine, which works for one process after the other.
func (w *World) newEngine(c *coroutine) *engine.Engine {
	return engine.New(engine.Config{
		Runner: runner, Store: store{c}, Launcher: launcher{c}, Publisher: publisher{c}, Waker: waker{c}, Pacer: pacing{c}, Meter: meter{w},
		Times: spot.AWSTimes(), Now: func() time.Time { return c.p.now() }, Roll: w.roll, NewID: w.newID, Log: slog.New(listener{c}),
	})
}

// roll is the engine's dice. A roll of next to nothing makes a backoff of no time at all, which is none.
func (w *World) roll() float64 { return max(w.dice.Float64(), 0.001) }

func (w *World) newID() string {
	w.ids++
	return fmt.Sprintf("id-%06d", w.ids)
}

func (w *World) schedule(at time.Time, run func()) { w.timeline.schedule(at, run) }

// since is how old the world is.
func (w *World) since() time.Duration { return w.now.Sub(beginning) }

// hit rolls whether a fault happens here and now.
func (w *World) hit(f Fault) bool {
	if w.calm || w.plan.Strength[f] == 0 || w.streams[f].Float64() >= w.plan.Strength[f] {
		return false
	}
	w.sometimes("fault: " + f.String())
	return true
}

// sick reports whether a job's item is sick, or was until a while ago.
func (w *World) sick(jobID string, ago time.Duration) bool {
	return w.sicklings[jobID] && w.since() < w.plan.Chaos+w.plan.SickFor+ago
}

// in tells whether a spell holds for this call.
func (w *World) in(kind SpellKind) bool {
	if w.calm || len(w.plan.Spells) == 0 {
		return false
	}
	for _, s := range w.plan.Spells {
		if s.Kind == kind && w.since() >= s.From && w.since() < s.Until && (s.Share == 1 || w.dice.chance(s.Share)) {
			w.sometimes("spell: " + kind.String())
			return true
		}
	}
	return false
}

func (w *World) sometimes(what string) { w.reached[what]++ }

// index changes the index of due times, at once or late.
func (w *World) index(change func()) {
	if !w.hit(IndexLags) {
		change()
		w.sweepAt()
		return
	}
	w.schedule(w.now.Add(w.streams[IndexLags].between(0, 2*time.Minute)), func() {
		change()
		w.sweepAt()
	})
}

// endWithin is how long after the last fault a job may take to end; a long one runs for two hours an attempt.
const endWithin = 30 * time.Hour

// stepsMax bounds a world: one that takes more never comes to rest.
const stepsMax = 400_000

// live lets the world happen until nothing is left to happen, or an invariant does not hold.
func (w *World) live() {
	w.populate()
	w.schedule(beginning.Add(w.plan.Chaos), func() {
		w.note("", "all faults stop")
		w.calm = true
	})
	w.schedule(beginning.Add(w.plan.Chaos+endWithin), w.checkEnded)
	limit := stepsMax + 2000*len(w.plan.Requests)
	for w.violation == nil {
		at, run, ok := w.timeline.pop()
		if !ok {
			break
		}
		w.now = at
		run()
		if w.steps++; w.steps > limit {
			w.fail("the world comes to rest", "", "%d steps", w.steps)
		}
	}
	if w.violation == nil {
		w.audit()
	}
	for p := range w.alive {
		p.co.stop()
	}
	for _, c := range w.idle {
		c.stop()
	}
}

// fail reports the first invariant that does not hold.
func (w *World) fail(invariant, jobID, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{invariant, jobID, fmt.Sprintf(format, args...), w.since()}
		w.note(jobID, "VIOLATED: %s: %s", invariant, w.violation.What)
	}
}
