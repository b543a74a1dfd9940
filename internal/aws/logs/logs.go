// Package logs reads what a container wrote to CloudWatch Logs as a stream of bytes.
//
// It is responsible for paging and for making lines of log events. It refuses to know attempts: it is told group and stream by
// the command line, its caller. It is a package of its own so that the functions do not link it.
//
// The invariant it keeps: a reader at its end stays where it is, and reads on from there what is written later.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
)

// api is the part of CloudWatch Logs that a reader calls.
type api interface {
	GetLogEvents(
		context.Context, *cloudwatchlogs.GetLogEventsInput, ...func(*cloudwatchlogs.Options),
	) (*cloudwatchlogs.GetLogEventsOutput, error)
}

// Logs opens log streams.
type Logs struct{ api api }

// New makes a Logs.
func New(config aws.Config) *Logs { return &Logs{cloudwatchlogs.NewFromConfig(config)} }

// Open opens a stream from its beginning. A stream that is not there, or not yet, is an error that wraps fs.ErrNotExist. The
// context is that of every read.
func (l *Logs) Open(ctx context.Context, group, stream string) (io.ReadCloser, error) {
	r := &reader{ctx: ctx, api: l.api, group: group, stream: stream}
	if err := r.fetch(); err != nil {
		return nil, err
	}
	return r, nil
}

// reader is one stream. A container's lines become events without their line ends.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html
type reader struct {
	ctx           context.Context //nolint:containedctx // io.Reader has no room for it
	api           api
	group, stream string
	token         string // of what comes next
	left          string // fetched and not yet read
	end           bool   // the last call brought nothing that was not there before
}

func (r *reader) Read(p []byte) (int, error) {
	for r.left == "" {
		if r.end { // told once; a later Read looks again
			r.end = false
			return 0, io.EOF
		}
		if err := r.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// fetch reads the next page. An empty page is not the end: that is where the token comes back.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func (r *reader) fetch() error {
	in := &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String(r.group), LogStreamName: aws.String(r.stream), StartFromHead: aws.Bool(true),
	}
	if r.token != "" {
		in.NextToken = aws.String(r.token)
	}
	out, err := r.api.GetLogEvents(r.ctx, in)
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return fmt.Errorf("%w: log stream %s in log group %s", fs.ErrNotExist, r.stream, r.group)
	}
	if err != nil {
		return fmt.Errorf("read log group %s: %w", r.group, err)
	}
	var text strings.Builder
	for _, event := range out.Events {
		text.WriteString(strings.TrimSuffix(aws.ToString(event.Message), "\n"))
		text.WriteByte('\n')
	}
	next := aws.ToString(out.NextForwardToken)
	r.left, r.end = text.String(), next == r.token || next == ""
	r.token = next
	return nil
}

// Close implements io.Closer. There is nothing to let go of.
func (r *reader) Close() error { return nil }
