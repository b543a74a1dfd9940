package awstemplate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// finding is one place where the template breaks a rule. Rules of cdk-nag have its names.
// https://github.com/cdklabs/cdk-nag/blob/main/RULES.md
type finding struct{ rule, resource, problem string }

func (f finding) String() string { return f.resource + ": " + f.rule + ": " + f.problem }

// checks are all that a deployment is held to beside who may call what (iam_test.go) and which events pass (pattern_test.go).
var checks = []func(*Stack) []finding{
	physicalNames, queueEncryption, queuePolicies, queueDeadLetters, queueRetention,
	functionSettings, functionRoles, functionEnvironment, asynchronousInvocations, eventSources, recursiveLoops, logGroups,
	managedPolicies, wildcards, narrowCalls, separatePolicies,
	table, clusters, taskDefinitions, rules, schedules, alarms, deadLetterAlarms, dashboards,
}

// exceptions reads the reasons in a resource's metadata, as cdk-nag has them.
func exceptions(r Resource) map[string]string {
	var metadata struct {
		Nag struct {
			Rules []struct{ ID, Reason string } `json:"rules_to_suppress"`
		} `json:"cdk_nag"`
	}
	if err := decode(r.Metadata, &metadata); err != nil {
		return nil
	}
	all := map[string]string{}
	for _, r := range metadata.Nag.Rules {
		all[r.ID] = r.Reason
	}
	return all
}

// raw are all findings, those with a reason among them.
func raw(s *Stack) []finding {
	var all []finding
	for _, check := range checks {
		all = append(all, check(s)...)
	}
	return all
}

// findings are those without a reason.
func findings(s *Stack) []finding {
	return slices.DeleteFunc(raw(s), func(f finding) bool { return exceptions(s.Resources[f.resource])[f.rule] != "" })
}

func TestTheTemplateKeepsItsRules(t *testing.T) {
	t.Parallel()
	for _, f := range findings(resolved(t, load(t), deployment())) {
		t.Error(f)
	}
}

func TestEveryExceptionIsNeededAndHasAReason(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), with(map[string]string{"ClusterName": ""})) // so that everything is created
	all := raw(stack)
	for _, id := range slices.Sorted(maps.Keys(stack.Resources)) {
		if stack.Resources[id].Type == "AWS::Lambda::EventInvokeConfig" { // the SAM transform copies the function's metadata to it
			continue
		}
		for rule, reason := range exceptions(stack.Resources[id]) {
			if !slices.ContainsFunc(all, func(f finding) bool { return f.rule == rule && f.resource == id }) {
				t.Errorf("%s: nothing needs the exception to %s", id, rule)
			}
			if len(reason) < 20 {
				t.Errorf("%s: the exception to %s has no reason", id, rule)
			}
		}
	}
}

// change sets what is at a path of keys and indexes in a resource's properties, or removes it (nil).
func change(template *Template, id, where string, value any) {
	var at any = template.Resources[id].Properties
	keys := strings.Split(where, "/")
	for _, key := range keys[:len(keys)-1] {
		switch in := at.(type) {
		case map[string]any:
			at = in[key]
		case []any:
			i, _ := strconv.Atoi(key)
			at = in[i]
		}
	}
	last := keys[len(keys)-1]
	switch in := at.(type) {
	case map[string]any:
		in[last] = value
		if value == nil {
			delete(in, last)
		}
	case []any:
		i, _ := strconv.Atoi(last)
		in[i] = value
	default:
		panic(fmt.Sprintf("%s has nothing at %s", id, where))
	}
}

// statement finds one statement of EnginePolicy by its Sid.
func statement(template *Template, sid string) string {
	document := template.Resources["EnginePolicy"].Properties["PolicyDocument"].(map[string]any)
	for i, s := range document["Statement"].([]any) {
		if s.(map[string]any)["Sid"] == sid {
			return fmt.Sprintf("PolicyDocument/Statement/%d", i)
		}
	}
	panic("no statement " + sid)
}

// A check that never fails checks nothing: each rule here is broken in turn, and must be found broken.
func TestABrokenTemplateIsFound(t *testing.T) {
	t.Parallel()
	set := func(id, where string, value any) func(*Template) {
		return func(template *Template) { change(template, id, where, value) }
	}
	add := func(id, typ string, properties map[string]any) func(*Template) {
		return func(template *Template) { template.Resources[id] = Resource{Type: typ, Properties: properties} }
	}
	engine := func(sid, where string, value any) func(*Template) {
		return func(template *Template) { change(template, "EnginePolicy", statement(template, sid)+"/"+where, value) }
	}
	type text = map[string]any
	input := func(rest string) func(*Template) {
		return set("ExampleSchedule", "Target/Input", `{"jobName":"x",`+rest+`"scheduledTime":"<aws.scheduler.scheduled-time>"}}`)
	}
	for name, c := range map[string]struct {
		breakIt func(*Template)
		rule    string
	}{
		"a named role":                {set("SubmitRole", "RoleName", "spotbatch-submit"), "names"},
		"a named schedule":            {set("SweepSchedule", "Name", "Sweep"), "names"},
		"a named log group":           {set("SubmitLogGroup", "LogGroupName", "/aws/lambda/x"), "names"},
		"a queue with the key of AWS": {set("EventsQueue", "KmsMasterKeyId", "alias/aws/sqs"), "AwsSolutions-SQS2"},
		"a queue in the clear":        {set("EventsQueue", "SqsManagedSseEnabled", false), "AwsSolutions-SQS2"},
		"two policies for one queue": {
			add("Second", "AWS::SQS::QueuePolicy", text{"Queues": []any{QueueURL("EventsQueue")}, "PolicyDocument": text{}}),
			"AwsSolutions-SQS4",
		},
		"a queue without a policy": {set("PlainQueuesPolicy", "Queues", []any{}), "AwsSolutions-SQS4"},
		"a queue that talks without TLS": {
			set("EventsQueuesPolicy", "PolicyDocument/Statement/0/Effect", "Allow"),
			"AwsSolutions-SQS4",
		},
		"a queue without dead letters":   {set("JobsQueue", "RedrivePolicy", nil), "AwsSolutions-SQS3"},
		"a queue that gives up early":    {set("JobsQueue", "RedrivePolicy/maxReceiveCount", 3.0), "redrive"},
		"dead letters that expire first": {set("JobsDeadLetterQueue", "MessageRetentionPeriod", 345600.0), "redrive"},
		"a cycle of dead letters": {
			set("RejectedQueue", "RedrivePolicy", text{"deadLetterTargetArn": arn("sqs", "RejectedQueue"), "maxReceiveCount": 10.0}),
			"redrive",
		},
		"another runtime":                {set("SubmitFunction", "Runtime", "provided.al2"), "function"},
		"another architecture":           {set("SubmitFunction", "Architectures", []any{"x86_64"}), "function"},
		"a time-out beyond the engine's": {set("WatchFunction", "Timeout", 90.0), "function"},
		"memory by default":              {set("WatchFunction", "MemorySize", nil), "Serverless-LambdaDefaultMemorySize"},
		"a time-out by default":          {set("WatchFunction", "Timeout", nil), "Serverless-LambdaDefaultTimeout"},
		"metrics that are filtered out":  {set("WatchFunction", "LoggingConfig/ApplicationLogLevel", "WARN"), "function"},
		"logs of every start and end":    {set("WatchFunction", "LoggingConfig/SystemLogLevel", "INFO"), "function"},
		"logs as text":                   {set("WatchFunction", "LoggingConfig/LogFormat", "Text"), "function"},
		"a log group that Lambda makes":  {set("WatchFunction", "LoggingConfig/LogGroup", "/aws/lambda/x"), "function"},
		"reserved concurrency":           {set("WatchFunction", "ReservedConcurrentExecutions", 5.0), "function"},
		"a role for two": {
			set("WatchFunction", "Role", text{"Fn::GetAtt": []any{"SubmitRole", "Arn"}}),
			"Serverless-LambdaSharedRole",
		},
		"tracing without its permission":    {set("WatchFunction", "TracingConfig", text{"Mode": "Active"}), "tracing"},
		"a variable that is missing":        {set("WatchFunction", "Environment/Variables/SPOTBATCH_TABLE", nil), "environment"},
		"a variable for one function alone": {set("WatchFunction", "Environment/Variables/SPOTBATCH_X", "1"), "environment"},
		"a secret in a variable": {
			set("WatchFunction", "Environment/Variables/SPOTBATCH_TABLE", "{{resolve:secretsmanager:x}}"),
			"environment",
		},
		"no destination for failures": {
			set("SubmitFunctionEventInvokeConfig", "DestinationConfig", nil),
			"Serverless-LambdaAsyncFailureDestination",
		},
		"a sweep that is repeated":       {set("WatchFunctionEventInvokeConfig", "MaximumRetryAttempts", 2.0), "sweep"},
		"a sweep that comes late":        {set("SweepSchedule", "Target/RetryPolicy", nil), "sweep"},
		"a sweep of something else":      {set("SweepSchedule", "Target/Input", `{"sweep":1}`), "sweep"},
		"batches that fail as a whole":   {set("WatchFunctionEventsQueue", "FunctionResponseTypes", nil), "event source"},
		"a large batch without a window": {set("SubmitFunctionJobsQueue", "BatchSize", 100.0), "event source"},
		"concurrency without a cap":      {set("SubmitFunctionJobsQueue", "ScalingConfig", nil), "event source"},
		"visibility below six time-outs": {set("EventsQueue", "VisibilityTimeout", 360.0), "event source"},
		"visibility by default":          {set("EventsQueue", "VisibilityTimeout", nil), "event source"},
		"wake-ups that look like a loop": {set("WatchFunction", "RecursiveLoop", nil), "recursive loop"},
		"logs for ever": {
			set("WatchLogGroup", "RetentionInDays", nil),
			"Serverless-CloudWatchLogGroupRetentionPeriod",
		},
		"a managed policy of AWS's": {
			set("SubmitRole", "ManagedPolicyArns", []any{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"}),
			"AwsSolutions-IAM4",
		},
		"a wildcard without a reason": {
			set("SweepRole", "Policies/0/PolicyDocument/Statement/0/Resource", "*"),
			"AwsSolutions-IAM5",
		},
		"a wildcard among the actions": {
			set("SweepRole", "Policies/0/PolicyDocument/Statement/0/Action", "lambda:*"),
			"AwsSolutions-IAM5",
		},
		"everything, where some was excused": {engine("StopAndDescribeItsTasks", "Resource", "*"), "narrow"},
		"RunTask on a cluster": {
			engine("RunNamedFamiliesInOneCluster", "Resource", "arn:aws:ecs:us-east-1:123456789012:cluster/spotbatch"),
			"narrow",
		},
		"RunTask in any cluster":   {engine("RunNamedFamiliesInOneCluster", "Condition", nil), "narrow"},
		"ListTasks in any cluster": {engine("ListItsTasks", "Condition", nil), "narrow"},
		"a tag on any occasion":    {engine("TagTasksAsTheyStart", "Condition", nil), "narrow"},
		"PutEvents in any name":    {engine("Publish", "Condition", nil), "narrow"},
		"a definition that is not described": {
			set("SubmitRole", "Policies/0/PolicyDocument/Statement/0/Resource", "arn:aws:ecs:us-east-1:123456789012:task-definition/*"),
			"narrow",
		},
		"a permission that comes too late": {add("Late", "AWS::IAM::Policy", text{"PolicyName": "x"}), "late permission"},
		"no recovery of the table":         {set("Table", "PointInTimeRecoverySpecification", nil), "AwsSolutions-DDB3"},
		"a table in the clear":             {set("Table", "SSESpecification", nil), "table"},
		"a table without time to live":     {set("Table", "TimeToLiveSpecification/Enabled", false), "table"},
		"a table of fixed capacity":        {set("Table", "BillingMode", "PROVISIONED"), "table"},
		"a table that goes with its stack": {
			func(t *Template) { r := t.Resources["Table"]; r.DeletionPolicy = "Delete"; t.Resources["Table"] = r },
			"table",
		},
		"a provider that is none":    {set("Cluster", "CapacityProviders", []any{"FARGATE", "FARGATE_SPOTS"}), "cluster"},
		"a second list of providers": {add("Second", "AWS::ECS::ClusterCapacityProviderAssociations", text{}), "cluster"},
		"a task without a log": {
			set("ExampleTask", "ContainerDefinitions/0/LogConfiguration", nil),
			"AwsSolutions-ECS7",
		},
		"a variable in a task definition": {
			set("ExampleTask", "ContainerDefinitions/0/Environment", []any{text{"Name": "A", "Value": "b"}}),
			"AwsSolutions-ECS2",
		},
		"a task as root": {set("ExampleTask", "ContainerDefinitions/0/User", nil), "task definition"},
		"a task that writes where it lies": {
			set("ExampleTask", "ContainerDefinitions/0/ReadonlyRootFilesystem", nil),
			"task definition",
		},
		"a task with thirty seconds":    {set("ExampleTask", "ContainerDefinitions/0/StopTimeout", nil), "task definition"},
		"a size that Fargate has not":   {set("ExampleTask", "Memory", "300"), "task definition"},
		"a rule without dead letters":   {set("TaskRule", "Targets/0/DeadLetterConfig", nil), "Serverless-EventBusDLQ"},
		"a detail-type that is no list": {set("TaskRule", "EventPattern/detail-type", "ECS Task State Change"), "rule"},
		"a rule whose queue refuses it": {
			set("EventsQueuesPolicy", "PolicyDocument/Statement/1/Condition/ArnEquals/aws:SourceArn", arn("events", "rule/Other")),
			"rule",
		},
		"a rule whose dead letters are lost": {set("TaskRule", "Targets/0/DeadLetterConfig/Arn", arn("sqs", "InvocationsDeadLetterQueue")), "rule"},
		"a schedule without dead letters":    {set("ExampleSchedule", "Target/DeadLetterConfig", nil), "schedule"},
		"a schedule that may not send":       {set("ExampleScheduleRole", "Policies", []any{}), "schedule"},
		"a schedule's role for any account":  {set("SweepRole", "AssumeRolePolicyDocument/Statement/0/Condition", nil), "schedule"},
		"an example that fires by itself":    {set("ExampleSchedule", "State", "ENABLED"), "schedule"},
		"a schedule whose attributes are one": {
			input(`"taskDefinition":"y","schedule":{"arn":"\u003caws.scheduler.schedule-arn\u003e",`),
			"schedule",
		},
		"a schedule whose input is no job": {
			input(`"schedule":{"arn":"<aws.scheduler.schedule-arn>",`),
			"schedule",
		},
		"dead letters without an alarm":    {func(t *Template) { delete(t.Resources, "JobsDeadLetterQueueAlarm") }, "dead letters"},
		"an alarm of a queue that is not":  {set("JobsDeadLetterQueueAlarm", "Dimensions/0/Value", "Other"), "alarm"},
		"an alarm of a metric that is not": {set("DueLagAlarm", "MetricName", "DueLags"), "alarm"},
		"an alarm of another runner":       {set("DueLagAlarm", "Dimensions/0/Value", "other"), "alarm"},
		"an alarm that says nothing":       {set("DueLagAlarm", "AlarmDescription", ""), "alarm"},
		"an alarm that tells nobody":       {set("DueLagAlarm", "AlarmActions", nil), "alarm"},
		"a dashboard that is no JSON":      {set("Dashboard", "DashboardBody", `{"widgets": [}`), "dashboard"},
		"a dashboard of another metric": {
			set("Dashboard", "DashboardBody", `{"widgets":[{"properties":{"metrics":[["Spotbatch","Jobs","Runner","spotbatch"]]}}]}`),
			"dashboard",
		},
		"a cluster that watches each task": {
			func(t *Template) { r := t.Resources["Cluster"]; r.Metadata = nil; t.Resources["Cluster"] = r },
			"AwsSolutions-ECS4",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template := load(t)
			c.breakIt(template)
			all := findings(resolved(t, template, with(map[string]string{"ClusterName": ""})))
			if !slices.ContainsFunc(all, func(f finding) bool { return f.rule == c.rule }) {
				t.Errorf("no finding of rule %q: %v", c.rule, all)
			}
		})
	}
}
