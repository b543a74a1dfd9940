// Package function is what both Lambda functions share: running on one event from standard input, and answering an SQS batch
// item by item.
//
// It refuses to know what the items are about; functions/submit and functions/watch are its callers.
//
// The invariant it keeps: a batch item is acknowledged only if its handler returned without an error, and one bad item
// never takes the others with it.
package function

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/spotbatch/spotbatch/internal/intake"
)

// Handler takes one payload, whatever its envelope, and returns its answer.
type Handler func(ctx context.Context, payload json.RawMessage) (any, error)

// Once runs the handler on the one payload that stdin holds and prints its answer.
func Once(ctx context.Context, handler Handler, stdin io.Reader, stdout io.Writer) error {
	payload, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	answer, err := handler(ctx, payload)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// timeLeftMin is how much of its time an invocation keeps for the item at hand: less, and no further item is begun.
const timeLeftMin = 10 * time.Second

// Batch handles the items of an SQS batch one after the other and answers which failed. Once little time is left the
// remaining ones count as failed: SQS delivers them again.
func Batch(ctx context.Context, log *slog.Logger, items []intake.Item, handle func(context.Context, intake.Item) error) events.SQSEventResponse {
	// Not nil: Go writes a nil slice as null, and the empty list is what says "all done".
	// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
	failed := []events.SQSBatchItemFailure{}
	for _, item := range items {
		err := errNoTime
		if timeLeft(ctx) {
			err = handle(ctx, item)
		}
		if err != nil {
			log.Error("item failed", slog.String("event_id", item.MessageID), slog.String("error", err.Error()))
			failed = append(failed, events.SQSBatchItemFailure{ItemIdentifier: item.MessageID})
		}
	}
	return events.SQSEventResponse{BatchItemFailures: failed}
}

var errNoTime = fmt.Errorf("less than %v left; the item is left to the next invocation", timeLeftMin)

func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= timeLeftMin
}
