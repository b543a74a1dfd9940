package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
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

// Waker leaves work for later in the functions' queues: an engine.Waker. Either function does what a wake-up asks for, and
// wake-ups go to both in turn: so a crowd that waits to be launched has the launch rate of both, whichever of them it came to.
type Waker struct {
	sqs    *sqs.Client
	events string   // the URL of watch's queue
	wakes  []string // the URLs of the queues that wake-ups go to
	sent   atomic.Uint64
	now    func() time.Time
}

// NewWaker makes a Waker from the URLs of watch's queue and of submit's; without the latter watch has all wake-ups.
func NewWaker(config aws.Config, events, jobs string, now func() time.Time) *Waker {
	w := &Waker{sqs: sqs.NewFromConfig(config), events: events, wakes: []string{events}, now: now}
	if jobs != "" {
		w.wakes = append(w.wakes, jobs)
	}
	return w
}

// WakeAt leaves {"wake":"<jobId>"} for a time, at most 15 minutes away; a later one comes too early, and does nothing.
func (w *Waker) WakeAt(ctx context.Context, jobID string, at time.Time) error {
	delay := min(max(at.Sub(w.now()), 0), delayMax)
	to := w.wakes[w.sent.Add(1)%uint64(len(w.wakes))]
	// Rounded up: a wake-up that comes before the due time finds nothing to do.
	return w.leave(ctx, to, map[string]any{"wake": jobID}, int32(math.Ceil(delay.Seconds())))
}

// SweepFrom leaves {"sweep":true,"cursor":"..."} for watch.
func (w *Waker) SweepFrom(ctx context.Context, cursor string) error {
	return w.leave(ctx, w.events, map[string]any{"sweep": true, "cursor": cursor}, 0)
}

func (w *Waker) leave(ctx context.Context, to string, work map[string]any, delaySeconds int32) error {
	body, err := json.Marshal(work)
	if err != nil {
		return err
	}
	_, err = w.sqs.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &to, MessageBody: aws.String(string(body)), DelaySeconds: delaySeconds,
	})
	if err != nil {
		return fmt.Errorf("leave work for later: %w", err)
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
