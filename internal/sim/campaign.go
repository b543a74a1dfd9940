package sim

import (
	"fmt"
	"slices"
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

// Shrink takes out of a failing plan what it can do without: kinds of faults, spells, jobs. What is left fails by the same
// invariant.
func Shrink(p Plan) Plan {
	failed := Run(p).Violation
	if failed == nil {
		return p
	}
	try := func(smaller Plan) {
		if v := Run(smaller).Violation; v != nil && v.Invariant == failed.Invariant {
			p = smaller
		}
	}
	for f := range p.Strength {
		if p.Strength[f] > 0 {
			smaller := p
			smaller.Strength[f] = 0
			try(smaller)
		}
	}
	for i := len(p.Spells) - 1; i >= 0; i-- {
		smaller := p
		smaller.Spells = slices.Delete(slices.Clone(p.Spells), i, i+1)
		try(smaller)
	}
	for _, number := range p.Jobs {
		smaller := p
		smaller.Jobs = slices.DeleteFunc(slices.Clone(p.Jobs), func(n int) bool { return n == number })
		try(smaller)
	}
	return p
}

// Explain tells a failure: the violation, what went wrong in its world, and what happened to the job.
func Explain(r Report) string {
	p := Shrink(r.Plan)
	small := Run(p)
	if small.Violation == nil { // it was no failure
		return fmt.Sprintf("seed %d: %v", r.Plan.Seed, r.Violation)
	}
	traced := RunTraced(p, small.Violation.JobID)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d fails: %v\n", p.Seed, r.Violation)
	fmt.Fprintf(&b, "made smaller, it is jobs %v in %v:\n", p.Jobs, p.Chaos)
	for f, strength := range p.Strength {
		if strength > 0 {
			fmt.Fprintf(&b, "  %v: %v\n", Fault(f), strength)
		}
	}
	for _, s := range p.Spells {
		fmt.Fprintf(&b, "  %v from %v until %v, %v of the calls\n", s.Kind, s.From, s.Until, s.Share)
	}
	lines := traced.Trace
	if len(lines) > traceMax {
		fmt.Fprintf(&b, "(%d lines before)\n", len(lines)-traceMax)
		lines = lines[len(lines)-traceMax:]
	}
	b.WriteString(strings.Join(lines, "\n"))
	return b.String() + "\n"
}

// traceMax is how many lines of a trace are told.
const traceMax = 120
