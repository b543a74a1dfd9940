// Package direct calls the submit function directly: it submits, cancels and retries jobs and hands back the job document.
//
// It is responsible for the payloads, for reading the function's errors by the types that docs/request.md gives them, and for
// repeating a call where that does no harm. It refuses to validate a request or to give it an id; the command line, its
// caller, does. It is a package of its own so that the functions do not link it.
//
// The invariant it keeps: a call that might take effect twice is never repeated.
package direct

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	// triesMax is how often a call is made in all that the function answers with TryAgain.
	triesMax = 5
	// throttledTriesMax is how often a call is made that Lambda throttles: a batch of submits may take all the concurrency that
	// the account has, and every throttled call is known not to have run.
	throttledTriesMax = 10
	backoffMin        = 500 * time.Millisecond
)

// Caller calls one deployment's submit function.
type Caller struct {
	client      *lambda.Client
	function    string
	failedTries int // of a call that fails otherwise than by throttling
	pause       func(context.Context, time.Duration) error
}

// New makes a Caller for the function's name or ARN. A call that fails is made as often as the configuration says, as
// AWS_MAX_ATTEMPTS does, or three times.
func New(config aws.Config, function string) *Caller {
	return &Caller{lambda.NewFromConfig(config), function, cmp.Or(config.RetryMaxAttempts, retry.DefaultMaxAttempts), pause}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// Submit submits a request, which must carry its identity: jobId or schedule. So it may be repeated.
func (c *Caller) Submit(ctx context.Context, request []byte) (*jobs.Job, error) {
	return c.call(ctx, request, true)
}

// Cancel asks for a job's end; asking twice is as good as once.
func (c *Caller) Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error) {
	action := map[string]string{"action": "cancel", "jobId": jobID}
	if reason != "" {
		action["reason"] = reason
	}
	return c.act(ctx, action, true)
}

// Retry runs an ended job again as a new one. Each call makes another job, so what has no answer is not repeated.
func (c *Caller) Retry(ctx context.Context, jobID string) (*jobs.Job, error) {
	return c.act(ctx, map[string]string{"action": "retry", "jobId": jobID}, false)
}

func (c *Caller) act(ctx context.Context, action map[string]string, repeatable bool) (*jobs.Job, error) {
	payload, err := json.Marshal(action)
	if err != nil {
		return nil, err
	}
	return c.call(ctx, payload, repeatable)
}

// errTryAgain says that the function could not do it now, and that nothing else is known.
var errTryAgain = errors.New("try again")

// call invokes the function, again after TryAgain where that is harmless.
func (c *Caller) call(ctx context.Context, payload []byte, repeatable bool) (*jobs.Job, error) {
	backoff := backoffMin
	for try := 1; ; try++ {
		j, err := c.invoke(ctx, payload, repeatable)
		if !errors.Is(err, errTryAgain) || !repeatable || try == triesMax {
			return j, err
		}
		// Half of it jitter, so that many callers do not come back together.
		if err := c.pause(ctx, backoff/2+rand.N(backoff/2)); err != nil {
			return nil, err
		}
		backoff *= 2
	}
}

func (c *Caller) invoke(ctx context.Context, payload []byte, repeatable bool) (*jobs.Job, error) {
	out, err := c.client.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String(c.function), Payload: payload}, func(o *lambda.Options) {
		o.Retryer = retryer(repeatable, c.failedTries)
	})
	if err != nil {
		return nil, fmt.Errorf("invoke %s: %w", c.function, err)
	}
	if out.FunctionError != nil {
		return nil, functionError(c.function, out.Payload)
	}
	if string(out.Payload) == "null" { // a schedule fires without waiting for an answer
		return nil, fmt.Errorf("%s rejected the request: it names a schedule, so the reason is in the rejected queue and in the function's log", c.function)
	}
	j := &jobs.Job{}
	if err := json.Unmarshal(out.Payload, j); err != nil || j.JobID == "" {
		return nil, fmt.Errorf("%s did not answer with a job document: is it spotbatch's submit function?", c.function)
	}
	return j, nil
}

// retryer repeats what may be repeated: a throttled call always, for it never ran, and of the others tries in all where the call
// can be repeated. It is for one call: it counts.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func retryer(repeatable bool, tries int) aws.Retryer {
	throttled, failures := retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes}, 0
	decide := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if throttled.IsErrorRetryable(err) == aws.TrueTernary {
			return aws.TrueTernary
		}
		if failures++; !repeatable || failures >= tries {
			return aws.FalseTernary
		}
		return aws.UnknownTernary // as the SDK decides
	})
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = throttledTriesMax
		o.Retryables = append([]retry.IsErrorRetryable{decide}, retry.DefaultRetryables...)
	})
}

// functionError reads what the function answered in place of a document. Its types are functions/submit's.
// https://docs.aws.amazon.com/lambda/latest/dg/golang-exceptions.html
func functionError(function string, payload []byte) error {
	var answer struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	_ = json.Unmarshal(payload, &answer) // what is no error document has neither
	switch answer.Type {
	case "InvalidRequest":
		return &jobs.InvalidRequest{Problems: problems(answer.Message)}
	case "NotFound":
		return fmt.Errorf("%s: %w", function, jobs.ErrNotFound)
	case "TryAgain":
		return fmt.Errorf("%s could not do it now (%s): %w", function, answer.Message, errTryAgain)
	}
	return fmt.Errorf("%s failed: %s %s", function, answer.Type, answer.Message)
}

// fieldFirst is how every problem begins: with a field, without a space, and a colon.
var fieldFirst = regexp.MustCompile(`^\S+: `)

// problems splits the text of a *jobs.InvalidRequest. A problem may hold the separator itself.
func problems(message string) []string {
	_, text, ok := strings.Cut(message, ": ")
	if !ok || !strings.HasPrefix(message, "invalid request") {
		return []string{message}
	}
	var list []string
	for part := range strings.SplitSeq(text, "; ") {
		if last := len(list) - 1; last >= 0 && !fieldFirst.MatchString(part) {
			list[last] += "; " + part
			continue
		}
		list = append(list, part)
	}
	return list
}
