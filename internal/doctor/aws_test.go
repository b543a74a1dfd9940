package doctor

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// services is the clients' transport: it answers an operation with what a test wrote down for it, or that nothing is there.
type services map[string]string

func (s services) Do(r *http.Request) (*http.Response, error) {
	operation := r.Method + " " + r.URL.Path
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	if _, name, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		operation = name
	} else if form, err := url.ParseQuery(string(body)); err == nil && form.Has("Action") {
		operation = form.Get("Action")
	}
	answer, ok := s[operation]
	if !ok {
		code := "ResourceNotFoundException"
		if strings.HasSuffix(operation, "ServiceQuota") {
			code = "NoSuchResourceException"
		}
		header := http.Header{"X-Amzn-Errortype": {code}}
		text := `{"__type":"` + code + `","message":"` + operation + `"}`
		return &http.Response{StatusCode: http.StatusNotFound, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func (s services) source() *AWS {
	return OnAWS(aws.Config{
		Region: "eu-west-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})
}

func TestTheSourceReadsWhatTheServicesAnswer(t *testing.T) {
	t.Parallel()
	a := services{
		"GetCallerIdentity": `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::1:user/me</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`,
		"DescribeClusters":  `{"clusters":[{"status":"ACTIVE","capacityProviders":["FARGATE"],"runningTasksCount":2,"pendingTasksCount":1}]}`,
		"GET /2015-03-31/functions/watch/configuration": `{"FunctionArn":"arn:watch","State":"Active","LastUpdateStatus":"Failed",
			"LastUpdateStatusReason":"why","Timeout":60,"Environment":{"Variables":{"A":"b"}}}`,
		"GET /2015-03-31/event-source-mappings": `{"EventSourceMappings":[{"UUID":"14e0","EventSourceArn":"arn:q","State":"Enabled",
			"FunctionResponseTypes":["ReportBatchItemFailures"],"MaximumBatchingWindowInSeconds":1},{"EventSourceArn":"arn:other","State":"Disabled"}]}`,
		"GET /2019-09-25/functions/watch/event-invoke-config": `{"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sqs:eu-west-1:1:failed"}}}`,
		"GET /2019-09-25/functions/topic/event-invoke-config": `{"DestinationConfig":{"OnFailure":{"Destination":"arn:aws:sns:eu-west-1:1:failed"}}}`,
		"GetQueueAttributes": `{"Attributes":{"QueueArn":"arn:q","Policy":"{}","VisibilityTimeout":"370","ApproximateNumberOfMessages":"3",
			"ApproximateNumberOfMessagesNotVisible":"2","RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:dead\",\"maxReceiveCount\":\"10\"}"}}`,
		"GetQueueUrl":           `{"QueueUrl":"https://sqs/dead"}`,
		"ListRuleNamesByTarget": `{"RuleNames":["r"]}`,
		"DescribeRule":          `{"Arn":"arn:rule","State":"ENABLED","EventPattern":"{}"}`,
		"ListTargetsByRule":     `{"Targets":[{"Id":"x","Arn":"arn:x","DeadLetterConfig":{"Arn":"wrong"}},{"Id":"q","Arn":"arn:q","DeadLetterConfig":{"Arn":"arn:dead"}}]}`,
		"GET /schedules":        `{"Schedules":[{"Name":"other","Target":{"Arn":"arn:x"}},{"Name":"s","GroupName":"default","Target":{"Arn":"arn:watch"}}]}`,
		"GET /schedules/s": `{"Name":"s","State":"ENABLED","ScheduleExpression":"rate(1 minute)","Target":{"Arn":"arn:watch","RoleArn":"arn:role",
			"Input":"{\"sweep\":true}","DeadLetterConfig":{"Arn":"arn:dead"}}}`,
		"GetServiceQuota": `{"Quota":{"Value":6.0}}`,
	}.source()
	ctx := t.Context()
	check := func(want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
	arn, err := a.Identity(ctx)
	check("arn:aws:iam::1:user/me", arn, err)
	cluster, err := a.Cluster(ctx, "main")
	check(ecs.ClusterInfo{Status: "ACTIVE", CapacityProviders: []string{"FARGATE"}, RunningTasks: 2, PendingTasks: 1}, cluster, err)
	function, err := a.Function(ctx, "watch")
	check(Function{
		ARN: "arn:watch", State: "Active", Update: "Failed", UpdateReason: "why", TimeoutSeconds: 60, Environment: map[string]string{"A": "b"},
	}, function, err)
	mappings, err := a.Mappings(ctx, "watch")
	check([]Mapping{{"14e0", "arn:q", "Enabled", true, 1}, {"", "arn:other", "Disabled", false, 0}}, mappings, err)
	failures, err := a.FailureQueue(ctx, "watch")
	check("arn:aws:sqs:eu-west-1:1:failed", failures, err)
	for _, none := range []string{"topic", "without"} {
		failures, err = a.FailureQueue(ctx, none)
		check("", failures, err)
	}
	queue, err := a.Queue(ctx, "https://sqs/q")
	check(Queue{
		ARN: "arn:q", Policy: "{}", VisibilitySeconds: 370, Waiting: 3, InFlight: 2, DeadLetterARN: "arn:dead", MaxReceiveCount: 10,
	}, queue, err)
	dead, err := a.QueueURL(ctx, "arn:aws:sqs:eu-west-1:1:dead")
	check("https://sqs/dead", dead, err)
	rules, err := a.RulesTo(ctx, "arn:q")
	check([]Rule{{"r", "arn:rule", "ENABLED", "{}", "arn:dead"}}, rules, err)
	schedules, err := a.SchedulesTo(ctx, "arn:watch")
	check([]Schedule{{"s", "ENABLED", "rate(1 minute)", `{"sweep":true}`, "arn:dead"}}, schedules, err)
	value, err := a.Quota(ctx, "L-36FBB829")
	check(6.0, value, err)
}

// TestAScheduleOfSomebodysOwnHidesNoSweep: watch may be invoked by others, too, and they may come first.
func TestAScheduleOfSomebodysOwnHidesNoSweep(t *testing.T) {
	t.Parallel()
	page := `{"NextToken":"there is more","Schedules":[{"Name":"s","GroupName":"default","Target":{"Arn":"arn:watch"}}]}`
	for input, want := range map[string]string{`{\"sweep\":true}`: "", `{}`: "there are too many schedules to look through"} {
		a := services{
			"GET /schedules": page, "GET /schedules/s": `{"Name":"s","Target":{"Arn":"arn:watch","RoleArn":"r","Input":"` + input + `"}}`,
		}.source()
		_, err := a.SchedulesTo(t.Context(), "arn:watch")
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("%s: got %v, want %q", input, err, want)
		}
	}
}

func TestWhatIsNotThereIsAnErrorOfTheSource(t *testing.T) {
	t.Parallel()
	a := services{"ListRuleNamesByTarget": `{"RuleNames":["r"]}`, "GetServiceQuota": `{}`}.source()
	ctx := t.Context()
	_, err1 := a.Identity(ctx)
	_, err2 := a.Function(ctx, "watch")
	_, err3 := a.Mappings(ctx, "watch")
	_, err4 := a.Queue(ctx, "https://sqs/q")
	_, err5 := a.QueueURL(ctx, "no ARN")
	_, err6 := a.QueueURL(ctx, "arn:aws:sqs:eu-west-1:1:dead")
	_, err7 := a.RulesTo(ctx, "arn:q")
	_, err8 := a.SchedulesTo(ctx, "arn:watch")
	_, err9 := a.Quota(ctx, "L-36FBB829")
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, err9} {
		if err == nil {
			t.Errorf("call %d: no error", i+1)
		}
	}
}

func TestAQuotaThatTheAccountHasNoValueOfIsTheDefault(t *testing.T) {
	t.Parallel()
	a := services{"GetAWSDefaultServiceQuota": `{"Quota":{"Value":6.0}}`}.source()
	if value, err := a.Quota(t.Context(), "L-36FBB829"); value != 6 || err != nil {
		t.Errorf("got %v, %v", value, err)
	}
	a = services{}.source()
	if _, err := a.Quota(t.Context(), "L-36FBB829"); err == nil || !strings.Contains(err.Error(), "GetAWSDefaultServiceQuota") {
		t.Errorf("got %v", err)
	}
}

func TestARedrivePolicyCountsInNumbersAndInTexts(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]int{
		`{"deadLetterTargetArn":"a","maxReceiveCount":10}`: 10, `{"deadLetterTargetArn":"a","maxReceiveCount":"5"}`: 5, "": 0,
	} {
		if _, got := redrive(document); got != want {
			t.Errorf("%s: got %d", document, got)
		}
	}
}
