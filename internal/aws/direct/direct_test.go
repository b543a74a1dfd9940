package direct

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// answer is one answer of Lambda's Invoke.
type answer struct {
	status int
	kind   string // X-Amz-Function-Error or the service's error type
	body   string
}

func document(id string) answer {
	return answer{status: 200, body: `{"jobId":"` + id + `","status":"RUNNABLE"}`}
}

func failed(kind, message string) answer {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return answer{status: 200, kind: "Unhandled", body: string(body)}
}

var (
	throttled = answer{429, "TooManyRequestsException", `{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate exceeded"}`}
	broken    = answer{502, "ServiceException", `{"message":"try later"}`}
)

// script is the clients' transport: it answers with one answer after the other, and keeps what was sent.
type script struct {
	answers []answer
	sent    []string
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.sent = append(s.sent, r.URL.Path+" "+string(body))
	if len(s.answers) == 0 {
		return nil, errors.New("one call too many")
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	header := http.Header{}
	switch {
	case a.status != 200:
		header.Set("X-Amzn-Errortype", a.kind)
	case a.kind != "":
		header.Set("X-Amz-Function-Error", a.kind)
	}
	return &http.Response{StatusCode: a.status, Header: header, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (s *script) caller() *Caller {
	return New(aws.Config{
		Region: "eu-west-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}, "prod-Submit")
}

func TestACallIsRepeatedWhereItCannotTakeEffectTwice(t *testing.T) {
	t.Parallel()
	submit := func(t *testing.T, c *Caller) (*jobs.Job, error) {
		return c.Submit(t.Context(), []byte(`{"jobId":"a"}`))
	}
	retry := func(t *testing.T, c *Caller) (*jobs.Job, error) { return c.Retry(t.Context(), "old") }
	again := failed("TryAgain", "throttled")
	for name, c := range map[string]struct {
		call    func(*testing.T, *Caller) (*jobs.Job, error)
		answers []answer
		id      string // of the job; "" = an error
		calls   int
	}{
		"a submit that works at once":             {submit, []answer{document("a")}, "a", 1},
		"a submit after TryAgain":                 {submit, []answer{again, again, document("a")}, "a", 3},
		"a submit that Lambda throttles":          {submit, []answer{throttled, throttled, throttled, throttled, document("a")}, "a", 5},
		"a submit that Lambda fails":              {submit, []answer{broken, document("a")}, "a", 2},
		"a submit that Lambda fails for ever":     {submit, []answer{broken, broken, broken, broken}, "", 3},
		"a submit that is throttled, then failed": {submit, []answer{throttled, throttled, broken, throttled, broken, document("a")}, "a", 6},
		"a submit after TryAgain for ever":        {submit, []answer{again, again, again, again, again, document("a")}, "", triesMax},
		"a submit that the function refuses":      {submit, []answer{failed("InvalidRequest", "x"), document("a")}, "", 1},
		"a submit that the function dies of":      {submit, []answer{failed("Runtime.ExitError", "signal: killed"), document("a")}, "", 1},
		"a retry that Lambda throttles":           {retry, []answer{throttled, throttled, document("new")}, "new", 3},
		"a retry that may have taken effect":      {retry, []answer{broken, document("new")}, "", 1},
		"a retry after TryAgain":                  {retry, []answer{again, document("new")}, "", 1},
		"an answer that is no document":           {submit, []answer{{status: 200, body: `{"batchItemFailures":[]}`}}, "", 1},
		"an answer that is no JSON, and an error": {submit, []answer{{status: 200, kind: "Unhandled", body: "Task timed out"}}, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // so that the waits take no time
				s := &script{answers: c.answers}
				j, err := c.call(t, s.caller())
				if (err == nil) != (c.id != "") || j != nil && j.JobID != c.id || len(s.sent) != c.calls {
					t.Errorf("got %+v, %v after %d calls", j, err, len(s.sent))
				}
			})
		})
	}
}

func TestWhatIsSentToTheFunction(t *testing.T) {
	t.Parallel()
	s := &script{answers: []answer{document("a"), document("a"), document("a"), document("b")}}
	c := s.caller()
	_, err1 := c.Submit(t.Context(), []byte(`{"jobId": "a"}`))
	_, err2 := c.Cancel(t.Context(), "a", "no <longer> needed")
	_, err3 := c.Cancel(t.Context(), "a", "")
	_, err4 := c.Retry(t.Context(), "a")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	const path = "/2015-03-31/functions/prod-Submit/invocations "
	want := []string{
		path + `{"jobId": "a"}`,
		path + `{"action":"cancel","jobId":"a","reason":"no \u003clonger\u003e needed"}`,
		path + `{"action":"cancel","jobId":"a"}`,
		path + `{"action":"retry","jobId":"a"}`,
	}
	if diff := cmp.Diff(want, s.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

func TestErrorsOfTheFunctionBecomeThoseOfTheContract(t *testing.T) {
	t.Parallel()
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	problems := func(want ...string) func(error) bool {
		return func(err error) bool {
			invalid, ok := errors.AsType[*jobs.InvalidRequest](err)
			return ok && cmp.Equal(want, invalid.Problems)
		}
	}
	told := func(err error) string { return err.Error() }
	for name, c := range map[string]struct {
		kind, message string
		want          func(error) bool
	}{
		"not found":                          {"NotFound", "cancel job a: no such job", is(jobs.ErrNotFound)},
		"try again":                          {"TryAgain", "throttled", is(errTryAgain)},
		"one problem":                        {"InvalidRequest", told(&jobs.InvalidRequest{Problems: []string{"jobName: is required"}}), problems("jobName: is required")},
		"one problem with a semicolon":       {"InvalidRequest", told(&jobs.InvalidRequest{Problems: []string{"a: b; c"}}), problems("a: b; c")},
		"several problems":                   {"InvalidRequest", told(&jobs.InvalidRequest{Problems: []string{"a: b", "c[0].d: e"}}), problems("a: b", "c[0].d: e")},
		"several problems with semicolons":   {"InvalidRequest", told(&jobs.InvalidRequest{Problems: []string{"a: b; so there", "c: d; e"}}), problems("a: b; so there", "c: d; e")},
		"a text of some other form":          {"InvalidRequest", "what?", problems("what?")},
		"an error that the contract has not": {"Sandbox.Timedout", "Task timed out after 60.00 seconds", func(err error) bool { return strings.Contains(err.Error(), "Sandbox.Timedout Task timed out") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{failed(c.kind, c.message)}}
			if _, err := s.caller().Retry(t.Context(), "a"); err == nil || !c.want(err) {
				t.Errorf("got %#v", err)
			}
		})
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errOver)
		defer cancel()
		s := &script{answers: []answer{failed("TryAgain", ""), failed("TryAgain", "")}}
		if _, err := s.caller().Cancel(ctx, "a", ""); !errors.Is(err, errOver) || len(s.sent) != 1 {
			t.Errorf("got %v after %d calls", err, len(s.sent))
		}
	})
}

var errOver = errors.New("the test's time is over")
