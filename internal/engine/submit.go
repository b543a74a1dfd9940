package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// Submission is one job request as it came in.
type Submission struct {
	// JobID is the identity that intake found in the envelope or the request. Where it is "" the request's own counts, and
	// without one the job gets a new id.
	JobID string
	// Body is the request document.
	Body []byte
}

// Submit accepts a job and starts its first attempt. Same id and same request = the same job. A bad request is a
// *jobs.InvalidRequest and nothing is stored; after any other error nothing is known and the caller must try again.
func (e *Engine) Submit(ctx context.Context, s Submission) (*jobs.Job, error) {
	fingerprint := fingerprintOf(s.Body)
	if s.JobID == "" {
		s.JobID = jobs.ResolveID(s.Body)
	}
	if j, err := e.known(ctx, s.JobID, fingerprint); j != nil || err != nil {
		return j, err
	}
	request, err := jobs.ParseRequest(s.Body)
	if err != nil {
		return nil, err
	}
	if s.JobID == "" {
		s.JobID = e.NewID()
	}
	return e.accept(ctx, s.JobID, request, fingerprint, "")
}

// known returns the job of an id if it is there already; nil where the id is free.
func (e *Engine) known(ctx context.Context, jobID, fingerprint string) (*jobs.Job, error) {
	if jobID == "" {
		return nil, nil
	}
	j, err := e.Store.Get(ctx, jobID)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up job %s: %w", jobID, err)
	}
	return e.resubmitted(ctx, j, fingerprint)
}

// accept pins a valid request and stores its job.
func (e *Engine) accept(ctx context.Context, jobID string, request jobs.Request, fingerprint, retryOf string) (*jobs.Job, error) {
	definition, err := e.Launcher.TaskDefinition(ctx, request.TaskDefinition)
	if errors.Is(err, spot.ErrNoTaskDefinition) {
		return nil, &jobs.InvalidRequest{Problems: []string{"taskDefinition: " + err.Error()}}
	}
	if err != nil {
		return nil, err
	}
	acceptance, problems := spot.Pin(jobID, request, definition, e.AllowedFamilies)
	if len(problems) > 0 {
		return nil, &jobs.InvalidRequest{Problems: problems}
	}
	acceptance.Fingerprint, acceptance.RetryOf = fingerprint, retryOf
	return e.create(ctx, acceptance)
}

// create stores a new job together with the intent of its first launch, and launches it.
func (e *Engine) create(ctx context.Context, acceptance jobs.Acceptance) (*jobs.Job, error) {
	at := e.moment()
	j := jobs.Accepted(acceptance, at.Now)
	planned := e.plan(j, at, e.permit(ctx))
	stored, err := e.store(ctx, j, at)
	if err != nil {
		return nil, err
	}
	if stored.Internal.WriteID != j.Internal.WriteID {
		return e.resubmitted(ctx, stored, acceptance.Fingerprint)
	}
	r := recorded{job: stored, act: planned}
	// The job is stored: whatever the launch said, the request is accepted, and its due time makes somebody carry on.
	if err := e.carryOn(ctx, &r); err != nil {
		e.Log.WarnContext(ctx, "the job is stored; its launch is left to the sweep",
			slog.String("job_id", j.JobID), slog.String("error", err.Error()))
	}
	return r.job, nil
}

// resubmitted answers a request whose id is taken.
func (e *Engine) resubmitted(ctx context.Context, j *jobs.Job, fingerprint string) (*jobs.Job, error) {
	if j.Internal.Fingerprint != fingerprint {
		return nil, &jobs.InvalidRequest{Problems: []string{"jobId: job " + j.JobID + " exists with another request"}}
	}
	if now := e.Now(); !e.stale(j, now) && spot.Next(j, now, e.Times) == spot.StepCallAgain {
		// Whoever saved the call is making it, or has died in it: look again when that must be over. Only a request asks for
		// this, for a wake-up that asked for the next one would go on for ever.
		e.wakeAt(ctx, j.JobID, j.Internal.SavedAt.Add(e.Times.FunctionTimeout+time.Second).Time)
	}
	resumed, err := e.resume(ctx, j)
	if err != nil { // the job is stored all the same, and its due time makes somebody carry on
		e.Log.WarnContext(ctx, "a repeated request could not carry on with its job",
			slog.String("job_id", j.JobID), slog.String("error", err.Error()))
		return j, nil
	}
	return resumed, nil
}

// fingerprintOf is the request's fingerprint; a body that is no JSON object is the same request only to the byte.
func fingerprintOf(body []byte) string {
	fingerprint, err := jobs.Fingerprint(body)
	if err != nil {
		return jobs.NormalizeID("body:" + string(body))
	}
	return fingerprint
}

// Reject leaves a job FAILED with cause REQUEST_REJECTED behind, so that whoever waits for the id learns why. An id that is
// taken is left alone.
func (e *Engine) Reject(ctx context.Context, s Submission, why error) error {
	name, _ := jobs.UsableName(s.Body)
	at := e.moment()
	j := jobs.Rejected(s.JobID, name, fingerprintOf(s.Body), why.Error(), at.Now)
	stored, err := e.store(ctx, j, at)
	if err != nil || stored.Internal.WriteID != j.Internal.WriteID {
		return err
	}
	return e.carryOn(ctx, &recorded{job: stored})
}

// store makes j the first save of its job, and returns what is stored under its id: j, also if the answer to an earlier try of
// the write was lost (its write id tells), or the job that was there.
func (e *Engine) store(ctx context.Context, j *jobs.Job, at spot.Moment) (*jobs.Job, error) {
	e.stamp(nil, j, e.NewID(), at)
	if err := jobs.Check(nil, j); err != nil {
		return nil, err
	}
	stored := j
	err := e.Store.Create(ctx, j)
	if errors.Is(err, jobs.ErrExists) {
		if stored, err = e.Store.Get(ctx, j.JobID); err != nil {
			return nil, fmt.Errorf("reload job: %w", err)
		}
	}
	if err != nil {
		return nil, err // the Store says of which job
	}
	if stored.Internal.WriteID == j.Internal.WriteID {
		e.saved(ctx, nil, j, at.Now)
	}
	return stored, nil
}

// ErrLive says that the job has not ended, so it cannot be retried.
var ErrLive = errors.New("the job has not ended")

// Retry submits an ended job's stored, pinned request as a new job, whose id is newID ("" = a new one): who asks again with the same
// one is answered with the same job. The old job never changes.
func (e *Engine) Retry(ctx context.Context, jobID, newID string) (*jobs.Job, error) {
	old, err := e.Store.Get(ctx, jobID)
	if err != nil {
		return nil, fmt.Errorf("retry job %s: %w", jobID, err)
	}
	if !old.Ended() {
		return nil, fmt.Errorf("retry job %s: %w", jobID, ErrLive)
	}
	if old.Request == nil {
		return nil, &jobs.InvalidRequest{Problems: []string{"jobId: the request of job " + jobID + " was rejected; there is nothing to run again"}}
	}
	request := *old.Request
	request.JobID, request.Schedule = "", nil
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("retry job %s: %w", jobID, err)
	}
	fingerprint := fingerprintOf(body)
	if j, err := e.known(ctx, newID, fingerprint); j != nil || err != nil {
		return j, err
	}
	if newID == "" {
		newID = e.NewID()
	}
	return e.accept(ctx, newID, request, fingerprint, jobID)
}

// Cancel asks for a job's end. The answer is the job as it stands: CANCELLED if no task can exist, ended before, or live
// with cancelRequestedAt.
func (e *Engine) Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error) {
	j, err := e.Store.Get(ctx, jobID)
	if err != nil {
		return nil, fmt.Errorf("cancel job %s: %w", jobID, err)
	}
	r, err := e.move(ctx, j, func(j *jobs.Job, at spot.Moment) spot.Seen {
		if j.Ended() {
			return spot.Seen{Ignored: "the job has ended"}
		}
		j.RequestCancel(reason, at.Now)
		return spot.Seen{Changed: true} // a second request tells ECS again
	})
	return r.job, err
}
