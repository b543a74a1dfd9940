package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/internal/intake"
)

func batchOf(n int) []intake.Item {
	var items []intake.Item
	for i := range n {
		items = append(items, intake.Item{MessageID: fmt.Sprintf("m%d", i)})
	}
	return items
}

func run(ctx context.Context, t *testing.T, items []intake.Item, handle func(context.Context, intake.Item) error) string {
	t.Helper()
	answer, err := json.Marshal(Batch(ctx, slog.New(slog.DiscardHandler), items, handle))
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestABatchThatIsDoneIsAnsweredWithAnEmptyList(t *testing.T) {
	t.Parallel()
	got := run(t.Context(), t, batchOf(3), func(context.Context, intake.Item) error { return nil })
	if got != `{"batchItemFailures":[]}` {
		t.Errorf("%s; null would also count as done, but only by luck", got)
	}
}

func TestAnItemThatHangsLeavesTimeToAnswerForTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		f := &Function{Meter: newMeter("nightly", io.Discard)}
		answer, _ := f.metered(func(ctx context.Context, _ json.RawMessage) (any, error) {
			return run(ctx, t, batchOf(10), func(ctx context.Context, item intake.Item) error {
				if item.MessageID == "m3" {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			}), nil
		})(ctx, nil)
		if answer != `{"batchItemFailures":[{"itemIdentifier":"m3"}]}` || ctx.Err() != nil {
			t.Errorf("answered %v, deadline: %v", answer, ctx.Err())
		}
	})
}

func TestOneBadItemIsTheOnlyOneThatFails(t *testing.T) {
	t.Parallel()
	got := run(t.Context(), t, batchOf(5), func(_ context.Context, item intake.Item) error {
		if item.MessageID == "m3" {
			return errors.New("no")
		}
		return nil
	})
	if got != `{"batchItemFailures":[{"itemIdentifier":"m3"}]}` {
		t.Error(got)
	}
}

func TestAPanicFailsItsItemAndNoOther(t *testing.T) {
	t.Parallel()
	got := run(t.Context(), t, batchOf(5), func(_ context.Context, item intake.Item) error {
		if item.MessageID == "m3" {
			panic("secret")
		}
		return nil
	})
	if got != `{"batchItemFailures":[{"itemIdentifier":"m3"}]}` {
		t.Error(got)
	}
}

func TestAFewItemsAreInWorkAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		begin := time.Now()
		run(t.Context(), t, batchOf(25), func(context.Context, intake.Item) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			return nil
		})
		if took := time.Since(begin); most.Load() != itemsAtOnce || took != 3*time.Second {
			t.Errorf("%d at a time, %v", most.Load(), took)
		}
	})
}

func TestNoItemIsBegunWhenLittleTimeIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), timeLeftMin+5*time.Second)
		defer cancel()
		var done atomic.Int32
		got := run(ctx, t, batchOf(30), func(context.Context, intake.Item) error {
			time.Sleep(3 * time.Second)
			done.Add(1)
			return nil
		})
		// Begun after 0 and 3 seconds; after 6 less than timeLeftMin is left.
		if failed := strings.Count(got, "itemIdentifier"); done.Load() != 20 || failed != 10 {
			t.Errorf("%d done, %d left to the next invocation", done.Load(), failed)
		}
	})
}
