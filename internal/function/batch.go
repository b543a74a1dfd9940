package function

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"golang.org/x/sync/errgroup"

	"github.com/spotbatch/spotbatch/internal/intake"
)

const (
	// timeLeftMin is how much of its time an invocation keeps for the item at hand: less, and no further item is begun. A call
	// that hangs ends within 10 seconds, and what it came to must still be stored.
	timeLeftMin = 15 * time.Second
	// itemsAtOnce is how many items of a batch are in work: most of an item's time is waiting for AWS, which Lambda bills.
	itemsAtOnce = 4
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
				errs[i] = handle(ctx, item)
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

var errNoTime = fmt.Errorf("less than %v left; the item is left to the next invocation", timeLeftMin)

func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= timeLeftMin
}
