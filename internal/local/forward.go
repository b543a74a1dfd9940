package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// Poster takes a task event to whoever watches tasks that are not this machine's jobs'. An error has it called again with the
// same event until it succeeds; events of one task come one after the other.
type Poster interface {
	Post(ctx context.Context, event fargate.Event) error
}

var (
	// functionPath is Invoke's. https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
	functionPath = regexp.MustCompile(`^/2015-03-31/functions/[^/]+/invocations$`)
	// queuePath is a queue's: account and name.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-message-identifiers.html
	queuePath = regexp.MustCompile(`^/[^/]+/[A-Za-z0-9_-]+$`)
)

// NewPoster makes the Poster for a function's or a queue's URL, told apart by their form. Only a queue needs AWS's
// configuration.
func NewPoster(to string, configure func() (aws.Config, error)) (Poster, error) {
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("must be the http or https URL of a function or a queue")
	}
	switch {
	case functionPath.MatchString(u.Path):
		return newFunction(u), nil
	case strings.HasSuffix(u.Path, ".fifo"):
		return nil, errors.New("a FIFO queue is not supported: events may come twice and in any order anyway")
	case queuePath.MatchString(u.Path):
		config, err := configure()
		if err != nil {
			return nil, fmt.Errorf("AWS configuration: %w", err)
		}
		return newQueue(u, config), nil
	}
	return nil, errors.New("must end in /2015-03-31/functions/NAME/invocations (a function) or in /ACCOUNT/NAME (a queue)")
}

// forward posts an event, and tells once when that begins to fail and once when it works again.
func (s *System) forward(ctx context.Context, event fargate.Event) error {
	err := s.options.EventsTo.Post(ctx, event)
	switch {
	case err == nil && s.postFails.CompareAndSwap(true, false):
		s.options.Log.Info("task events can be posted again")
	case err != nil && ctx.Err() == nil && s.postFails.CompareAndSwap(false, true):
		s.options.Log.Error("a task event cannot be posted; it is tried until it can", slog.String("error", err.Error()))
	}
	return err
}
