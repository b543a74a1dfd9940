package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

// fakeCloud answers what the SDK's clients send: a table, the submit function, a queue, logs and a stack, as far as the
// command line meets them. It is the clients' transport, so that time in a synctest bubble is the bubble's.
type fakeCloud struct {
	*fakeMachine // whose jobs are in the table; it does the submit function's work

	mu      sync.Mutex
	table   map[string]map[string]attribute
	store   *dynamo.Store
	calls   map[string]int // by operation
	invoked []string       // payloads
	sent    []string       // bodies
	streams map[string][]string
	// outputs of the stack "prod", in the order of the template
	outputs [][2]string
	// refuse answers an operation with an error: code, and message
	refuse map[string][2]string
	// tryAgain is how often the function answers so before it works.
	tryAgain int
	// identity is who calls; "" = nobody knows.
	identity string
	// problem is what the function finds wrong with every request; "" = nothing.
	problem string
}

// attribute is one attribute value of an item in DynamoDB's JSON.
type attribute map[string]any

func newFakeCloud(m *fakeMachine) *fakeCloud {
	f := &fakeCloud{
		fakeMachine: m, table: map[string]map[string]attribute{}, calls: map[string]int{}, streams: map[string][]string{},
		outputs: [][2]string{
			{"Runner", "spotbatch"},
			{"SubmitFunction", "prod-Submit"},
			{"WatchFunction", "prod-Watch"},
			{"Table", "prod-Table"},
			{"JobsQueueUrl", "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"},
			{"Cluster", "prod-Cluster"},
			{"EventsQueueUrl", "https://sqs.eu-west-1.amazonaws.com/123456789012/events"},
			{"RejectedQueueUrl", "https://sqs.eu-west-1.amazonaws.com/123456789012/rejected"},
		},
		refuse: map[string][2]string{},
	}
	f.store = dynamo.New(f.config(), "prod-Table")
	return f
}

func (f *fakeCloud) config() aws.Config {
	return aws.Config{
		Region: "eu-west-1", HTTPClient: f, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	}
}

// newCloudShell is a command line that reaches the fake as stack "prod".
func newCloudShell(f *fakeCloud) *shell {
	s := newShell(f.fakeMachine)
	s.cli.getenv = func(string) string { return "" }
	s.cli.loadAWS = func(context.Context, string, string) (aws.Config, error) { return f.config(), nil }
	n := 0
	s.cli.newID = func() string { n++; return fmt.Sprintf("new-%d", n) }
	return s
}

// keep writes the machine's job into the table, as its functions would.
func (f *fakeCloud) keep(t testing.TB, id string) {
	t.Helper()
	j, err := f.fakeMachine.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	f.write(j)
}

func (f *fakeCloud) write(j *jobs.Job) {
	save := f.store.Save
	if j.Version == 1 {
		save = f.store.Create
	}
	if err := save(context.Background(), j); err != nil {
		panic(err)
	}
}

// Do implements aws.HTTPClient.
func (f *fakeCloud) Do(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	operation := operationOf(r, body)
	f.mu.Lock()
	f.calls[operation]++
	refused, no := f.refuse[operation]
	f.mu.Unlock()
	if no {
		return errorAnswer(r, refused[0], refused[1]), nil
	}
	answers := map[string]func([]byte) any{
		"GetItem": f.getItem, "PutItem": f.putItem, "Query": f.query, "BatchGetItem": f.batchGetItem,
		"SendMessage": f.sendMessage, "GetLogEvents": f.logEvents, "DescribeTaskDefinition": f.definition,
	}
	switch answer := answers[operation]; {
	case operation == "Invoke":
		return f.invoke(r, body), nil
	case operation == "GetCallerIdentity" && f.identity != "":
		return reply(r, http.StatusOK, nil, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>"+f.identity+
			"</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"), nil
	case operation == "DescribeStacks":
		return f.stack(r, body), nil
	case answer != nil:
		if found := answer(body); found != nil {
			text, _ := json.Marshal(found)
			return reply(r, http.StatusOK, nil, string(text)), nil
		}
		return errorAnswer(r, "ResourceNotFoundException", "it is not there"), nil
	}
	return errorAnswer(r, "AccessDeniedException", "not authorized to perform: "+operation), nil
}

func operationOf(r *http.Request, body []byte) string {
	if _, name, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return name
	}
	if strings.HasSuffix(r.URL.Path, "/invocations") {
		return "Invoke"
	}
	form, _ := url.ParseQuery(string(body))
	return form.Get("Action")
}

func reply(r *http.Request, status int, header http.Header, body string) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// errorAnswer is an error in every protocol at once.
func errorAnswer(r *http.Request, code, message string) *http.Response {
	if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		return reply(r, http.StatusBadRequest, nil,
			"<ErrorResponse><Error><Code>"+code+"</Code><Message>"+message+"</Message></Error></ErrorResponse>")
	}
	text, _ := json.Marshal(map[string]string{"__type": code, "message": message})
	return reply(r, http.StatusBadRequest, http.Header{"X-Amzn-Errortype": {code}}, string(text))
}

func (f *fakeCloud) stack(r *http.Request, body []byte) *http.Response {
	form, _ := url.ParseQuery(string(body))
	if name := form.Get("StackName"); name != "prod" {
		return errorAnswer(r, "ValidationError", "Stack with id "+name+" does not exist")
	}
	var b strings.Builder
	for _, o := range f.outputs {
		fmt.Fprintf(&b, "<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>", o[0], o[1])
	}
	return reply(r, http.StatusOK, nil, "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>prod</StackName>"+
		"<StackStatus>CREATE_COMPLETE</StackStatus><CreationTime>2026-11-21T00:00:00Z</CreationTime><Outputs>"+b.String()+
		"</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>")
}

// invoke is the submit function.
func (f *fakeCloud) invoke(r *http.Request, payload []byte) *http.Response {
	f.mu.Lock()
	f.invoked = append(f.invoked, string(payload))
	f.tryAgain--
	again := f.tryAgain >= 0
	f.mu.Unlock()
	failed := func(kind, message string) *http.Response {
		text, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
		return reply(r, http.StatusOK, http.Header{"X-Amz-Function-Error": {"Unhandled"}}, string(text))
	}
	var action struct{ Action, JobID, Reason string }
	_ = json.Unmarshal(payload, &action)
	var j *jobs.Job
	var err error
	switch {
	case again:
		return failed("TryAgain", "describe task definition: throttled")
	case f.problem != "":
		return failed("InvalidRequest", f.problem)
	case action.Action == "cancel":
		j, err = f.Cancel(r.Context(), action.JobID, action.Reason)
	case action.Action == "retry":
		j, err = f.Retry(r.Context(), action.JobID)
	default:
		request, _ := jobs.ParseRequest(payload)
		j = f.accept(jobs.ResolveID(payload), request, "")
	}
	switch {
	case err != nil && strings.Contains(err.Error(), "has not ended"):
		return failed("InvalidRequest", "invalid request: jobId: "+err.Error())
	case err != nil:
		return failed("NotFound", err.Error())
	}
	f.write(j)
	text, _ := json.Marshal(j.Document(false))
	return reply(r, http.StatusOK, nil, string(text))
}

func (f *fakeCloud) sendMessage(body []byte) any {
	var in struct{ MessageBody string }
	_ = json.Unmarshal(body, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sent = append(f.sent, in.MessageBody)
	return map[string]string{"MessageId": "0a1b2c3d-0000-4000-8000-000000000000"}
}

// logEvents gives two events a page, and the same token at the end.
func (f *fakeCloud) logEvents(body []byte) any {
	var in struct{ LogGroupName, LogStreamName, NextToken string }
	_ = json.Unmarshal(body, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	lines, ok := f.streams[in.LogGroupName+" "+in.LogStreamName]
	if !ok {
		return nil
	}
	from, _ := strconv.Atoi(strings.TrimPrefix(in.NextToken, "f/"))
	events := []any{}
	to := min(from+2, len(lines))
	for _, line := range lines[from:to] {
		events = append(events, map[string]any{"message": line, "timestamp": 1})
	}
	return map[string]any{"events": events, "nextForwardToken": "f/" + strconv.Itoa(to)}
}

func (f *fakeCloud) definition([]byte) any {
	return map[string]any{"taskDefinition": map[string]any{
		"taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/work:3", "family": "work", "revision": 3,
		"status": "ACTIVE", "cpu": "1024", "memory": "2048", "requiresCompatibilities": []string{"FARGATE"},
	}}
}

// The table keeps items as they come, and answers the few queries of the store.

func (f *fakeCloud) getItem(body []byte) any {
	var in struct{ Key map[string]attribute }
	_ = json.Unmarshal(body, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.table[in.Key["id"]["S"].(string)]; ok {
		return map[string]any{"Item": i}
	}
	return map[string]any{}
}

func (f *fakeCloud) putItem(body []byte) any {
	var in struct{ Item map[string]attribute }
	_ = json.Unmarshal(body, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	if text, ok := in.Item["job"]["B"].(string); ok {
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return nil
		}
	}
	f.table[in.Item["id"]["S"].(string)] = in.Item
	return map[string]any{}
}

func (f *fakeCloud) batchGetItem(body []byte) any {
	var in struct {
		RequestItems map[string]struct{ Keys []map[string]attribute }
	}
	_ = json.Unmarshal(body, &in)
	f.mu.Lock()
	defer f.mu.Unlock()
	found := map[string][]any{}
	for table, asked := range in.RequestItems {
		for _, key := range asked.Keys {
			if i, ok := f.table[key["id"]["S"].(string)]; ok {
				found[table] = append(found[table], i)
			}
		}
	}
	return map[string]any{"Responses": found, "UnprocessedKeys": map[string]any{}}
}

// query knows the two indexes by the key that their condition begins with.
func (f *fakeCloud) query(body []byte) any {
	var in struct {
		KeyConditionExpression    string
		ScanIndexForward          bool
		ExpressionAttributeValues map[string]attribute
	}
	_ = json.Unmarshal(body, &in)
	words := strings.Fields(in.KeyConditionExpression) // shard = :shard AND time BETWEEN :from AND :to
	shard, at := words[0], words[4]
	number := func(a attribute) int64 {
		text, _ := a["N"].(string)
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
	from, to := number(in.ExpressionAttributeValues[":from"]), number(in.ExpressionAttributeValues[":to"])
	f.mu.Lock()
	defer f.mu.Unlock()
	items := []map[string]attribute{}
	for _, i := range f.table {
		if n := number(i[at]); i[shard]["S"] == in.ExpressionAttributeValues[":shard"]["S"] && n >= from && n <= to {
			items = append(items, i)
		}
	}
	slices.SortFunc(items, func(a, b map[string]attribute) int {
		if in.ScanIndexForward {
			return int(number(a[at]) - number(b[at]))
		}
		return int(number(b[at]) - number(a[at]))
	})
	return map[string]any{"Items": items}
}
