// Command sim runs campaigns of the simulation: many seeds, each a world of its own.
//
// It is responsible for choosing the seeds and for telling what a campaign found: the first failure, made smaller, with its
// trace, or how often each fault, move and cause was reached, and what a long campaign has not reached. It refuses to judge;
// internal/sim does. People, `make sim` and the test of the guards call it.
//
// The invariant it keeps: it exits with 1 if and only if an invariant of the system did not hold or a long campaign has not
// reached everything, and with 2 if it could not look.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spotbatch/spotbatch/internal/sim"
)

func main() {
	c := sim.Campaign{}
	flag.Uint64Var(&c.First, "seed", 1, "first seed")
	flag.Uint64Var(&c.Seeds, "seeds", 1000, "how many seeds")
	flag.IntVar(&c.Parallel, "parallel", runtime.NumCPU(), "worlds at once")
	with := ""
	flag.Func("with", `faults that every world has, as "RunTask throttled=0.2,slow=0"; 0 = never`, func(text string) (err error) {
		with = text
		c.With, err = sim.ParseStrengths(text)
		return err
	})
	all := flag.Bool("all", false, "go on after a failure, and list all")
	brief := flag.Bool("brief", false, "tell a failure in one line")
	counts := flag.Bool("counts", false, "tell how often each thing was reached")
	flag.Parse()
	if flag.NArg() > 0 || c.Seeds == 0 {
		fmt.Fprintln(os.Stderr, "sim: give flags alone, and -seeds 1 or more: what looks at no world finds nothing")
		os.Exit(2)
	}
	c.Stop = !*all
	debug.SetGCPercent(400) // a world is small, and soon gone
	began := time.Now()
	out := c.Run()
	took := time.Since(began)
	if *counts {
		for _, what := range slices.Sorted(maps.Keys(out.Reached)) {
			fmt.Printf("%10d  %s\n", out.Reached[what], what)
		}
	}
	fmt.Printf("%d worlds, %d jobs in %v: %.0f jobs a second\n", out.Worlds, out.Jobs, took.Round(time.Millisecond), float64(out.Jobs)/took.Seconds())
	for i, failure := range out.Failures {
		if *brief || i > 0 {
			fmt.Printf("seed %d: %v\n", failure.Plan.Seed, failure.Violation)
			continue
		}
		fmt.Print(sim.Explain(failure))
		fmt.Printf("again: go run ./internal/sim/cmd/sim -seeds 1 -seed %d -with %q\n", failure.Plan.Seed, with)
	}
	missed := out.Unreached()
	if len(c.With) > 0 { // such worlds are for one thing
		missed = nil
	}
	for _, what := range missed {
		fmt.Println("no world has reached:", what)
	}
	if len(out.Failures)+len(missed) > 0 {
		os.Exit(1)
	}
}
