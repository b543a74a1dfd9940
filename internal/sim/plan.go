package sim

import (
	"time"
)

// Plan is all that a seed decides before a world begins: who comes, and what goes wrong how often.
type Plan struct {
	Seed uint64
	// Jobs are the numbers of the jobs that come; what each is like depends on its number, the seed, the faults and how
	// long the chaos is.
	Jobs []int
	// Rush has all jobs come within ten seconds.
	Rush bool
	// Chaos is how long jobs come and faults happen; after it everything works, and every job must end.
	Chaos time.Duration
	// SickFor is for how long after the last fault sick items stay so.
	SickFor time.Duration
	// Strength is how likely each fault is wherever it may happen; 0 = never.
	Strength [faults]float64
	Spells   []Spell
	// LaunchBurst and LaunchRate are ECS's token buckets, one for each capacity provider.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
	LaunchBurst, LaunchRate float64
	// LagMax is how far DescribeTasks and ListTasks are behind at the most; 0 = as far as the engine's times allow.
	LagMax time.Duration
	// Quota is how many tasks of one provider may live at once.
	Quota int
	// Concurrency is how many invocations of each function may run at once.
	Concurrency int
	// LaunchesPerSecond is one instance's share of the launch rate; see SPOTBATCH_LAUNCHES_PER_SECOND.
	LaunchesPerSecond float64
	KillAt            int  // the call of all calls of all invocations at which one is killed; 0 = none. For crash points.
	KillAfter         bool // once it took effect
	// Requests and Fate take the place of what the seed would draw; nil = drawn.
	Requests []Request
	Fate     func(d dice, jobID string, attempt int, spot bool, at time.Duration) fate
	// Reclaim is when Spot takes all that runs, at once; 0 = never.
	Reclaim time.Duration
}

// Draw makes a seed's plan in the manner of swarm testing: each kind of fault is on or off, and, if it is on, weak or strong.
// A world in which everything goes wrong shows less than many in which some things do.
func Draw(seed uint64) Plan {
	d := newDice(seed, "plan")
	p := Plan{
		Seed: seed, Chaos: d.between(20*time.Minute, 4*time.Hour),
		LaunchBurst: 100, LaunchRate: 20, Quota: 1 << 30, Concurrency: 1 + d.IntN(6), LaunchesPerSecond: 2,
	}
	for i := range 1 + d.IntN(12) {
		p.Jobs = append(p.Jobs, i)
	}
	share := []float64{0.2, 0.4, 0.7}[d.IntN(3)] // of the faults that are on
	for f := range p.Strength {
		// Each has dice of its own, so that a new kind of fault leaves the worlds of a seed as they were but for itself.
		if own := newDice(seed, "plan/"+Fault(f).String()); own.chance(share) {
			p.Strength[f] = []float64{0.01, 0.05, 0.2, 0.5}[own.IntN(4)]
		}
	}
	p.SickFor = newDice(seed, "plan/sick").between(0, 3*time.Hour)
	p.Strength[Killed] /= 4          // of every call: an invocation makes several
	p.Strength[EventMalformed] /= 10 // each is received thirty times, and says the same
	switch strict := p.Strength[PacerStrict]; {
	case strict >= 0.2:
		p.LaunchesPerSecond = 0.02 // a turn comes after minutes
	case strict > 0:
		p.LaunchesPerSecond = 0.2 // after seconds, while calls for the job may still be under way
	}
	if d.chance(share / 2) {
		p.LaunchBurst, p.LaunchRate = 2, 0.05
	}
	if d.chance(share / 2) {
		p.Quota = 1 + d.IntN(3)
	}
	for kind := range spells {
		if !d.chance(share / 2) {
			continue
		}
		for range 1 + d.IntN(2) {
			from := d.between(0, p.Chaos)
			until := min(from+d.between(time.Minute, 70*time.Minute), p.Chaos)
			p.Spells = append(p.Spells, Spell{kind, from, until, []float64{0.3, 0.8, 1}[d.IntN(3)]})
		}
	}
	if d.chance(0.1) {
		p.badDay(d)
	}
	p.Rush = d.chance(0.3)
	return p
}

// badDay lets the spells come together that a launch's guards are for: its first calls have no effect, a later one has and is
// not answered, no event tells of it, and all of that may last longer than ECS remembers a task.
func (p *Plan) badDay(d dice) {
	p.Chaos = 5 * time.Hour
	p.Strength[DescribeLags], p.Strength[UserCancels] = 0.5, 0.5
	from := d.between(10*time.Minute, time.Hour)
	down := d.between(0, 50*time.Minute)
	lost := d.between(time.Minute, 30*time.Minute)
	again := d.between(0, 150*time.Minute)
	p.Spells = append(p.Spells,
		Spell{ECSDown, from, from + down, 1}, Spell{AnswersLost, from + down, from + down + lost, 1},
		Spell{ECSDown, from + down + lost, from + down + lost + again, 1}, Spell{EventsGone, from, from + down + lost + again, 1})
}
