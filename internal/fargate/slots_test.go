package fargate

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOnlySoManyTasksRunAtOnceAndTheOthersWaitInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{MaxTasks: 3}, always(Script{RunFor: time.Second}))
		w.register(nil)
		var want []string
		for range 3 * handedAhead {
			want = append(want, lastPart(w.run(nil)))
		}
		w.start()
		settle(1500 * time.Millisecond)
		status := map[string]int{}
		for _, id := range want {
			status[*w.describe(id).LastStatus]++
		}
		if diff := cmp.Diff(map[string]int{"STOPPED": 3, "RUNNING": 3, "PROVISIONING": 3*handedAhead - 6}, status); diff != "" {
			t.Error(diff)
		}
		if counts, err := w.Live(t.Context()); err != nil || counts.Handed > 3+handedAhead+3 || counts.Waiting == 0 {
			t.Errorf("%+v are live, %v", counts, err)
		}
		settle(handedAhead * time.Second)
		var got []string
		for _, call := range w.executor.Calls() {
			if call.Call == "Start" {
				got = append(got, call.TaskID)
			}
		}
		// Those that start at the same moment do so in any order.
		for from := range slices.Chunk(want, 3) {
			slices.Sort(from)
		}
		for from := range slices.Chunk(got, 3) {
			slices.Sort(from)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if peak := w.executor.Peak(); peak != 3 {
			t.Errorf("%d ran at once", peak)
		}
	})
}

func TestAnExitThatIsToldTwiceFreesItsSlotOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{MaxTasks: 2}, always(Script{RunFor: time.Second}))
		w.executor.ExitsTwice = true
		w.register(nil)
		w.start()
		for range 12 {
			w.run(nil)
		}
		settle(10 * time.Second)
		if counts, err := w.Live(t.Context()); err != nil || counts != (Counts{}) || w.executor.Peak() != 2 {
			t.Errorf("%+v are live, %v; %d ran at once", counts, err, w.executor.Peak())
		}
	})
}
