package function

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"github.com/spotbatch/spotbatch/internal/intake"
)

const (
	// timeLeftMin is how much of its time an invocation keeps for the item at hand: less, and no further item is begun. A call
	// that hangs ends within 10 seconds, and what it came to must still be stored.
	timeLeftMin = 15 * time.Second
	// itemsAtOnce is how many items of a batch are in work: all of one of the template's. Most of an item's time is waiting,
	// for AWS or for leave to launch, which Lambda bills, and the others do not wait behind it.
	itemsAtOnce = 10
)

// Batch handles the items of an SQS batch, a few at a time, and answers which failed. Once little time is left the remaining
// ones count as failed: SQS delivers them again.
func Batch(ctx context.Context, log *slog.Logger, items []intake.Item, handle func(context.Context, intake.Item) error) events.SQSEventResponse {
	errs := make([]error, len(items))
	var group errgroup.Group
	group.SetLimit(itemsAtOnce)
	for i, item := range items {
		group.Go(func() error {
			errs[i] = errNoTime
			if timeLeft(ctx) {
				errs[i] = unharmed(ctx, log, item, handle)
			}
			return nil
		})
	}
	_ = group.Wait() // each item keeps its own error
	// Not nil: Go writes a nil slice as null, and the empty list is what says "all done".
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
	failed := []events.SQSBatchItemFailure{}
	for i, err := range errs {
		if err != nil && items[i].MessageID != "" { // an empty identifier would fail the whole batch
			log.ErrorContext(ctx, "item failed", slog.String("event_id", items[i].MessageID), slog.String("error", err.Error()))
			failed = append(failed, events.SQSBatchItemFailure{ItemIdentifier: items[i].MessageID})
		}
	}
	return events.SQSEventResponse{BatchItemFailures: failed}
}

// unharmed handles an item; a panic fails it, and none of the others.
func unharmed(ctx context.Context, log *slog.Logger, item intake.Item, handle func(context.Context, intake.Item) error) (err error) {
	defer func() {
		if trouble := recover(); trouble != nil {
			log.ErrorContext(ctx, "panic", slog.String("event_id", item.MessageID), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("panic: %T", trouble) // its text may hold what must not be logged
		}
	}()
	return handle(ctx, item)
}

var errNoTime = fmt.Errorf("less than %v left; the item is left to the next invocation", timeLeftMin)

func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= timeLeftMin
}
