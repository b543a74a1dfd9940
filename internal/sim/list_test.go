package sim

import (
	"testing"
	"time"
)

// TestALaunchIsSettledByTwoListsOfWhichEachMayBeBehind: RunTask's answers and all events are lost, and ListTasks shows what
// changed minutes late, though never as late as Settling. A task that has just stopped is then in neither list: it is no longer
// among those that run, and not yet among the others.
func TestALaunchIsSettledByTwoListsOfWhichEachMayBeBehind(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		p := Plan{
			Seed: seed, Chaos: 2 * time.Hour, LaunchBurst: 100, LaunchRate: 20, Quota: 1 << 30, Concurrency: 2, LaunchesPerSecond: 2,
			Jobs: []int{0, 1, 2, 3}, Spells: []Spell{{AnswersLost, 0, 2 * time.Hour, 1}, {EventsGone, 0, 2 * time.Hour, 1}},
			Fate: func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
				return fate{
					startsIn: 20 * time.Second, lasts: d.between(time.Minute, 55*time.Minute), code: exit(0), onTerm: exit(143),
					stopIn: time.Second, notice: "SpotInterruption",
				}
			},
		}
		p.Strength[DescribeLags], p.Strength[UserCancels] = 0.7, 0.3
		if v := Run(p).Violation; v != nil {
			t.Errorf("seed %d: %v", seed, v)
		}
	}
}
