package ecs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// wire is ECS at the other end of the real SDK client: it answers each call by its operation and keeps what was sent.
type wire struct {
	answer func(operation string, body map[string]any) (status int, text string)
	sent   []string
	bodies []map[string]any
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, err
	}
	w.sent, w.bodies = append(w.sent, operation), append(w.bodies, body)
	status, text := w.answer(operation, body)
	if status == 0 {
		return nil, errors.New("connection reset by peer")
	}
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

var someCredentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET"}, nil
})

// launcher makes a Launcher on the real SDK client.
func launcher(answer func(operation string, body map[string]any) (int, string)) (*Launcher, *wire) {
	w := &wire{answer: answer}
	client := ecs.New(ecs.Options{Region: "us-east-1", HTTPClient: w, Retryer: aws.NopRetryer{}, Credentials: someCredentials})
	config := Config{Cluster: "batch", Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}, AssignPublicIP: true}
	return New(client, config, func() time.Time { return time.Unix(1_000_000_000, 0) }), w
}

func always(status int, text string) func(string, map[string]any) (int, string) {
	return func(string, map[string]any) (int, string) { return status, text }
}

func fixture(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestEveryWayInWhichRunTaskAnswers has each kind of answer, through the real client: a task, three ways of saying no, and
// no answer.
func TestEveryWayInWhichRunTaskAnswers(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:ecs:us-east-1:123456789012:task/batch/1"
	failure := func(code, message string) string {
		return fmt.Sprintf(`{"__type":%q,"message":%q}`, code, message)
	}
	type result struct {
		kind    spot.AnswerKind
		cause   jobs.Cause
		firm    bool
		arn     string
		stopped bool
	}
	for name, c := range map[string]struct {
		status int
		text   string
		want   result
	}{
		"a task":                       {200, `{"tasks":[{"taskArn":"` + arn + `","lastStatus":"PROVISIONING"}],"failures":[]}`, result{spot.AnswerTask, "", true, arn, false}},
		"a replayed, deleted task":     {200, `{"tasks":[{"taskArn":"` + arn + `","lastStatus":"DELETED","desiredStatus":"STOPPED"}]}`, result{spot.AnswerTask, "", true, arn, true}},
		"a replayed, stopped task":     {200, `{"tasks":[{"taskArn":"` + arn + `","lastStatus":"STOPPED","desiredStatus":"STOPPED"}]}`, result{spot.AnswerTask, "", true, arn, true}},
		"a replay with a failure too":  {200, fixture(t, "runtask-idempotent-replay-snippet.json"), result{spot.AnswerTask, "", true, "arn:aws:ecs:us-east-1:123456789012:task/default/fdf2c302-468c-4e55-b884-5331d816e7fb", false}},
		"no capacity":                  {200, fixture(t, "runtask-response.capacity-unavailable.json"), result{spot.AnswerRefused, jobs.CauseNoCapacity, true, "", false}},
		"the vCPU quota":               {200, fixture(t, "runtask-response.vcpu-limit.json"), result{spot.AnswerRefused, jobs.CauseQuota, true, "", false}},
		"an unknown failure":           {200, `{"tasks":[],"failures":[{"reason":"AGENT"}]}`, result{spot.AnswerRefused, jobs.CausePlatformFailure, true, "", false}},
		"nothing at all":               {200, `{"tasks":[],"failures":[]}`, result{kind: spot.AnswerNone}},
		"a conflict names the task":    {400, fixture(t, "runtask-error.conflict.json"), result{kind: spot.AnswerTask, firm: true, arn: conflictARN}},
		"a conflict without a task":    {400, failure("ConflictException", "x"), result{kind: spot.AnswerRefused, firm: true}},
		"throttled":                    {400, failure("ThrottlingException", "Rate exceeded"), result{kind: spot.AnswerThrottled}},
		"throttled in other words":     {400, failure("ClientException", "Too many concurrent attempts to create a new revision"), result{kind: spot.AnswerThrottled}},
		"EC2 throttles ECS":            {400, failure("InvalidParameterException", "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: RequestLimitExceeded)"), result{kind: spot.AnswerRefused}},
		"a broken connection":          {0, "", result{kind: spot.AnswerNone}},
		"a server error":               {500, failure("ServerException", "x"), result{kind: spot.AnswerNone}},
		"a bad gateway without JSON":   {502, "<html>", result{kind: spot.AnswerNone}},
		"a redirection":                {302, "", result{kind: spot.AnswerNone}},
		"a 4xx without a code":         {413, "", result{kind: spot.AnswerNone}},
		"a proxy that lets nobody by":  {403, "", result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"access denied":                {400, failure("AccessDeniedException", "not authorized to perform ecs:RunTask"), result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"the cluster is missing":       {400, failure("ClusterNotFoundException", "Cluster not found."), result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"the provider is missing":      {400, failure("InvalidParameterException", "The specified capacity provider FARGATE_SPOT was not found."), result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"the linked role is missing":   {400, failure("InvalidParameterException", "Unable to assume the service linked role."), result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"a subnet that is none":        {400, failure("InvalidParameterException", "The subnet ID 'subnet-x' does not exist"), result{kind: spot.AnswerRefused, cause: jobs.CauseDeploymentFault}},
		"the PROVISIONING quota":       {400, failure("ClientException", "You've reached the limit on the number of tasks in PROVISIONING"), result{kind: spot.AnswerRefused, cause: jobs.CauseQuota}},
		"no free address":              {400, failure("ClientException", "The subnet does not have enough free addresses"), result{kind: spot.AnswerRefused, cause: jobs.CauseSubnetFull}},
		"an inactive task definition":  {400, failure("ClientException", "TaskDefinition is inactive"), result{kind: spot.AnswerRefused, cause: jobs.CauseLaunchRejected}},
		"a 4xx that nobody has seen":   {400, failure("BrandNewException", "x"), result{kind: spot.AnswerRefused, cause: jobs.CauseLaunchRejected}},
		"overrides that are too large": {400, failure("InvalidParameterException", "Container Overrides length must be at most 8192"), result{kind: spot.AnswerRefused, cause: jobs.CauseLaunchRejected}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, w := launcher(always(c.status, c.text))
			a := l.Run(t.Context(), spot.Launch{TaskDefinition: "job:7", CapacityProvider: jobs.FargateSpot})
			got := result{a.Kind, a.Cause, a.Firm, a.TaskARN, a.Stopped}
			if got != c.want || len(w.sent) != 1 {
				t.Errorf("answer %+v after %d calls (%s), want %+v after one", got, len(w.sent), a.Reason, c.want)
			}
		})
	}
}

const conflictARN = "arn:aws:ecs:us-east-1:123456789012:task/batch/0f1e2d3c4b5a69788796a5b4c3d2e1f0"

// TestRunTaskIsCalledOnce has the SDK's own retries on: the first request is lost and may have made a task, so what a repeat
// says would prove nothing.
func TestRunTaskIsCalledOnce(t *testing.T) {
	t.Parallel()
	first := true
	w := &wire{answer: func(string, map[string]any) (int, string) {
		if first {
			first = false
			return 0, ""
		}
		return 400, `{"__type":"AccessDeniedException","message":"no"}`
	}}
	client := ecs.New(ecs.Options{Region: "us-east-1", HTTPClient: w, Credentials: someCredentials})
	answer := New(client, Config{Cluster: "batch", Subnets: []string{"subnet-1"}}, time.Now).Run(t.Context(), spot.Launch{TaskDefinition: "job:7"})
	if answer.Kind != spot.AnswerNone || len(w.sent) != 1 {
		t.Errorf("%d requests, answer %+v; want one, without an answer", len(w.sent), answer)
	}
}

// TestErrorsThatAreNobodysRefusal has codes that no row names.
func TestErrorsThatAreNobodysRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		code   string
		kind   spot.AnswerKind
		cause  jobs.Cause
	}{
		{403, "AccessDenied", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{403, "MissingAuthenticationTokenException", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{403, "InvalidClientTokenId", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{400, "RequestExpired", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{408, "RequestTimeout", spot.AnswerNone, ""},
		{400, "RequestTimeoutException", spot.AnswerNone, ""},
		{400, "RequestAbortedException", spot.AnswerNone, ""},
		{400, "NotAuthorized", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{400, "PlatformUnknownException", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{400, "BlockedException", spot.AnswerRefused, jobs.CauseDeploymentFault},
		{400, "UnsupportedFeatureException", spot.AnswerRefused, jobs.CauseLaunchRejected},
		{400, "PlatformTaskDefinitionIncompatibilityException", spot.AnswerRefused, jobs.CauseLaunchRejected},
		{503, "ServiceUnavailable", spot.AnswerNone, ""},
		{429, "TooManyRequests", spot.AnswerThrottled, ""},
		{400, "ThrottledException", spot.AnswerThrottled, ""},
		{400, "RequestThrottledException", spot.AnswerThrottled, ""},
		{400, "LimitExceededException", spot.AnswerRefused, jobs.CauseQuota},
		{500, "ThrottlingException", spot.AnswerNone, ""},
	} {
		l, _ := launcher(always(c.status, `{"__type":"`+c.code+`","message":"x"}`))
		if got := l.Run(t.Context(), spot.Launch{}); got.Kind != c.kind || got.Cause != c.cause {
			t.Errorf("%d %s: kind %d, cause %q; want %d, %q", c.status, c.code, got.Kind, got.Cause, c.kind, c.cause)
		}
	}
}

// TestTheWholeRunTaskRequest shows what goes over the wire for a launch with everything in it.
func TestTheWholeRunTaskRequest(t *testing.T) {
	t.Parallel()
	l, w := launcher(always(200, `{}`))
	l.Run(t.Context(), spot.Launch{
		TaskDefinition: "job:7", Container: "main", Command: []string{"run"}, Environment: []jobs.EnvVar{{Name: "A", Value: "1"}},
		CPU: "512", Memory: "1024", EphemeralStorageGiB: 50, CapacityProvider: jobs.FargateSpot,
		StartedBy: "spotbatch/job-1/1", ClientToken: "token", Tags: []spot.Tag{{Key: "team", Value: "data"}},
	})
	want := map[string]any{
		"capacityProviderStrategy": []any{map[string]any{"capacityProvider": "FARGATE_SPOT", "weight": 1.0}},
		"clientToken":              "token", "cluster": "batch", "count": 1.0,
		"networkConfiguration": map[string]any{"awsvpcConfiguration": map[string]any{
			"assignPublicIp": "ENABLED", "securityGroups": []any{"sg-1"}, "subnets": []any{"subnet-1"},
		}},
		"overrides": map[string]any{
			"containerOverrides": []any{map[string]any{
				"name": "main", "command": []any{"run"}, "environment": []any{map[string]any{"name": "A", "value": "1"}},
			}},
			"cpu": "512", "memory": "1024", "ephemeralStorage": map[string]any{"sizeInGiB": 50.0},
		},
		"propagateTags": "TASK_DEFINITION", "startedBy": "spotbatch/job-1/1",
		"tags": []any{map[string]any{"key": "team", "value": "data"}}, "taskDefinition": "job:7",
	}
	sent := w.bodies[0]
	for _, absent := range []string{"enableECSManagedTags", "enableExecuteCommand"} { // the SDK writes its zero values
		if sent[absent] == false {
			delete(sent, absent)
		}
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Error(diff)
	}
}

func TestDescribeAsksForAHundredAtATime(t *testing.T) {
	t.Parallel()
	l, w := launcher(func(_ string, body map[string]any) (int, string) {
		first := body["tasks"].([]any)[0]
		return 200, fmt.Sprintf(`{"tasks":[{"taskArn":%q,"lastStatus":"RUNNING","version":3,"startedAt":1e9}],"failures":[{"arn":"gone","reason":"MISSING"}]}`, first)
	})
	arns := make([]string, 250)
	for i := range arns {
		arns[i] = fmt.Sprintf("arn/%d", i)
	}
	tasks, missing, err := l.Describe(t.Context(), arns)
	if err != nil || len(w.sent) != 3 || len(tasks) != 3 || len(missing) != 3 {
		t.Errorf("%d calls, %d tasks, %d missing, %v; want 3 of each", len(w.sent), len(tasks), len(missing), err)
	}
	if got := tasks[0]; got.Version != 3 || !got.StartedAt.Equal(time.Unix(1e9, 0)) {
		t.Errorf("task %+v: version or startedAt is lost", got)
	}
}

// TestWhatIsToldBesideAnErrorHolds: of 300 tasks the second hundred is not told of, and one of the third fails for a reason of
// its own. Neither takes the others with it, or is taken for MISSING.
func TestWhatIsToldBesideAnErrorHolds(t *testing.T) {
	t.Parallel()
	l, _ := launcher(func(_ string, body map[string]any) (int, string) {
		switch body["tasks"].([]any)[0] {
		case "arn/100":
			return 500, `{"__type":"ServerException","message":"internal error"}`
		case "arn/200":
			return 200, `{"tasks":[{"taskArn":"arn/200"}],"failures":[{"arn":"arn/201","reason":"ACCESS_DENIED","detail":"not yours"},{"arn":"arn/202","reason":"MISSING"}]}`
		}
		return 200, `{"tasks":[{"taskArn":"arn/0"}]}`
	})
	arns := make([]string, 300)
	for i := range arns {
		arns[i] = fmt.Sprintf("arn/%d", i)
	}
	tasks, missing, err := l.Describe(t.Context(), arns)
	if len(tasks) != 2 || !slices.Equal(missing, []string{"arn/202"}) {
		t.Errorf("told of %d tasks, missing %v", len(tasks), missing)
	}
	for _, want := range []string{"internal error", "arn/201: ACCESS_DENIED not yours"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

// TestATaskOfAnotherClusterIsAskedForThere: the deployment's cluster was changed while jobs ran. ECS fails a call that names one
// of another cluster as a whole.
func TestATaskOfAnotherClusterIsAskedForThere(t *testing.T) {
	t.Parallel()
	const old, own = "arn:aws:ecs:us-east-1:1:task/old/a", "arn:aws:ecs:us-east-1:1:task/batch/b"
	l, w := launcher(func(_ string, body map[string]any) (int, string) {
		if body["cluster"] == "old" {
			return 400, `{"__type":"AccessDeniedException","message":"not authorized"}`
		}
		return 200, fmt.Sprintf(`{"tasks":[{"taskArn":%q,"lastStatus":"STOPPED","version":9}]}`, own)
	})
	tasks, missing, err := l.Describe(t.Context(), []string{old, own})
	if err == nil || len(missing) > 0 || len(tasks) != 1 || tasks[0].ARN != own {
		t.Errorf("tasks %v, missing %v, %v; want the own one, and an error for the other", tasks, missing, err)
	}
	for _, body := range w.bodies {
		if tasks := body["tasks"].([]any); len(tasks) != 1 || !strings.Contains(tasks[0].(string), "/"+body["cluster"].(string)+"/") {
			t.Errorf("cluster %v is asked for %v", body["cluster"], tasks)
		}
	}
	_ = l.Stop(t.Context(), old, "over")
	if got := w.bodies[len(w.bodies)-1]["cluster"]; got != "old" {
		t.Errorf("the task is stopped in cluster %v", got)
	}
}

// TestATaskAtWhichECSTakesOffenceKeepsNoOtherWaiting: one of a hundred identifiers is none.
func TestATaskAtWhichECSTakesOffenceKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	l, w := launcher(func(_ string, body map[string]any) (int, string) {
		var told []string
		for _, arn := range body["tasks"].([]any) {
			if arn == "arn/66" {
				return 400, `{"__type":"InvalidParameterException","message":"Invalid identifier"}`
			}
			told = append(told, fmt.Sprintf(`{"taskArn":%q}`, arn))
		}
		return 200, `{"tasks":[` + strings.Join(told, ",") + `]}`
	})
	arns := make([]string, 100)
	for i := range arns {
		arns[i] = fmt.Sprintf("arn/%d", i)
	}
	tasks, missing, err := l.Describe(t.Context(), arns)
	if len(tasks) != 99 || len(missing) > 0 || err == nil || len(w.sent) > 16 {
		t.Errorf("told of %d tasks, missing %v, %v, after %d calls", len(tasks), missing, err, len(w.sent))
	}
}

func TestStoppingATaskThatECSHasForgottenIsNoError(t *testing.T) {
	t.Parallel()
	l, _ := launcher(always(400, `{"__type":"InvalidParameterException","message":"The referenced task was not found."}`))
	if err := l.Stop(t.Context(), "arn/1", strings.Repeat("é", 300)); err != nil {
		t.Error(err)
	}
	l, w := launcher(always(200, `{}`))
	if err := l.Stop(t.Context(), "arn/1", strings.Repeat("é", 300)); err != nil || len([]rune(w.bodies[0]["reason"].(string))) != 255 {
		t.Errorf("reason of %d characters, %v; want it cut to 255", len([]rune(w.bodies[0]["reason"].(string))), err)
	}
}

func TestTaskDefinitions(t *testing.T) {
	t.Parallel()
	l, _ := launcher(always(200, `{"taskDefinition":{"taskDefinitionArn":"arn:td/job:7","family":"job","revision":7,"status":"ACTIVE",
		"requiresCompatibilities":["FARGATE"],"cpu":"256","memory":"512","containerDefinitions":[{"name":"main","logConfiguration":
		{"logDriver":"awslogs","options":{"awslogs-group":"/jobs","awslogs-stream-prefix":"job"}}},{"name":"sidecar","essential":false}]}}`))
	got, err := l.TaskDefinition(t.Context(), "job")
	want := spot.TaskDefinition{
		ARN: "arn:td/job:7", Family: "job", Revision: 7, Active: true, Fargate: true, CPU: "256", Memory: "512",
		ContainerDefs: []spot.ContainerDef{{Name: "main", Essential: true, LogGroup: "/jobs", LogStreamPrefix: "job"}, {Name: "sidecar"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	l, _ = launcher(always(400, `{"__type":"ClientException","message":"Unable to describe task definition."}`))
	if _, err := l.TaskDefinition(t.Context(), "nosuch"); !errors.Is(err, spot.ErrNoTaskDefinition) {
		t.Errorf("error %v, want ErrNoTaskDefinition", err)
	}
	for _, failure := range []string{
		`{"__type":"AccessDeniedException","message":"not authorized"}`, `{"__type":"ClientException","message":"Rate exceeded"}`,
	} {
		l, _ = launcher(always(400, failure))
		if _, err := l.TaskDefinition(t.Context(), "job"); err == nil || errors.Is(err, spot.ErrNoTaskDefinition) {
			t.Errorf("error %v; %s is not the request's fault", err, failure)
		}
	}
}
