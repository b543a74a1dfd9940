package lambdatest

import (
	"context"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/awstemplate"
)

// The functions' binaries for this machine, each built when a test first wants it.
var binaries = map[string]func() (string, error){"submit": built("submit"), "watch": built("watch")}

func built(name string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		file := filepath.Join(builtIn, name)
		// With -trimpath all packages would be compiled once more than `make test` compiles them; it changes no behaviour.
		pkg := "github.com/spotbatch/spotbatch/functions/" + name
		return file, Build(context.Background(), os.Environ(), pkg, file, "-trimpath=false")
	})
}

// function starts submit or watch with what it calls.
func function(t *testing.T, name string, aws *AWS) *Function {
	t.Helper()
	binary, err := binaries[name]()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(aws)
	t.Cleanup(server.Close)
	return start(t, Config{Name: name, Binary: binary, Env: Settings(server.URL)})
}

func TestTheBinariesAreBuiltAsSAMBuildsThem(t *testing.T) {
	t.Parallel()
	recipe, err := os.ReadFile("../../sam.mk")
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for _, flag := range buildFlags {
		if strings.Contains(flag, " ") {
			flag = "'" + flag + "'"
		}
		flags = append(flags, flag)
	}
	oneLine := strings.Join(strings.Fields(strings.ReplaceAll(string(recipe), "\\\n", " ")), " ")
	for _, want := range []string{"CGO_ENABLED=0", "$(GO) build " + strings.Join(flags, " ") + " -o"} {
		if !strings.Contains(oneLine, want) {
			t.Errorf("sam.mk does not build with %q", want)
		}
	}
}

func TestAFunctionWithoutItsSettingsNamesEachOne(t *testing.T) {
	t.Parallel()
	for name, binary := range binaries {
		path, err := binary()
		if err != nil {
			t.Fatal(err)
		}
		_, err = Start(t.Context(), Config{Binary: path, Env: map[string]string{"AWS_REGION": "", "AWS_SECRET_ACCESS_KEY": ""}})
		if err == nil {
			t.Fatalf("%s started", name)
		}
		for _, setting := range []string{
			"SPOTBATCH_RUNNER", "SPOTBATCH_TABLE", "SPOTBATCH_CLUSTER", "SPOTBATCH_SUBNETS", "SPOTBATCH_REJECTED_QUEUE_URL",
			"SPOTBATCH_EVENTS_QUEUE_URL", "SPOTBATCH_EVENT_BUS", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "exit status 1",
		} {
			if !strings.Contains(err.Error(), setting) {
				t.Errorf("%s does not name %s: %v", name, setting, err)
			}
		}
	}
}

// TestEveryPayload feeds every file of events/ to the functions as they are built, one after the other to one instance.
func TestEveryPayload(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../events/expected.json")
	expected := map[string][]string{}
	if err != nil || json.Unmarshal(raw, &expected) != nil {
		t.Fatal(err)
	}
	for name := range binaries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			aws := NewAWS()
			f := function(t, name, aws)
			for _, path := range slices.Sorted(maps.Keys(expected)) {
				if file, ours := strings.CutPrefix(path, name+"/"); ours {
					aws.Forget()
					before := len(f.Log())
					checkPayload(t, f, aws, name, file, expected[path])
					checkLog(t, path, f.Log()[before:])
					checkCalls(t, name, aws.Calls())
				}
			}
		})
	}
}

// secret stands for every environment value of the payloads.
const secret = "hunter2-do-not-log"

// valueForm is an environment value: "value":"x", also inside a message's body.
var valueForm = regexp.MustCompile(`(value\\*":\s*\\*")[^"\\]*`)

func payload(t *testing.T, path ...string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join(append([]string{"../../events"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return valueForm.ReplaceAll(payload, []byte("${1}"+secret))
}

// checkPayload invokes the function and holds its answer and its calls against what events/expected.json says of the items.
func checkPayload(t *testing.T, f *Function, aws *AWS, name, file string, items []string) {
	t.Helper()
	in := payload(t, name, file)
	answer, failed, err := f.Invoke(t.Context(), in)
	if err != nil {
		t.Fatalf("%s/%s: %v", name, file, err)
	}
	bad, jobs := 0, 0
	for _, item := range items {
		kind, problem, _ := strings.Cut(item, " ")
		if problem != "" && kind != "IGNORED" {
			bad++
		} else if kind == "SUBMIT" {
			jobs++
		}
	}
	want := outcome{Answer: "null", Started: jobs}
	switch {
	case name == "submit" && direct.MatchString(file):
		want.Answer, want.Error = wantOfDirect(items[0])
	case items[0] == "ERROR Records[0] has no messageId":
		want.Answer, want.Error = "", "any"
	case strings.Contains(string(in), `"Records"`):
		want.Answer = `{"batchItemFailures":[]}`
		if bad > 0 && name == "watch" { // the file's last message; submit acknowledges what it could reject
			ids := regexp.MustCompile(`"messageId": "([^"]*)"`).FindAllStringSubmatch(string(in), -1)
			want.Answer = `{"batchItemFailures":[{"itemIdentifier":"` + ids[len(ids)-1][1] + `"}]}`
		}
	case bad > 0 && name == "watch":
		want.Answer, want.Error = "", "any"
	case name == "submit" && jobs > 0: // a direct call with a schedule looks like a schedule's
		want.Answer = "job STARTING"
	}
	if name == "submit" && want.Error == "" {
		want.Rejected = bad
	}
	got := outcomeOf(answer, failed, aws)
	if name == "watch" && failed != nil {
		got.Error = "any" // nobody reads it: what failed is sent again, and ends in a dead-letter queue
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s/%s %q: (-want +got)\n%s", name, file, items, diff)
	}
}

// checkCalls holds what a function called against the list of calls that its role allows, and nothing else.
func checkCalls(t *testing.T, name string, calls []Call) {
	t.Helper()
	allowed, err := awstemplate.Calls()
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range calls {
		if !slices.ContainsFunc(allowed, func(a awstemplate.Call) bool {
			return a.Caller == name && strings.HasSuffix(a.Action, ":"+call.Operation)
		}) {
			t.Errorf("%s calls %s, which internal/awstemplate/testdata/calls.json does not list", name, call.Operation)
		}
	}
}

// direct are the payloads of submit that come from a caller who waits.
var direct = regexp.MustCompile(`^(direct.*|environment-reserved-names|not-an-object|unknown-fields)\.json$`)

// wantOfDirect is what a direct caller is told; there is no job that could be cancelled or retried.
func wantOfDirect(item string) (answer, errorType string) {
	kind, problem, _ := strings.Cut(item, " ")
	switch {
	case problem != "":
		return "", "InvalidRequest"
	case kind == "SUBMIT":
		return "job STARTING", ""
	}
	return "", "NotFound"
}

// outcome is an answer and what was called for it.
type outcome struct {
	Answer, Error     string // a job document as its status; an error's type
	Started, Rejected int    // RunTask, SendMessage
	Leaks             bool   // the answer holds an environment value
}

func outcomeOf(answer []byte, failed *Error, aws *AWS) outcome {
	o := outcome{Answer: string(answer), Leaks: strings.Contains(string(answer), secret)}
	if failed != nil {
		o.Error, o.Leaks = failed.Type, strings.Contains(failed.Message, secret)
	}
	var job struct{ JobID, Status string }
	if json.Unmarshal(answer, &job) == nil && job.JobID != "" {
		o.Answer = "job " + job.Status
	}
	for _, call := range aws.Calls() {
		switch call.Operation {
		case "RunTask":
			o.Started++
		case "SendMessage":
			o.Rejected++
		}
	}
	return o
}

// keys are those of a line of the log, beside Lambda's own: one line a decision, always in the same words.
var keys = strings.Fields("timestamp level message requestId" +
	" job_id attempt state from to reason capacity task_arn event_id error visited")

// checkLog looks at the lines of one invocation: each is JSON, one at most is of metrics, and none tells a secret.
func checkLog(t *testing.T, path, log string) {
	t.Helper()
	if strings.Contains(log, secret) || strings.Contains(log, "echo report") {
		t.Errorf("%s: the log tells a value of environment or command:\n%s", path, log)
	}
	metrics := 0
	for line := range strings.Lines(log) {
		var members map[string]any
		if err := json.Unmarshal([]byte(line), &members); err != nil {
			t.Errorf("%s: a line of the log is not JSON: %s", path, line)
			continue
		}
		if members["_aws"] != nil {
			metrics++
			continue
		}
		if members["errorType"] != nil && members["errorMessage"] != nil && len(members) == 2 {
			continue // aws-lambda-go's own, for an answer that is an error
		}
		for key := range members {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: the log has a new key %q: %s", path, key, line)
			}
		}
	}
	if metrics > 1 {
		t.Errorf("%s: %d lines of metrics in one invocation:\n%s", path, metrics, log)
	}
}

func TestADirectCallerIsToldToTryAgainWhereNothingIsKnown(t *testing.T) {
	t.Parallel()
	aws := NewAWS()
	aws.Refuse("DescribeTaskDefinition", "AccessDeniedException")
	f := function(t, "submit", aws)
	answer, failed, err := f.Invoke(t.Context(), payload(t, "submit", "direct.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(outcome{Error: "TryAgain"}, outcomeOf(answer, failed, aws)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAJobThatSpotTakesRunsAgainOnDemand is the main job of the whole, by the functions as they are built.
func TestAJobThatSpotTakesRunsAgainOnDemand(t *testing.T) {
	t.Parallel()
	aws := NewAWS()
	submit, watch := function(t, "submit", aws), function(t, "watch", aws)
	send := func(f *Function, in string) {
		t.Helper()
		if answer, failed, err := f.Invoke(t.Context(), []byte(in)); err != nil || failed != nil {
			t.Fatalf("answer %s, function error %v, %v", answer, failed, err)
		}
	}
	const job = "nightly-report-2026-01-15" // the one of the events
	before := 0
	send(submit, `{"jobName":"nightly-report","jobId":"`+job+`","taskDefinition":"spotbatch-example"}`)
	for _, name := range []string{"running", "spot-notice-spotinterruption", "spot-stopped-exit-143"} {
		event := string(payload(t, "watch", name+".json"))
		task := regexp.MustCompile(`"taskArn": "[^"]*/([0-9a-f]*)"`).FindStringSubmatch(event)[1]
		own := TaskARN("spotbatch/" + job + "/1")
		event = strings.ReplaceAll(event, task, own[strings.LastIndex(own, "/")+1:])
		before = len(aws.Calls())
		send(watch, strings.ReplaceAll(event, "2026-01-15T10:", time.Now().UTC().Format("2006-01-02T15:"))) // no clock is over
	}
	var last []string
	for _, call := range aws.Calls()[before:] {
		last = append(last, call.Operation)
	}
	// One read and one write of the table lie between the end of an interrupted task and the next RunTask.
	if diff := cmp.Diff([]string{"GetItem", "PutItem", "RunTask", "PutEvents", "PutItem"}, last); diff != "" {
		t.Errorf("calls for the event that ends the interrupted task (-want +got)\n%s", diff)
	}
	var got []string
	for _, call := range aws.Calls() {
		var body struct {
			StartedBy                string
			CapacityProviderStrategy []struct{ CapacityProvider string }
			Entries                  []struct{ Detail string }
		}
		if err := json.Unmarshal([]byte(call.Body), &body); err != nil {
			t.Fatal(err)
		}
		switch call.Operation {
		case "RunTask":
			got = append(got, "RunTask "+body.StartedBy+" on "+body.CapacityProviderStrategy[0].CapacityProvider)
		case "PutEvents":
			var document struct{ Attempts []struct{ Cause string } }
			if err := json.Unmarshal([]byte(body.Entries[0].Detail), &document); err != nil {
				t.Fatal(err)
			}
			got = append(got, "PutEvents "+document.Attempts[0].Cause)
		}
	}
	want := []string{
		"RunTask spotbatch/" + job + "/1 on FARGATE_SPOT",
		"RunTask spotbatch/" + job + "/2 on FARGATE", "PutEvents SPOT_INTERRUPTION",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}
