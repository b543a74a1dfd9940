package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What the events are called; internal/intake ignores them, so that a rule that matches too much makes no loop.
const (
	eventSource = "spotbatch"
	eventType   = "Spotbatch Job State Change"
)

// Bus publishes jobs on an EventBridge bus.
type Bus struct {
	client *eventbridge.Client
	name   string
}

// NewBus makes a Bus for a bus's name or ARN.
func NewBus(config aws.Config, name string) *Bus {
	return &Bus{eventbridge.NewFromConfig(config), name}
}

// Publish puts one "Spotbatch Job State Change". It may do so more than once; detail.version tells the events of a job apart.
func (b *Bus) Publish(ctx context.Context, document *jobs.Job) error {
	var detail strings.Builder
	encoder := json.NewEncoder(&detail)
	encoder.SetEscapeHTML(false) // "\u003c" for "<" would make six bytes of one, and an event has a limit
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("publish job %s: %w", document.JobID, err)
	}
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: aws.String(b.name), Source: aws.String(eventSource), DetailType: aws.String(eventType),
		Detail: aws.String(strings.TrimSpace(detail.String())),
	}}})
	if err != nil {
		return fmt.Errorf("publish job %s: %w", document.JobID, err)
	}
	// A refused entry comes with HTTP 200.
	// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
	if out.FailedEntryCount > 0 && len(out.Entries) > 0 {
		refused := out.Entries[0]
		return fmt.Errorf("publish job %s: %s: %s", document.JobID, aws.ToString(refused.ErrorCode), aws.ToString(refused.ErrorMessage))
	}
	return nil
}
