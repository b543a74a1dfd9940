package lambdatest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answered is what of an answer of the Invoke API a caller looks at.
type answered struct {
	Status                         int
	FunctionError, ErrorType, Body string
}

// call sends one request to the Invoke API.
func call(t *testing.T, server *httptest.Server, function, kind, payload string) answered {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		server.URL+"/2015-03-31/functions/"+function+"/invocations", strings.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Invocation-Type", kind)
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := response.Header
	return answered{response.StatusCode, h.Get("X-Amz-Function-Error"), h.Get("X-Amzn-Errortype"), string(body)}
}

func serve(t *testing.T, instances int) (*Lambda, *httptest.Server) {
	t.Helper()
	l := New(t.Context(), instances, testProgram(t))
	server := httptest.NewServer(l.Handler())
	t.Cleanup(func() {
		server.Close()
		l.Close()
	})
	return l, server
}

func TestTheInvokeAPIAnswersAsLambdaDoes(t *testing.T) {
	t.Parallel()
	l, server := serve(t, 1)
	const arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Aprogram" // as the SDK sends it
	for name, c := range map[string]struct {
		function, kind, payload string
		want                    answered // Body: a part of it
	}{
		"a result":              {"program", "RequestResponse", `"x"`, answered{200, "", "", `"what":"x"`}},
		"no type":               {"program", "", `"x"`, answered{200, "", "", `"what":"x"`}},
		"an ARN":                {arn, "", `"x"`, answered{200, "", "", `"what":"x"`}},
		"an error":              {"program", "", `"fail"`, answered{200, "Unhandled", "", `"errorType":"UnsupportedValueError"`}},
		"an exit":               {"program", "", `"exit"`, answered{200, "Unhandled", "", `"errorType":"Runtime.ExitError"`}},
		"a dry run":             {"program", "DryRun", `"exit"`, answered{204, "", "", ""}},
		"no such function":      {"other", "", `"x"`, answered{404, "", "ResourceNotFoundException", "other"}},
		"a payload that is not": {"program", "", `x`, answered{400, "", "InvalidRequestContentException", "json"}},
		"an unknown type":       {"program", "Never", `"x"`, answered{400, "", "InvalidParameterValueException", "Never"}},
	} {
		got := call(t, server, c.function, c.kind, c.payload)
		if strings.Contains(got.Body, c.want.Body) {
			got.Body = c.want.Body
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	if log := l.Log("program"); !strings.Contains(log, "exiting as I was asked") {
		t.Errorf("the log has %q", log)
	}
}

func TestAnEventIsAnsweredAtOnceAndRunLater(t *testing.T) {
	t.Parallel()
	l, server := serve(t, 1)
	if got := call(t, server, "program", "Event", `"exit"`); got.Status != http.StatusAccepted || got.Body != "" {
		t.Errorf("got %+v", got)
	}
	l.events.Wait()
	if log := l.Log("program"); !strings.Contains(log, "exiting as I was asked") {
		t.Errorf("the log has %q", log)
	}
}

func TestMoreInvocationsThanInstancesAreThrottled(t *testing.T) {
	t.Parallel()
	l, server := serve(t, 2)
	p := l.functions["program"]
	p.slots <- struct{}{} // one at work
	if got := call(t, server, "program", "", `"x"`); got.Status != http.StatusOK {
		t.Errorf("with one of two instances at work: %+v", got)
	}
	p.slots <- struct{}{}
	got := call(t, server, "program", "", `"x"`)
	if got.Status != http.StatusTooManyRequests || got.ErrorType != "TooManyRequestsException" {
		t.Errorf("with both at work: %+v", got)
	}
	<-p.slots
	<-p.slots
	if got := len(p.idle); got != 1 {
		t.Errorf("%d instances for one invocation after the other, want 1", got)
	}
}
