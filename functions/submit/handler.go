package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/function"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// submitter is the part of the engine that this function uses.
type submitter interface {
	Submit(ctx context.Context, s engine.Submission) (*jobs.Job, error)
	Reject(ctx context.Context, s engine.Submission, why error) error
	Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error)
	Retry(ctx context.Context, jobID, newID string) (*jobs.Job, error)
	Wake(ctx context.Context, jobID string) error
}

// rejectedQueue keeps what was refused, with the reason.
type rejectedQueue interface {
	SendRejected(ctx context.Context, body []byte, reason string) error
}

// meter counts what was refused.
type meter interface{ Rejected() }

// handler answers one invocation of submit.
type handler struct {
	engine   submitter
	rejected rejectedQueue
	meter    meter
	log      *slog.Logger
}

// NotFound is what a direct caller is told where there is no such job. Lambda reports the name of the Go type, so this, TryAgain
// and jobs.InvalidRequest are error types of docs/request.md.
type NotFound struct{ error }

// TryAgain is what a direct caller is told where nothing is known of the request; it must be sent again.
type TryAgain struct{ error }

// Unwrap returns what was not found.
func (e NotFound) Unwrap() error { return e.error }

// Unwrap returns what went wrong.
func (e TryAgain) Unwrap() error { return e.error }

// handle takes an SQS batch, an EventBridge event, a schedule's input or a direct payload.
func (h *handler) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	delivery, err := intake.Parse(payload)
	if err != nil {
		return nil, err
	}
	if delivery.Batch {
		return function.Batch(ctx, h.log, delivery.Items, h.fromQueue), nil
	}
	item := delivery.Items[0]
	if item.Source == intake.Direct {
		return h.direct(ctx, item)
	}
	j, err := h.unattended(ctx, item)
	if err != nil {
		return nil, typed(err)
	}
	if j == nil {
		return nil, nil
	}
	return j.Document(false), nil // for a direct caller whose request names a schedule
}

// direct answers a caller who waits: with the job document, or with the error itself.
func (h *handler) direct(ctx context.Context, item intake.Item) (any, error) {
	j, err := h.do(ctx, item)
	if _, bad := errors.AsType[*jobs.InvalidRequest](err); bad {
		h.meter.Rejected()
	}
	if err != nil {
		return nil, typed(err)
	}
	return j.Document(false), nil
}

func (h *handler) do(ctx context.Context, item intake.Item) (*jobs.Job, error) {
	if item.Err != nil {
		return nil, item.Err
	}
	switch item.Kind {
	case intake.Submit:
		return h.engine.Submit(ctx, engine.Submission{JobID: identity(ctx, item), Body: item.Request})
	case intake.Cancel:
		return h.engine.Cancel(ctx, item.JobID, item.Reason)
	case intake.Retry:
		return h.engine.Retry(ctx, item.JobID, requestID(ctx))
	}
	return nil, &jobs.InvalidRequest{Problems: []string{"request: submit does not take a " + string(item.Kind)}}
}

// identity is the job's id. What names none is identified by the invocation.
func identity(ctx context.Context, item intake.Item) string {
	if id := item.ID(); id != "" || item.MessageID != "" {
		return id
	}
	return jobs.ResolveID(item.Request, requestID(ctx))
}

// requestID is the invocation's, a UUID; "" outside Lambda. An asynchronous invocation is delivered again under the same one.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
func requestID(ctx context.Context) string {
	if lambda, ok := lambdacontext.FromContext(ctx); ok {
		return lambda.AwsRequestID
	}
	return ""
}

// typed gives an error the type that docs/request.md promises to a direct caller.
func typed(err error) error {
	if invalid, ok := errors.AsType[*jobs.InvalidRequest](err); ok {
		return invalid
	}
	if errors.Is(err, jobs.ErrNotFound) {
		return NotFound{err}
	}
	if errors.Is(err, engine.ErrLive) {
		return &jobs.InvalidRequest{Problems: []string{"jobId: " + err.Error()}}
	}
	return TryAgain{err}
}

// fromQueue handles an item of a batch.
func (h *handler) fromQueue(ctx context.Context, item intake.Item) error {
	_, err := h.unattended(ctx, item)
	return err
}

// unattended handles an item for which nobody waits, and returns its job if there is one. What is bad goes to the rejected queue,
// leaves a FAILED job if its id is usable, and is then done with; anything else that went wrong is tried again.
func (h *handler) unattended(ctx context.Context, item intake.Item) (*jobs.Job, error) {
	if item.Kind == intake.Ignored {
		h.log.InfoContext(ctx, "ignored", slog.String("event_id", cmp.Or(item.MessageID, item.EventID)), slog.String("reason", item.Reason))
		return nil, nil
	}
	if item.Kind == intake.Wake && item.Err == nil {
		return nil, h.engine.Wake(ctx, item.JobID)
	}
	j, err := h.do(ctx, item)
	invalid, bad := errors.AsType[*jobs.InvalidRequest](err)
	if !bad {
		return j, err
	}
	h.meter.Rejected()
	h.log.WarnContext(ctx, "request rejected", slog.String("event_id", cmp.Or(item.MessageID, item.EventID)), slog.String("reason", invalid.Error()))
	if err := h.rejected.SendRejected(ctx, item.Body, invalid.Error()); err != nil {
		return nil, err
	}
	if id := item.ID(); id != "" && item.Kind == intake.Submit {
		return nil, h.engine.Reject(ctx, engine.Submission{JobID: id, Body: item.Request}, invalid)
	}
	return nil, nil
}
