package local

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// sendTimeout bounds one SendMessage with the SDK's own repeats.
const sendTimeout = 30 * time.Second

// queue posts events to an SQS queue, as an EventBridge rule does.
type queue struct {
	url    string
	client *sqs.Client
}

// newQueue sends to where the queue's URL points, whatever endpoint the configuration has: the queue may be on this machine.
func newQueue(u *url.URL, config aws.Config) *queue {
	return &queue{url: u.String(), client: sqs.NewFromConfig(config, func(o *sqs.Options) {
		o.BaseEndpoint = aws.String(u.Scheme + "://" + u.Host)
		if o.Region == "" {
			o.Region = regionOf(u.Hostname())
		}
	})}
}

// regionOf is the Region in a queue's host name, such as sqs.eu-west-1.amazonaws.com. Elsewhere any will do.
func regionOf(host string) string {
	if labels := strings.Split(host, "."); len(labels) > 2 && labels[0] == "sqs" {
		return labels[1]
	}
	return "us-east-1"
}

// Post sends the event as a message.
func (q *queue) Post(ctx context.Context, event fargate.Event) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if _, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(string(event.Body))}); err != nil {
		return fmt.Errorf("send to queue: %w", err)
	}
	return nil
}
