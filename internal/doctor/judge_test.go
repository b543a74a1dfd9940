package doctor

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// wantFinding checks a finding's status, and that its texts hold the words.
func wantFinding(t *testing.T, got Finding, status Status, words ...string) {
	t.Helper()
	if got.Status != status || (status == OK) != (got.Mend == "") {
		t.Errorf("got %+v, want %s", got, status)
	}
	for _, word := range words {
		if !strings.Contains(got.Found+"\n"+got.Mend, word) {
			t.Errorf("%q is not in %+v", word, got)
		}
	}
}

func apiError(code string) error {
	return fmt.Errorf("call: %w", &smithy.GenericAPIError{Code: code, Message: "so AWS says"})
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status Status
		words  []string
	}{
		"denied":           {apiError("AccessDeniedException"), Unknown, []string{"allow lambda:GetFunction"}},
		"denied by SQS":    {apiError("AccessDenied"), Unknown, []string{"allow lambda:GetFunction"}},
		"not there":        {apiError("ResourceNotFoundException"), Problem, []string{"there is no function f"}},
		"no such queue":    {apiError("QueueDoesNotExist"), Problem, []string{"there is no function f"}},
		"another error":    {apiError("InternalServerError"), Unknown, []string{"InternalServerError: so AWS says"}},
		"no answer at all": {errors.New("connection refused"), Unknown, []string{"connection refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, trouble("x", "lambda:GetFunction", "function f", c.err), c.status, c.words...)
		})
	}
}

func TestWhoHasNoCredentialsIsToldHowToSignIn(t *testing.T) {
	t.Parallel()
	err := errors.New("get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found")
	got := judgeIdentity("", "eu-west-1", &smithy.OperationError{ServiceID: "STS", OperationName: "GetCallerIdentity", Err: err})
	wantFinding(t, got, Problem, "there are no AWS credentials: sign in (aws configure, aws sso login)", "aws sso login, or another --profile")
	if len("  mend: "+got.Mend) > 80 {
		t.Errorf("%q does not fit a line", got.Mend)
	}
}

func TestJudgeFunction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		f      Function
		status Status
		word   string
	}{
		"active":               {Function{State: "Active", Update: "Successful", TimeoutSeconds: 60}, OK, "60 s"},
		"failed":               {Function{State: "Failed", StateReason: "no role"}, Problem, "no role"},
		"a failed update":      {Function{State: "Active", Update: "Failed", UpdateReason: "no image"}, Problem, "no image"},
		"an update under way":  {Function{State: "Active", Update: "InProgress"}, Warning, "InProgress"},
		"pending":              {Function{State: "Pending", Update: "Successful"}, Warning, "Pending"},
		"idle for a long time": {Function{State: "Inactive", Update: "Successful"}, Warning, "invoke it once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, judgeFunction("submit function", c.f), c.status, c.word)
		})
	}
}

// goodSettings are what both functions are told in the tests.
func goodSettings() map[string]string {
	return map[string]string{
		"SPOTBATCH_RUNNER": "prod", "SPOTBATCH_TABLE": "jobs", "SPOTBATCH_CLUSTER": "main", "SPOTBATCH_SUBNETS": "subnet-1",
		"SPOTBATCH_EVENT_BUS": "default", "SPOTBATCH_EVENTS_QUEUE_URL": "https://sqs/1/events", "SPOTBATCH_JOBS_QUEUE_URL": "https://sqs/1/jobs",
		"SPOTBATCH_REJECTED_QUEUE_URL": "https://sqs/1/rejected",
	}
}

func TestJudgeSettings(t *testing.T) {
	t.Parallel()
	with := func(name, value string) map[string]string {
		s := goodSettings()
		if s[name] = value; value == "" {
			delete(s, name)
		}
		return s
	}
	good := goodSettings()
	d := Deployment{Runner: "prod", Table: "jobs", Cluster: "arn:aws:ecs:eu-west-1:1:cluster/main", EventsQueueURL: "https://sqs/1/events"}
	for name, c := range map[string]struct {
		submit, watch map[string]string
		d             Deployment
		status        Status
		word          string
	}{
		"the same in both":            {good, good, d, OK, "the same"},
		"one differs":                 {good, with("SPOTBATCH_SUBNETS", "swordfish"), d, Problem, "differ in SPOTBATCH_SUBNETS"},
		"one has more":                {good, with("SPOTBATCH_LAUNCHES_PER_SECOND", "1"), d, Problem, "SPOTBATCH_LAUNCHES_PER_SECOND"},
		"other variables differ":      {good, with("LANG", "C"), d, OK, ""},
		"one is missing":              {with("SPOTBATCH_TABLE", ""), with("SPOTBATCH_TABLE", ""), d, Problem, "not set: SPOTBATCH_TABLE"},
		"of another deployment":       {good, good, Deployment{Runner: "test", Table: "jobs"}, Problem, "SPOTBATCH_RUNNER"},
		"not allowed to be decrypted": {nil, good, d, Unknown, "kms:Decrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := judgeSettings(c.submit, c.watch, c.d)
			wantFinding(t, got, c.status, c.word)
			if strings.Contains(got.Found+got.Mend, "swordfish") {
				t.Errorf("a value is told: %+v", got)
			}
		})
	}
}

// withoutSpot is the command for a cluster that lacks FARGATE_SPOT, as it is to be pasted.
const withoutSpot = `aws ecs put-cluster-capacity-providers --region eu-west-1 --cluster main ` +
	`--capacity-providers FARGATE my-asg FARGATE_SPOT --default-capacity-provider-strategy "$(aws ecs describe-clusters ` +
	`--region eu-west-1 --clusters main --query 'clusters[0].defaultCapacityProviderStrategy' --output json)"`

func TestJudgeCluster(t *testing.T) {
	t.Parallel()
	both := []string{"FARGATE", "FARGATE_SPOT"}
	for name, c := range map[string]struct {
		info   ecs.ClusterInfo
		err    error
		status Status
		words  []string
	}{
		"good":           {ecs.ClusterInfo{Status: "ACTIVE", CapacityProviders: both, RunningTasks: 3, PendingTasks: 1}, nil, OK, []string{"3 tasks run, 1 wait"}},
		"not there":      {ecs.ClusterInfo{}, fmt.Errorf("%w: main", ecs.ErrNoCluster), Problem, []string{serviceLinkedRole}},
		"deleted":        {ecs.ClusterInfo{Status: "INACTIVE"}, nil, Problem, []string{"INACTIVE"}},
		"without Spot":   {ecs.ClusterInfo{Status: "ACTIVE", CapacityProviders: []string{"FARGATE", "my-asg"}}, nil, Problem, []string{"lacks the capacity provider FARGATE_SPOT", withoutSpot}},
		"no linked role": {ecs.ClusterInfo{}, errors.New("Unable to assume the service linked role"), Problem, []string{serviceLinkedRole}},
		"denied":         {ecs.ClusterInfo{}, apiError("AccessDeniedException"), Unknown, []string{"allow ecs:DescribeClusters"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, judgeCluster("main", "eu-west-1", c.info, c.err), c.status, c.words...)
		})
	}
}

func TestJudgeMapping(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mappings []Mapping
		status   Status
		word     string
	}{
		"good":                    {[]Mapping{{QueueARN: "other"}, {QueueARN: "q", State: "Enabled", ReportsItems: true}}, OK, "Enabled"},
		"none":                    {[]Mapping{{QueueARN: "other", State: "Enabled", ReportsItems: true}}, Problem, "does not feed"},
		"disabled":                {[]Mapping{{UUID: "14e0", QueueARN: "q", State: "Disabled"}}, Problem, "aws lambda update-event-source-mapping --region eu-west-1 --uuid 14e0 --enabled"},
		"without partial answers": {[]Mapping{{QueueARN: "q", State: "Enabled"}}, Problem, "ReportBatchItemFailures"},
		"being made":              {[]Mapping{{QueueARN: "q", State: "Creating", ReportsItems: true}}, Warning, "Creating"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := judgeMapping("jobs mapping", "q", "eu-west-1", c.mappings)
			wantFinding(t, got, c.status, c.word)
		})
	}
}

func TestJudgeQueue(t *testing.T) {
	t.Parallel()
	good := Queue{VisibilitySeconds: 361, DeadLetterARN: "dead", MaxReceiveCount: 10, Waiting: 7, InFlight: 2}
	with := func(change func(*Queue)) Queue {
		q := good
		change(&q)
		return q
	}
	for name, c := range map[string]struct {
		q      Queue
		status Status
		word   string
	}{
		"good":                     {good, OK, "7 messages wait, 2 are in work"},
		"without dead letters":     {with(func(q *Queue) { q.DeadLetterARN = "" }), Problem, "no dead-letter queue"},
		"with a key of AWS's":      {with(func(q *Queue) { q.KMSKey = "alias/aws/sqs" }), Problem, "EventBridge"},
		"with a key of one's own":  {with(func(q *Queue) { q.KMSKey = "alias/mine" }), OK, ""},
		"visible too soon":         {with(func(q *Queue) { q.VisibilitySeconds = 360 }), Warning, "set it to 361 s"},
		"dead after too few tries": {with(func(q *Queue) { q.MaxReceiveCount = 3 }), Warning, "maxReceiveCount is 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, judgeQueue("jobs queue", c.q, 60, 1), c.status, c.word)
		})
	}
}

const goodPattern = `{"source":["aws.ecs"],"detail-type":["ECS Task State Change"],"detail":{
	"clusterArn":["arn:aws:ecs:eu-west-1:1:cluster/main"],"startedBy":[{"prefix":"prod/"}],"lastStatus":["RUNNING","STOPPED"]}}`

func TestJudgeRules(t *testing.T) {
	t.Parallel()
	rule := func(state, from, to string) []Rule {
		return []Rule{{Name: "r", State: state, Pattern: strings.Replace(goodPattern, from, to, 1), DeadLetterARN: "dead"}}
	}
	good := rule("ENABLED", "", "")[0]
	for name, c := range map[string]struct {
		rules  []Rule
		status Status
		word   string
	}{
		"good":                        {[]Rule{good}, OK, "prod/"},
		"good, behind another":        {append(rule("ENABLED", "aws.ecs", "aws.ec2"), good), OK, "prod/"},
		"none":                        {nil, Problem, "no rule"},
		"disabled":                    {rule("DISABLED", "", ""), Problem, "enable-rule --region eu-west-1 --name r"},
		"of another source":           {rule("ENABLED", "aws.ecs", "aws.ec2"), Problem, "source aws.ecs"},
		"of another runner":           {rule("ENABLED", "prod/", "test/"), Problem, "prefix prod/"},
		"without the slash":           {rule("ENABLED", "prod/", "prod"), Problem, "prefix prod/"},
		"for another cluster":         {rule("ENABLED", "cluster/main", "cluster/test"), Problem, "another cluster than main"},
		"without the Spot notice":     {rule("ENABLED", `"RUNNING",`, ""), Problem, "RUNNING and STOPPED"},
		"with a filter on stopCode":   {rule("ENABLED", `"lastStatus"`, `"stopCode":["SpotInterruption"],"lastStatus"`), Problem, "stopCode"},
		"with no pattern":             {[]Rule{{Name: "r", State: "ENABLED"}}, Problem, "pattern"},
		"without a dead-letter queue": {[]Rule{{Name: "r", State: "ENABLED", Pattern: goodPattern}}, Warning, "dead-letter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := judgeRules(c.rules, Deployment{Region: "eu-west-1", Runner: "prod", Cluster: "main"})
			wantFinding(t, got, c.status, c.word)
		})
	}
}

func TestJudgeDelivery(t *testing.T) {
	t.Parallel()
	const rule = "arn:aws:events:eu-west-1:123456789012:rule/prod-TaskRule-1"
	allow := func(principal, action, condition string) string {
		return `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
			{"Effect":"Allow","Principal":` + principal + `,"Action":` + action + `,"Condition":` + condition + `}]}`
	}
	const events = `{"Service":"events.amazonaws.com"}`
	for name, c := range map[string]struct {
		policy string
		good   bool
	}{
		"for the rule":        {allow(events, `"sqs:SendMessage"`, `{"ArnEquals":{"aws:SourceArn":"`+rule+`"}}`), true},
		"for rules like it":   {allow(events, `["sqs:SendMessage"]`, `{"ArnLike":{"aws:SourceArn":["x","arn:aws:events:*:*:rule/prod-*"]}}`), true},
		"for the account":     {allow(`{"Service":["a","events.amazonaws.com"]}`, `"SQS:*"`, `{"StringEquals":{"aws:SourceAccount":"123456789012"}}`), true},
		"for everybody":       {allow(`"*"`, `"*"`, `{}`), true},
		"for another rule":    {allow(events, `"sqs:SendMessage"`, `{"ArnEquals":{"aws:SourceArn":"`+rule+`2"}}`), false},
		"for another account": {allow(events, `"sqs:SendMessage"`, `{"StringEquals":{"aws:SourceAccount":"210987654321"}}`), false},
		"for another service": {allow(`{"Service":"sns.amazonaws.com"}`, `"sqs:SendMessage"`, `{}`), false},
		"for reading":         {allow(events, `"sqs:ReceiveMessage"`, `{}`), false},
		"a denial alone":      {`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"sqs:*"}]}`, false},
		"none":                {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status := OK
			if !c.good {
				status = Problem
			}
			wantFinding(t, judgeDelivery(Queue{Policy: c.policy}, rule), status)
		})
	}
}

func TestJudgeSweep(t *testing.T) {
	t.Parallel()
	const every, input = "rate(1 minute)", `{"sweep":true}`
	for name, c := range map[string]struct {
		schedules []Schedule
		status    Status
		word      string
	}{
		"good":              {[]Schedule{{Input: `{"jobName":"x"}`}, {State: "ENABLED", Expression: every, Input: input}}, OK, "once a minute"},
		"none":              {nil, Problem, "no schedule"},
		"of something else": {[]Schedule{{State: "ENABLED", Expression: every, Input: `{}`}}, Problem, "no schedule"},
		"disabled":          {[]Schedule{{Name: "s", State: "DISABLED", Expression: every, Input: input}}, Problem, "DISABLED"},
		"too seldom":        {[]Schedule{{Name: "s", State: "ENABLED", Expression: "rate(1 hour)", Input: input}}, Warning, "rate(1 hour)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := judgeSweep(c.schedules)
			wantFinding(t, got, c.status, c.word)
		})
	}
}

func TestJudgeLetters(t *testing.T) {
	t.Parallel()
	q := Queue{ARN: "arn:aws:sqs:eu-west-1:1:dead", Waiting: 1}
	const move = "aws sqs start-message-move-task --region eu-west-1 --source-arn arn:aws:sqs:eu-west-1:1:dead --destination-arn "
	for name, c := range map[string]struct {
		box    letterbox
		q      Queue
		status Status
		words  []string
	}{
		"empty": {letterbox{requests: true}, Queue{}, OK, []string{"empty"}},
		"lost requests": {
			letterbox{to: "arn:jobs", requests: true},
			q, Problem,
			[]string{"1 message\n", "look first whether the job of a request without jobId is there", move + "arn:jobs"},
		},
		"undelivered events": {letterbox{to: "arn:events"}, q, Warning, []string{"mend the cause, then: " + move + "arn:events"}},
		"refused requests":   {letterbox{url: "https://sqs/rejected"}, Queue{Waiting: 2, InFlight: 1}, Warning, []string{"3 messages", "receive-message", "https://sqs/rejected"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, judgeLetters(c.box, c.q, "eu-west-1"), c.status, c.words...)
		})
	}
}

func TestJudgeLaunches(t *testing.T) {
	t.Parallel()
	waits := func(cause jobs.Cause, reason string) *jobs.Job {
		return &jobs.Job{Status: jobs.StatusRunnable, Internal: jobs.Internal{RefusedCause: cause, RefusedReason: reason}}
	}
	fault := jobs.CauseDeploymentFault
	ended := waits(fault, "old")
	ended.Status = jobs.StatusFailed
	for name, c := range map[string]struct {
		newest []*jobs.Job
		status Status
		words  []string
	}{
		"none":              {[]*jobs.Job{waits(jobs.CauseNoCapacity, "no capacity"), ended}, OK, nil},
		"a role":            {[]*jobs.Job{waits(fault, "Unable to assume the service linked role."), ended}, Problem, []string{"1 of the newest", serviceLinkedRole}},
		"a passed role":     {[]*jobs.Job{waits(fault, "not authorized to perform: iam:PassRole")}, Problem, []string{"PassRoleArns"}},
		"a provider":        {[]*jobs.Job{waits(fault, "The specified capacity provider was not found")}, Problem, []string{"see the cluster"}},
		"something unknown": {[]*jobs.Job{waits(fault, "who knows"), waits(fault, "who knows")}, Problem, []string{"2 of the newest jobs wait: who knows"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFinding(t, judgeLaunches(c.newest), c.status, c.words...)
		})
	}
}

func TestJudgeOverdue(t *testing.T) {
	t.Parallel()
	wantFinding(t, judgeOverdue(nil, false), OK)
	wantFinding(t, judgeOverdue([]time.Duration{3 * time.Minute}, false), Problem, "1 job is overdue, by up to 3m0s")
	wantFinding(t, judgeOverdue([]time.Duration{time.Hour, 3 * time.Minute}, true), Problem, "more than 2 jobs are overdue, by up to 1h0m0s")
}

func TestJudgeQuota(t *testing.T) {
	t.Parallel()
	q := quotas()[0]
	wantFinding(t, judgeQuota(q, 4000, "eu-west-1"), OK, "4000 vCPUs")
	wantFinding(t, judgeQuota(q, 6, "eu-west-1"), Warning, "--quota-code "+q.code)
	wantFinding(t, judgeQuota(q, 0, "eu-west-1"), Problem, "request-service-quota-increase --region eu-west-1")
}

func TestSettingsAreNotChangedByBeingJudged(t *testing.T) {
	t.Parallel()
	submit, watch := goodSettings(), goodSettings()
	judgeSettings(submit, watch, Deployment{})
	if !maps.Equal(submit, goodSettings()) || !maps.Equal(watch, goodSettings()) {
		t.Error("they are")
	}
}
