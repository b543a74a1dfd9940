package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Queue is one SQS queue.
type Queue struct {
	client *sqs.Client
	url    string
}

// NewQueue makes a Queue for a queue's URL.
func NewQueue(config aws.Config, url string) *Queue {
	return &Queue{sqs.NewFromConfig(config), url}
}

// Send sends a message and returns its id.
func (q *Queue) Send(ctx context.Context, body string) (messageID string, err error) {
	out, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(q.url), MessageBody: aws.String(body)})
	if err != nil {
		return "", fmt.Errorf("send message: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

// delayMax is the longest that SQS delays a message.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
const delayMax = 15 * time.Minute

// EventsQueue is the queue that watch reads, as a place to leave work for later: an engine.Waker.
type EventsQueue struct {
	*Queue
	now func() time.Time
}

// NewEventsQueue makes an EventsQueue for the queue's URL.
func NewEventsQueue(config aws.Config, url string, now func() time.Time) *EventsQueue {
	return &EventsQueue{NewQueue(config, url), now}
}

// WakeAt leaves {"wake":"<jobId>"} for a time, at most 15 minutes away; a later one comes too early, and does nothing.
func (q *EventsQueue) WakeAt(ctx context.Context, jobID string, at time.Time) error {
	delay := min(max(at.Sub(q.now()), 0), delayMax)
	// Rounded up: a wake-up that comes before the due time finds nothing to do.
	return q.leave(ctx, map[string]any{"wake": jobID}, int32(math.Ceil(delay.Seconds())))
}

// SweepFrom leaves {"sweep":true,"cursor":"..."}.
func (q *EventsQueue) SweepFrom(ctx context.Context, cursor string) error {
	return q.leave(ctx, map[string]any{"sweep": true, "cursor": cursor}, 0)
}

func (q *EventsQueue) leave(ctx context.Context, work map[string]any, delaySeconds int32) error {
	body, err := json.Marshal(work)
	if err != nil {
		return err
	}
	_, err = q.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(q.url), MessageBody: aws.String(string(body)), DelaySeconds: delaySeconds,
	})
	if err != nil {
		return fmt.Errorf("send to events queue: %w", err)
	}
	return nil
}

// RejectedQueue keeps what was refused.
type RejectedQueue struct{ *Queue }

const (
	// messageMax is the size of a message in bytes, attributes included.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
	messageMax = 1 << 20
	reasonMax  = 4096
	// bodyMax leaves room for the reason and its attribute's name: what was as large as a message may be is cut.
	bodyMax = messageMax - reasonMax - 64
)

// SendRejected keeps a refused request with the reason as the message attribute "Reason".
func (q RejectedQueue) SendRejected(ctx context.Context, body []byte, reason string) error {
	_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(q.url), MessageBody: aws.String(allowed(cut(string(body), bodyMax))),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"Reason": {DataType: aws.String("String"), StringValue: aws.String(allowed(cut(reason, reasonMax)))},
		},
	})
	if err != nil {
		return fmt.Errorf("send to rejected queue: %w", err)
	}
	return nil
}

// allowed replaces the characters that SQS refuses, and an empty text, so that nothing is too odd to be kept.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
func allowed(text string) string {
	if text == "" {
		return "(empty)"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\n', r == '\r':
			return r
		case r < ' ', r == 0xFFFE, r == 0xFFFF:
			return utf8.RuneError
		}
		return r
	}, text)
}

// cut shortens a text to so many bytes, whole characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}
