package sim

import (
	"maps"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// enough is how many worlds, drawn without a wish, reach everything.
const enough = 4000

// Unreached lists what a campaign that was long enough has not reached at least once: it has not looked there.
func (o Outcome) Unreached() (missed []string) {
	for _, what := range toReach() {
		if o.Worlds >= enough && o.Reached[what] == 0 {
			missed = append(missed, what)
		}
	}
	return missed
}

// toReach lists every fault, every spell, every cause, every move of a job and of an attempt, and the corners that the guards are
// for.
func toReach() []string {
	list := []string{
		"DescribeTasks says MISSING", "ECS replays an answer", "ECS had forgotten an attempt's first task", "a launch is settled",
		"a launch waits for its turn", "a stop waits for its turn", "the launch rate is used up", "a request is rejected", "a save meets a conflict",
		"a task is lost", "an event of an older attempt's task", "an invocation runs out of time", "two invocations work on one job",
		"a message is dead-lettered from submit", "a message is dead-lettered from watch",
	}
	for f := range faults {
		list = append(list, "fault: "+f.String())
	}
	for kind := range spells {
		list = append(list, "spell: "+kind.String())
	}
	for _, cause := range jobs.Causes() {
		list = append(list, "job cause: "+string(cause))
		if cause != jobs.CauseRequestRejected { // it has no attempt
			list = append(list, "attempt cause: "+string(cause))
		}
	}
	moves := jobs.Moves()
	for _, from := range slices.Sorted(maps.Keys(moves)) {
		for _, to := range moves[from] {
			list = append(list, "job: "+string(from)+" > "+string(to))
		}
	}
	attemptMoves := jobs.AttemptMoves()
	for _, from := range slices.Sorted(maps.Keys(attemptMoves)) {
		for _, to := range attemptMoves[from] {
			list = append(list, "attempt: "+string(from)+" > "+string(to))
		}
	}
	return list
}
