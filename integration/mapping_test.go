//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spotbatch/spotbatch/internal/lambdatest"
)

// mapping is Lambda's event source mapping from a queue to a function: so many pollers, each of which hands over a batch at a
// time, waits for the answer, and deletes what did not fail. What failed, and all of a batch that got no answer, stays in the
// queue until its visibility timeout is over.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
type mapping struct {
	sqs      *sqs.Client
	queue    string // its URL
	lambda   *lambdatest.Lambda
	function string
	batch    int32
	log      *slog.Logger
}

// poll hands over batches until ctx ends; a batch that is in hand is finished.
func (m mapping) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if err := m.once(ctx); err != nil && ctx.Err() == nil {
			m.log.Warn("a batch failed", "function", m.function, "error", err)
		}
	}
}

func (m mapping) once(ctx context.Context) error {
	received, err := m.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &m.queue, MaxNumberOfMessages: m.batch, WaitTimeSeconds: 1,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		MessageAttributeNames:       []string{"All"},
	})
	if err != nil || len(received.Messages) == 0 {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	payload, err := json.Marshal(batchOf(received.Messages))
	if err != nil {
		return err
	}
	answer, err := invoke(ctx, m.lambda, m.function, payload)
	if err != nil {
		return err
	}
	var response events.SQSEventResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return fmt.Errorf("the function answered %s: %w", answer, err)
	}
	return m.remove(ctx, received.Messages, response)
}

// remove deletes the messages that did not fail.
func (m mapping) remove(ctx context.Context, messages []types.Message, response events.SQSEventResponse) error {
	failed := map[string]bool{}
	for _, f := range response.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	var done []types.DeleteMessageBatchRequestEntry
	for _, message := range messages {
		if !failed[aws.ToString(message.MessageId)] {
			done = append(done, types.DeleteMessageBatchRequestEntry{Id: message.MessageId, ReceiptHandle: message.ReceiptHandle})
		}
	}
	if len(failed) > 0 {
		m.log.Info("messages stay in the queue", "function", m.function, "messages", len(failed))
	}
	if len(done) == 0 {
		return nil
	}
	_, err := m.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &m.queue, Entries: done})
	return err
}

// batchOf is the payload that Lambda makes of messages.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
func batchOf(messages []types.Message) events.SQSEvent {
	var batch events.SQSEvent
	for _, message := range messages {
		batch.Records = append(batch.Records, events.SQSMessage{
			MessageId: aws.ToString(message.MessageId), ReceiptHandle: aws.ToString(message.ReceiptHandle),
			Body: aws.ToString(message.Body), Md5OfBody: aws.ToString(message.MD5OfBody), Attributes: message.Attributes,
			MessageAttributes: map[string]events.SQSMessageAttribute{},
			EventSource:       "aws:sqs", EventSourceARN: "arn:aws:sqs:us-east-1:000000000000:queue", AWSRegion: "us-east-1",
		})
	}
	return batch
}

// sweep invokes watch as the schedule does, but once a second.
func sweep(ctx context.Context, lambda *lambdatest.Lambda, log *slog.Logger) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			if _, err := invoke(context.WithoutCancel(ctx), lambda, "watch", []byte(`{"sweep":true}`)); err != nil {
				log.Warn("a sweep failed", "error", err)
			}
		}
	}
}

// invoke calls a function; an error that it answers is an error.
func invoke(ctx context.Context, lambda *lambdatest.Lambda, function string, payload []byte) ([]byte, error) {
	answer, failed, err := lambda.Invoke(ctx, function, payload)
	if failed != nil {
		err = fmt.Errorf("the function answered %s: %s", failed.Type, failed.Message)
	}
	return answer, err
}
