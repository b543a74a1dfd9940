package awstemplate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

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
	parameter := func(name string, breakIt func(*Parameter)) func(*Template) {
		return func(template *Template) {
			p := template.Parameters[name]
			breakIt(&p)
			template.Parameters[name] = p
		}
	}
	anything := func(name string) func(*Template) {
		return parameter(name, func(p *Parameter) { p.AllowedPattern = ".*" })
	}
	output := func(name string, value any) func(*Template) {
		return func(template *Template) {
			o := template.Outputs[name]
			o.Value = value
			template.Outputs[name] = o
		}
	}
	type text = map[string]any
	trusting := func(service string) text { return text{"Service": service + ".amazonaws.com"} }
	const trustee = "AssumeRolePolicyDocument/Statement/0/Principal"
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
		"dead letters that nobody may redrive": {
			set("JobsDeadLetterQueue", "RedriveAllowPolicy", text{"redrivePermission": "denyAll"}),
			"redrive",
		},
		"dead letters that are soon forgotten": {set("RejectedQueue", "MessageRetentionPeriod", nil), "redrive"},
		"a queue that never gives up":          {set("EventsQueue", "RedrivePolicy/maxReceiveCount", 1000.0), "redrive"},
		"a denial for nobody": {
			set("PlainQueuesPolicy", "PolicyDocument/Statement/0/Principal", text{"Service": "events.amazonaws.com"}),
			"AwsSolutions-SQS4",
		},
		"a queue that keeps jobs back": {set("JobsQueue", "DelaySeconds", 900.0), "delay"},
		"a queue for everybody": {
			set("JobsQueuesPolicy", "PolicyDocument/Statement/1/Principal", "*"),
			"AwsSolutions-SQS4",
		},
		"a queue for all that EventBridge may": {
			set("EventsQueuesPolicy", "PolicyDocument/Statement/1/Action", "sqs:*"),
			"AwsSolutions-SQS4",
		},
		"another runtime":                {set("SubmitFunction", "Runtime", "provided.al2"), "function"},
		"another architecture":           {set("SubmitFunction", "Architectures", []any{"x86_64"}), "function"},
		"a time-out beyond the engine's": {set("WatchFunction", "Timeout", 90.0), "function"},
		"a time-out below the engine's":  {set("SubmitFunction", "Timeout", 10.0), "function"},
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
		"a sweep that is repeated":       {set("WatchFunctionEventInvokeConfig", "MaximumRetryAttempts", 2.0), "asynchronous"},
		"a request that is not repeated": {set("SubmitFunctionEventInvokeConfig", "MaximumRetryAttempts", 0.0), "asynchronous"},
		"a request that is soon given up": {
			set("SubmitFunctionEventInvokeConfig", "MaximumEventAgeInSeconds", 60.0),
			"asynchronous",
		},
		"a sweep that is disabled":       {set("SweepSchedule", "State", "DISABLED"), "sweep"},
		"a sweep once an hour":           {set("SweepSchedule", "ScheduleExpression", "rate(1 hour)"), "sweep"},
		"a sweep at some time":           {set("SweepSchedule", "FlexibleTimeWindow/Mode", "FLEXIBLE"), "sweep"},
		"a sweep that comes late":        {set("SweepSchedule", "Target/RetryPolicy", nil), "sweep"},
		"a sweep that may be repeated":   {set("SweepSchedule", "Target/RetryPolicy/MaximumRetryAttempts", nil), "sweep"},
		"a sweep of something else":      {set("SweepSchedule", "Target/Input", `{"sweep":1}`), "sweep"},
		"batches that fail as a whole":   {set("WatchFunctionEventsQueue", "FunctionResponseTypes", nil), "event source"},
		"a large batch without a window": {set("SubmitFunctionJobsQueue", "BatchSize", 100.0), "event source"},
		"concurrency without a cap":      {set("SubmitFunctionJobsQueue", "ScalingConfig", nil), "event source"},
		"visibility below six time-outs": {set("EventsQueue", "VisibilityTimeout", 360.0), "event source"},
		"visibility for half a day":      {set("JobsQueue", "VisibilityTimeout", 43200.0), "event source"},
		"an event source that is off":    {set("WatchFunctionEventsQueue", "Enabled", false), "event source"},
		"an event source that drops messages": {
			set("SubmitFunctionJobsQueue", "FilterCriteria", text{"Filters": []any{text{"Pattern": `{"body":{"x":[1]}}`}}}),
			"event source",
		},
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
		"a task with thirty seconds":   {set("ExampleTask", "ContainerDefinitions/0/StopTimeout", nil), "task definition"},
		"a task on a dearer processor": {set("ExampleTask", "RuntimePlatform", nil), "task definition"},
		"a task of another family":     {set("ExampleTask", "Family", "example"), "task definition"},
		"a task without a role to log": {set("ExampleTask", "ExecutionRoleArn", nil), "task definition"},
		"a task whose log is nowhere": {
			set("ExampleTask", "ContainerDefinitions/0/LogConfiguration/Options", nil),
			"AwsSolutions-ECS7",
		},
		"a rule without a target":        {set("TaskRule", "Targets", nil), "rule"},
		"a rule that is disabled":        {set("TaskRule", "State", "DISABLED"), "rule"},
		"a rule on a bus without events": {set("TaskRule", "EventBusName", "jobs"), "rule"},
		"a size that Fargate has not":    {set("ExampleTask", "Memory", "300"), "task definition"},
		"a rule without dead letters":    {set("TaskRule", "Targets/0/DeadLetterConfig", nil), "Serverless-EventBusDLQ"},
		"a detail-type that is no list":  {set("TaskRule", "EventPattern/detail-type", "ECS Task State Change"), "rule"},
		"a rule whose queue refuses it": {
			set("EventsQueuesPolicy", "PolicyDocument/Statement/1/Condition/ArnEquals/aws:SourceArn", arn("events", "rule/Other")),
			"rule",
		},
		"a rule whose dead letters are lost": {set("TaskRule", "Targets/0/DeadLetterConfig/Arn", arn("sqs", "RejectedQueue")), "rule"},
		"a schedule without dead letters":    {set("ExampleSchedule", "Target/DeadLetterConfig", nil), "schedule"},
		"a schedule that may not send":       {set("ExampleScheduleRole", "Policies", []any{}), "schedule"},
		"a schedule's role for any account":  {set("SweepRole", "AssumeRolePolicyDocument/Statement/0/Condition", nil), "trust"},
		"a function's role for another":      {set("SubmitRole", trustee, trusting("ec2")), "trust"},
		"a schedule's role for another":      {set("ExampleScheduleRole", trustee, trusting("lambda")), "trust"},
		"a task's role for another":          {set("ExampleExecutionRole", trustee, trusting("ecs")), "trust"},
		"a role for a second service": {
			set("WatchRole", "AssumeRolePolicyDocument/Statement", []any{
				text{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": trusting("lambda")},
				text{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": "*"},
			}),
			"trust",
		},
		"an example that fires by itself": {set("ExampleSchedule", "State", "ENABLED"), "schedule"},
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
		"an alarm that is silenced":        {set("DueLagAlarm", "ActionsEnabled", false), "alarm"},
		"an alarm that is gone":            {func(t *Template) { delete(t.Resources, "JobsRejectedAlarm") }, "signal"},
		"an alarm that is never reached":   {set("JobsQueueAgeAlarm", "Threshold", 1e9), "signal"},
		"an alarm that always rings":       {set("DueLagAlarm", "Threshold", 0.0), "signal"},
		"an alarm the other way round":     {set("WatchErrorsAlarm", "ComparisonOperator", "LessThanThreshold"), "signal"},
		"an alarm of the least":            {set("WatchErrorsAlarm", "Statistic", "Minimum"), "signal"},
		"an alarm of another period":       {set("WatchErrorsAlarm", "Period", 3600.0), "signal"},
		"an alarm of five times in one":    {set("WatchErrorsAlarm", "EvaluationPeriods", 1.0), "signal"},
		"an alarm of one time in five":     {set("WatchErrorsAlarm", "DatapointsToAlarm", 1.0), "signal"},
		"an alarm for which silence is well, of the sweep": {
			set("SweepMissingAlarm", "TreatMissingData", "notBreaching"),
			"signal",
		},
		"an alarm for which silence is well, of its work": {set("DueLagAlarm", "TreatMissingData", "notBreaching"), "signal"},
		"an alarm of one of its metrics":                  {set("TableThrottlesAlarm", "Metrics/0/Expression", "m0"), "signal"},
		"an alarm of a metric that it hides":              {set("TableThrottlesAlarm", "Metrics/1/ReturnData", true), "signal"},
		"a table's name that is not told":                 {func(t *Template) { delete(t.Outputs, "Table") }, "output"},
		"a runner's name that is not told":                {func(t *Template) { delete(t.Outputs, "Runner") }, "output"},
		"a queue's URL that is not told":                  {func(t *Template) { delete(t.Outputs, "RejectedQueueUrl") }, "output"},
		"a function that is the other":                    {output("SubmitFunction", text{"Ref": "WatchFunction"}), "output"},
		"a queue that is the other":                       {output("JobsQueueUrl", text{"Ref": "EventsQueue"}), "output"},
		"nothing that may run": {
			func(t *Template) { delete(t.Rules, "SomethingMayRun") },
			"parameter",
		},
		"a rate of any form":               {anything("LaunchesPerSecond"), "parameter"},
		"a runner of any name":             {anything("Runner"), "parameter"},
		"any role to pass":                 {anything("PassRoleArns"), "parameter"},
		"any log to read":                  {anything("TaskLogGroupArns"), "parameter"},
		"jobs that are kept for ever":      {parameter("RetentionDays", func(p *Parameter) { p.MaxValue = nil }), "parameter"},
		"jobs that are not kept":           {parameter("RetentionDays", func(p *Parameter) { p.MinValue = nil }), "parameter"},
		"concurrency without its share":    {parameter("Concurrency", func(p *Parameter) { p.AllowedValues = nil }), "parameter"},
		"a table that is always protected": {set("Table", "DeletionProtectionEnabled", "true"), "table"},
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
			if c.rule == "parameter" { // of the template itself
				all = declared(template)
			}
			if !slices.ContainsFunc(all, func(f finding) bool { return f.rule == c.rule }) {
				t.Errorf("no finding of rule %q: %v", c.rule, all)
			}
		})
	}
}
