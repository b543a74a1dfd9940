package local

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

const (
	// functionTimeout is how long an invocation may take: a function's own time-out, and a container that must start first.
	functionTimeout = 2 * time.Minute
	// answerMax is more than any answer that is understood.
	answerMax = 1 << 20
)

// function posts events to a function's Invoke endpoint, as its queue's event source mapping does: as a batch, of one
// message. So the function does here what it does behind a queue, and says which message failed.
type function struct {
	url    string
	client *http.Client
	free   chan struct{} // holds a token while nothing is invoked: a function on one machine takes one invocation at a time
}

func newFunction(u *url.URL) *function {
	f := &function{
		url: u.String(), free: make(chan struct{}, 1),
		client: &http.Client{Timeout: functionTimeout, Transport: &http.Transport{}}, // without a proxy from the environment
	}
	f.free <- struct{}{}
	return f
}

// Post invokes the function.
func (f *function) Post(ctx context.Context, event fargate.Event) error {
	payload, err := json.Marshal(batchOf(event))
	if err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	select {
	case <-f.free:
		defer func() { f.free <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(payload))
	if err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := f.client.Do(request)
	if err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	if err := failureOf(response, answer); err != nil {
		return fmt.Errorf("invoke function: %w", err)
	}
	return nil
}

// failureOf finds each way in which a function fails: a status, a header, an error as its answer (a 200 where the runtime
// emulator answers), a message that it did not take, an answer that is no JSON.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func failureOf(response *http.Response, answer []byte) error {
	var outcome struct {
		ErrorType    string            `json:"errorType"`
		ErrorMessage string            `json:"errorMessage"` // not told: what it holds is the function's
		Failures     []json.RawMessage `json:"batchItemFailures"`
	}
	malformed := len(bytes.TrimSpace(answer)) > 0 && json.Unmarshal(answer, &outcome) != nil
	switch {
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("it answered %s", response.Status)
	case malformed:
		return errors.New("its answer is no JSON object")
	case response.Header.Get("X-Amz-Function-Error") != "" || outcome.ErrorType != "" || outcome.ErrorMessage != "":
		return fmt.Errorf("it failed with an error of type %q", outcome.ErrorType)
	case len(outcome.Failures) > 0:
		return errors.New("it did not take the event")
	}
	return nil
}

// batchOf is the batch that a function gets of a queue which holds the event.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func batchOf(event fargate.Event) events.SQSEvent {
	sum := md5.Sum(event.Body)
	return events.SQSEvent{Records: []events.SQSMessage{{
		MessageId: "task-event-" + strconv.FormatInt(event.ID, 10), ReceiptHandle: "none", Body: string(event.Body),
		Md5OfBody: hex.EncodeToString(sum[:]), Attributes: map[string]string{"ApproximateReceiveCount": "1"},
		MessageAttributes: map[string]events.SQSMessageAttribute{}, EventSource: "aws:sqs",
		EventSourceARN: "arn:aws:sqs:local:000000000000:events", AWSRegion: "local",
	}}}
}
