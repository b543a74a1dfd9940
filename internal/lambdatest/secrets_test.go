package lambdatest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What a request keeps to itself. Each is found by its first word, however the rest is escaped.
const (
	secretPlain  = "env-canary-0001!" // no id and no name: those are quoted
	secretQuoted = `env-canary-0002"\<end>`
	secretWord   = "word-canary-0003"
	secretTag    = "tag-canary-0004"
)

// Where values may be: environment nowhere; a job document shows command and tags, a log and an error do not.
var (
	environmentValues = []string{"env-canary"}
	allValues         = []string{"env-canary", "word-canary", "tag-canary"}
)

// tattler is an AWS that quotes what it was sent in each of its errors.
type tattler struct {
	aws *AWS

	mu      sync.Mutex
	refused map[string]string // by operation, the error's type
	calls   []Call            // all of them, refused or not
}

// refuse has these operations fail from now on, and all others succeed: "RunTask InvalidParameterException".
func (e *tattler) refuse(operations ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = map[string]string{}
	for _, each := range operations {
		operation, kind, _ := strings.Cut(each, " ")
		e.refused[operation] = kind
	}
}

func (e *tattler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	e.mu.Lock()
	e.calls = append(e.calls, Call{operation, string(body)})
	kind := e.refused[operation]
	e.mu.Unlock()
	if kind == "" {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		e.aws.ServeHTTP(w, r)
		return
	}
	// The values come first: what keeps an error is free to cut it.
	quoted := string(body)[max(0, strings.Index(string(body), "-canary")-len("word")):]
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"__type": kind, "message": "Value '" + quoted + "' breaks a constraint"})
}

// confidential is a request that is good but for what is added: members of the document.
func confidential(id string, more ...string) string {
	members := append([]string{
		`"jobName":"report"`, `"taskDefinition":"spotbatch-example"`, fmt.Sprintf(`"jobId":%q`, id),
		fmt.Sprintf(`"tags":{"team":%q}`, secretTag),
		fmt.Sprintf(`"containerOverrides":{"command":["run",%q],"environment":%s}`, secretWord, confidentialEnvironment()),
	}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

func confidentialEnvironment() string {
	written, err := json.Marshal([]map[string]string{{"name": "A", "value": secretPlain}, {"name": "B", "value": secretQuoted}})
	if err != nil {
		panic(err)
	}
	return string(written)
}

// misplaced are requests with values where none belong.
func misplaced() []string {
	all := []string{
		confidential("bad", `"image":"`+secretPlain+`"`),
		confidential("bad", `"jobId":"`+secretPlain+`"`),
		`{"jobId":"` + secretPlain + ` ` + secretWord + `"}`,
		secretPlain + " " + secretWord,
		`"` + secretPlain + `"`,
		`["` + secretPlain + `"]`,
		confidential("bad") + secretPlain,
	}
	for _, value := range []string{`"` + secretPlain + `"`, `["` + secretPlain + `"]`, `{"A":"` + secretPlain + `"}`} {
		for _, field := range []string{
			"jobName", "taskDefinition", "schedule", "containerOverrides", "ephemeralStorageGiB", "capacity", "retryStrategy", "timeout",
		} {
			all = append(all, fmt.Sprintf(`{"jobId":"bad",%q:%s}`, field, value))
		}
		for _, field := range []string{"name", "command", "environment", "cpu", "memory"} {
			all = append(all, fmt.Sprintf(`{"jobId":"bad","containerOverrides":{%q:%s}}`, field, value))
		}
		all = append(all,
			fmt.Sprintf(`{"jobId":"bad","containerOverrides":{"environment":[%s]}}`, value),
			fmt.Sprintf(`{"jobId":"bad","containerOverrides":{"environment":[{"name":%s,"value":%s}]}}`, value, value),
			fmt.Sprintf(`{"jobId":"bad","containerOverrides":{"environment":[{"name":"AWS_X","value":%s}]}}`, value),
			fmt.Sprintf(`{"jobId":"bad","tags":{"aws:x":%s,"a;":%s,"b":%s}}`, value, value, value),
			fmt.Sprintf(`{"action":%s,"jobId":%s}`, value, value), fmt.Sprintf(`{"action":"cancel","jobId":%s}`, value))
	}
	return all
}

// message is an SQS batch of bodies.
func message(bodies ...string) string {
	records := []map[string]string{}
	for i, body := range bodies {
		id := fmt.Sprintf("message-%d", i)
		records = append(records, map[string]string{"messageId": id, "eventSource": "aws:sqs", "body": body})
	}
	written, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err)
	}
	return string(written)
}

// taskOf is an "ECS Task State Change" of a job's first task. As ECS does, it echoes the overrides in clear text, and the
// container's reason quotes what it could not start.
func taskOf(job string, version int, more map[string]any) string {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	detail := map[string]any{
		"taskArn": TaskARN("spotbatch/" + job + "/1"), "startedBy": "spotbatch/" + job + "/1", "version": version,
		"lastStatus": "RUNNING", "desiredStatus": "RUNNING", "startedAt": now,
		"overrides": map[string]any{"containerOverrides": []any{map[string]any{
			"name": "main", "command": []string{"run", secretWord}, "environment": json.RawMessage(confidentialEnvironment()),
		}}},
		"tags": []any{map[string]string{"key": "team", "value": secretTag}},
	}
	maps.Copy(detail, more)
	written, err := json.Marshal(map[string]any{
		"id": "event-1", "source": "aws.ecs", "detail-type": "ECS Task State Change", "time": now, "detail": detail,
	})
	if err != nil {
		panic(err)
	}
	return string(written)
}

// stoppedBecause is a task's end, for a reason that quotes the request.
func stoppedBecause(stopCode string) map[string]any {
	now := time.Now().UTC().Format(time.RFC3339Nano)
	reason := fmt.Sprintf("CannotStartContainerError: exec: %q with A=%s, B=%s, B=%q, team=%s",
		secretWord, secretPlain, secretQuoted, secretQuoted, secretTag)
	return map[string]any{
		"lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": stopCode, "stoppedReason": reason, "stoppedAt": now,
		"containers": []any{map[string]any{"name": "main", "exitCode": 1, "reason": reason}},
	}
}

// delivery is one payload for one function, while some operations are refused.
type delivery struct {
	to, payload string
	refused     []string
}

// deliveries is a full run: jobs that end in every way, everything that is refused, and AWS failing at each call.
func deliveries() []delivery {
	notice := map[string]any{"desiredStatus": "STOPPED", "stopCode": "SpotInterruption"}
	stopping := stoppedBecause("UserInitiated")
	stopping["lastStatus"] = "RUNNING"
	all := []delivery{
		{"submit", message(confidential("queued")), nil},
		{"submit", confidential("direct"), nil},
		{"submit", confidential("direct"), nil},
		{"submit", confidential("direct", `"ephemeralStorageGiB":30`), nil},
		{"submit", `{"id":"e","detail-type":"Job","source":"com.example","detail":` + confidential("by-event") + `}`, nil},
		{"watch", taskOf("queued", 2, nil), nil},
		{"watch", taskOf("queued", 3, notice), nil},
		{
			"watch", taskOf("queued", 4, stoppedBecause("SpotInterruption")),
			[]string{"PutEvents ValidationException", "RunTask ClientException"},
		},
		{"watch", `{"wake":"queued"}`, nil},
		{"watch", message(taskOf("direct", 2, stopping)), nil},
		{"submit", `{"action":"cancel","jobId":"direct"}`, []string{"StopTask InvalidParameterException"}},
		{"watch", message(taskOf("direct", 3, stoppedBecause("EssentialContainerExited"))), nil},
		{"watch", taskOf("by-event", 2, stoppedBecause("TaskFailedToStart")), []string{"PutEvents ValidationException"}},
		{"submit", `{"action":"retry","jobId":"by-event"}`, []string{"RunTask AccessDeniedException"}},
		{"watch", taskOf("nobody", 2, nil), nil},
		{"watch", taskOf("direct", 9, map[string]any{"containers": secretPlain}), nil},
		{"watch", message(taskOf("direct", 9, map[string]any{"startedAt": secretPlain}), secretPlain, `{"wake":"`+secretPlain+`"}`), nil},
		{"watch", `{"sweep":true}`, []string{"Query ValidationException"}},
	}
	for _, failure := range []string{
		"GetItem ValidationException", "PutItem ValidationException", "PutItem AccessDeniedException",
		"RunTask InvalidParameterException", "RunTask AccessDeniedException", "RunTask ClientException", "RunTask BlockedException",
		"DescribeTaskDefinition AccessDeniedException", "DescribeTaskDefinition ClientException",
	} {
		id := strings.ToLower(strings.ReplaceAll(failure, " ", "-"))
		all = append(all,
			delivery{"submit", message(confidential("queued-" + id)), []string{failure}},
			delivery{"submit", confidential("direct-" + id), []string{failure, "PutEvents ValidationException"}},
			delivery{"watch", taskOf("direct-"+id, 2, stoppedBecause("EssentialContainerExited")), []string{failure}})
	}
	for _, bad := range misplaced() {
		all = append(all, delivery{"submit", message(bad), nil}, delivery{"submit", bad, nil},
			delivery{"submit", `{"id":"e","detail-type":"Job","source":"com.example","detail":` + bad + `}`, nil})
	}
	return all
}

// mentions fails if a text tells one of the values.
func mentions(t *testing.T, where, text string, values []string) {
	t.Helper()
	for _, value := range values {
		if at := strings.Index(text, value); at >= 0 {
			t.Errorf("%s tells a value: ...%s...", where, text[max(0, at-200):min(len(text), at+60)])
		}
	}
}

// TestNothingThatIsSecretComesOut looks at all that the functions put out in a full run: logs, metrics, answers, errors,
// published events, messages.
func TestNothingThatIsSecretComesOut(t *testing.T) {
	t.Parallel()
	aws := &tattler{aws: NewAWS()}
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	functions := map[string]*Function{}
	for name, built := range binaries {
		binary, err := built()
		if err != nil {
			t.Fatal(err)
		}
		functions[name] = start(t, Config{Name: name, Binary: binary, Env: Settings(server.URL)})
	}
	for _, d := range deliveries() {
		if !json.Valid([]byte(d.payload)) {
			continue // Lambda itself refuses it: a message's body alone may be anything
		}
		aws.refuse(d.refused...)
		answer, failed, err := functions[d.to].Invoke(t.Context(), []byte(d.payload))
		if err != nil {
			t.Fatalf("%.200s: %v", d.payload, err)
		}
		mentions(t, "an answer", string(answer), environmentValues)
		if failed != nil {
			mentions(t, "a function's error", failed.Message, allValues)
		}
	}
	for name, f := range functions {
		mentions(t, name+"'s log", f.Log(), allValues)
	}
	seen := map[string]bool{} // that there was something to find
	for _, call := range aws.calls {
		checkOutput(t, call, seen)
	}
	for _, what := range []string{"a value for a task", "a command in an event", "a hidden reason in an event", "a rejection", "a wake-up"} {
		if !seen[what] {
			t.Errorf("there was never %s", what)
		}
	}
	for name, f := range functions {
		if log := f.Log(); !strings.Contains(log, "***") || !strings.Contains(log, `"_aws"`) {
			t.Errorf("%s's log hides nothing or holds no metrics", name)
		}
	}
}

// checkOutput looks at a call that tells others something.
func checkOutput(t *testing.T, call Call, seen map[string]bool) {
	t.Helper()
	note := func(what, text string) { seen[what] = seen[what] || strings.Contains(call.Body, text) }
	switch call.Operation {
	case "RunTask":
		note("a value for a task", secretPlain)
	case "PutEvents":
		mentions(t, "an event", call.Body, environmentValues)
		note("a command in an event", secretWord)
		note("a hidden reason in an event", "A=***, B=***, B=")
	case "SendMessage":
		var sent struct {
			QueueURL          string `json:"QueueUrl"`
			MessageBody       string
			MessageAttributes map[string]struct{ StringValue string }
		}
		if err := json.Unmarshal([]byte(call.Body), &sent); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(sent.QueueURL, "/rejected") { // its body is the request, which is its purpose
			note("a rejection", "")
			mentions(t, "the reason of a rejection", sent.MessageAttributes["Reason"].StringValue, allValues)
			return
		}
		note("a wake-up", "wake")
		mentions(t, "a message to the events queue", sent.MessageBody, allValues)
	case "StopTask", "DescribeTasks", "ListTasks", "DescribeTaskDefinition", "GetItem", "Query":
		mentions(t, call.Operation, call.Body, allValues)
	}
}

// TestTheLargestOverridesArriveWithinECSsLimit looks at the overrides as the SDK sends them, in the characters whose JSON takes
// more than one: what is accepted fits for every attempt, and not much room is lost.
func TestTheLargestOverridesArriveWithinECSsLimit(t *testing.T) {
	t.Parallel()
	aws := NewAWS()
	submit := function(t, "submit", aws)
	// What a later attempt adds: nine digits, and the entry of its previous cause.
	later := len("999999999") + len(`,{"name":"SPOTBATCH_PREVIOUS_CAUSE","value":"SPOT_INTERRUPTION"}`)
	accepted := func(text string, n int) (refusal string, sent int) {
		aws.Forget()
		words, _ := json.Marshal(strings.Repeat(text, n))
		in := fmt.Sprintf(`{"jobName":"n","taskDefinition":"spotbatch-example","containerOverrides":{"command":[%s]}}`, words)
		_, failed, err := submit.Invoke(t.Context(), []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if failed != nil {
			return failed.Message, 0
		}
		calls := aws.Calls()
		i := slices.IndexFunc(calls, func(c Call) bool { return c.Operation == "RunTask" })
		if i < 0 {
			t.Fatalf("%q %d times: accepted, and no RunTask", text, n)
		}
		var body struct{ Overrides json.RawMessage }
		if err := json.Unmarshal([]byte(calls[i].Body), &body); err != nil {
			t.Fatal(err)
		}
		return "", len([]rune(string(body.Overrides))) + later
	}
	for _, text := range []string{"x", `"`, `\`, "\b", "\f", "\n", "\x01", "\x7f", "é", "😀", "<", "\u2028"} {
		low, high := 0, 8193 // accepted, refused
		for high-low > 1 {
			middle := (low + high) / 2
			refusal, sent := accepted(text, middle)
			if refusal == "" {
				low = middle
			} else {
				high = middle
			}
			if refusal == "" && sent > 8192 {
				t.Errorf("%q %d times is accepted and sent as up to %d characters", text, middle, sent)
			}
			if refusal != "" && !strings.HasPrefix(refusal, "invalid request: containerOverrides: ") {
				t.Errorf("%q %d times: %s", text, middle, refusal)
			}
		}
		if _, sent := accepted(text, low); sent < 8192-60 {
			t.Errorf("%q: %d characters are refused though only %d are sent", text, low+1, sent)
		}
	}
}
