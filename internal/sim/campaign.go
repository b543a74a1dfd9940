package sim

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Report is what became of one world.
type Report struct {
	Plan      Plan
	Violation *Violation // nil: everything held
	Jobs      int
	Steps     int
	Reached   map[string]int
	// Sum is of the whole trace, if one was kept; Trace has the lines about the job that was asked for.
	Sum   uint64
	Trace []string
}

// Run lets one world happen.
func Run(p Plan) Report { return runTraced(p, nil) }

// RunTraced is Run with a trace: of all of it as a sum, and of one job in words ("" = of none).
func RunTraced(p Plan, jobID string) Report { return runTraced(p, newTrace(jobID)) }

func runTraced(p Plan, t *trace) Report {
	w := newWorld(p)
	w.trace = t
	w.live()
	r := Report{Plan: p, Violation: w.violation, Jobs: len(w.table.items), Steps: w.steps, Reached: w.reached}
	if t != nil {
		r.Sum, r.Trace = t.sum.Sum64(), t.lines
	}
	return r
}

// Campaign runs the worlds of many seeds.
type Campaign struct {
	First, Seeds uint64
	Parallel     int
	// With is how strong faults are in every world, whatever its seed says; a campaign that looks for one thing finds it sooner.
	With Strengths
	// Stop ends the campaign at its first failure.
	Stop bool
}

// Outcome is what a campaign found.
type Outcome struct {
	Worlds, Jobs int
	Reached      map[string]int
	Failures     []Report // the first of each worker, and more unless the campaign stops
}

// Run runs a campaign, its worlds in parallel; each world is single-threaded.
func (c Campaign) Run() Outcome {
	out := Outcome{Reached: map[string]int{}}
	var next atomic.Uint64
	var mu sync.Mutex
	var workers sync.WaitGroup
	for range max(1, c.Parallel) {
		workers.Go(func() {
			for n := next.Add(1) - 1; n < c.Seeds; n = next.Add(1) - 1 {
				r := Run(c.With.in(Draw(c.First + n)))
				mu.Lock()
				out.add(r)
				if r.Violation != nil && c.Stop {
					next.Store(c.Seeds)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return out
}

func (o *Outcome) add(r Report) {
	o.Worlds++
	o.Jobs += r.Jobs
	for what, n := range r.Reached {
		if strings.HasPrefix(what, "most ") {
			o.Reached[what] = max(o.Reached[what], n)
		} else {
			o.Reached[what] += n
		}
	}
	if r.Violation != nil {
		o.Failures = append(o.Failures, r)
	}
}
