package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A failure is made smaller until it can do without nothing any more, and told.

// Shrink takes out of a failing plan what it can do without: kinds of faults, spells, jobs, and half of the time. What is left
// fails by the same invariant.
func Shrink(p Plan) Plan {
	failed := Run(p).Violation
	if failed == nil {
		return p
	}
	for smaller := true; smaller; {
		smaller = false
		for _, without := range p.smaller() {
			next := without(p)
			if v := Run(next).Violation; v != nil && v.Invariant == failed.Invariant {
				p, smaller = next, true
			}
		}
	}
	return p
}

// smaller lists the ways in which a plan may lose one thing.
func (p Plan) smaller() (ways []func(Plan) Plan) {
	for f, strength := range p.Strength {
		if strength > 0 {
			ways = append(ways, func(p Plan) Plan { p.Strength[f] = 0; return p })
		}
	}
	for _, spell := range p.Spells {
		ways = append(ways, func(p Plan) Plan { p.Spells = except(p.Spells, spell); return p })
	}
	for _, number := range p.Jobs {
		ways = append(ways, func(p Plan) Plan { p.Jobs = except(p.Jobs, number); return p })
	}
	if p.Chaos > 10*time.Minute {
		ways = append(ways, func(p Plan) Plan { p.Chaos /= 2; return p })
	}
	return ways
}

func except[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(each T) bool { return each == one })
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
	fmt.Fprintf(&b, "seed %d fails: %v\n", p.Seed, small.Violation)
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
