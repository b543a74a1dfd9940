package awstemplate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/function"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// lambda is what is checked of a function.
type lambda struct {
	Runtime, Handler, Role       string
	Architectures                []string
	MemorySize, Timeout          int
	LoggingConfig                struct{ LogFormat, ApplicationLogLevel, SystemLogLevel, LogGroup string }
	TracingConfig                struct{ Mode string }
	RecursiveLoop                string
	ReservedConcurrentExecutions any
}

type invokeConfig struct {
	FunctionName             string
	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds int
	DestinationConfig        struct{ OnFailure struct{ Destination string } }
}

type eventSource struct {
	FunctionName, EventSourceARN              string
	BatchSize, MaximumBatchingWindowInSeconds int
	FunctionResponseTypes                     []string
	ScalingConfig                             struct{ MaximumConcurrency any }
	Enabled                                   *bool
	FilterCriteria                            any
}

func functionSettings(s *Stack) []finding {
	var found []finding
	report := func(rule, id, problem string) { found = append(found, finding{rule, id, problem}) }
	for id, f := range all[lambda](s, "AWS::Lambda::Function") {
		limit := int(spot.AWSTimes().FunctionTimeout / time.Second)
		log := f.LoggingConfig
		if f.MemorySize == 0 || f.MemorySize == 128 {
			report("Serverless-LambdaDefaultMemorySize", id, "its memory was not chosen")
		}
		if f.Timeout == 0 || f.Timeout == 3 {
			report("Serverless-LambdaDefaultTimeout", id, "its time-out was not chosen")
		}
		if f.Timeout != limit {
			report("function", id, "does not live as long as the engine believes")
		}
		if f.Runtime != "provided.al2023" || f.Handler != "bootstrap" || !slices.Equal(f.Architectures, []string{"arm64"}) {
			report("function", id, "is not what the Makefile builds")
		}
		// SystemLogLevel WARN leaves out START, END and REPORT; ApplicationLogLevel INFO keeps metrics, which have no level.
		if log.LogFormat != "JSON" || log.ApplicationLogLevel != "INFO" || log.SystemLogLevel != "WARN" {
			report("function", id, "logs otherwise")
		}
		if s.Resources[log.LogGroup].Type != "AWS::Logs::LogGroup" {
			report("function", id, "has no log group of the template")
		}
		if f.ReservedConcurrentExecutions != nil {
			report("function", id, "reserves concurrency, which a new account cannot")
		}
		if f.TracingConfig.Mode != "Active" {
			report("Serverless-LambdaTracing", id, "is not traced")
		}
	}
	return found
}

func functionRoles(s *Stack) []finding {
	var found []finding
	users := map[string]string{}
	functions := all[lambda](s, "AWS::Lambda::Function")
	for _, id := range slices.Sorted(maps.Keys(functions)) {
		f := functions[id]
		role := nameOf(f.Role)
		if other, shared := users[role]; shared || s.Resources[role].Type != "AWS::IAM::Role" {
			found = append(found, finding{"Serverless-LambdaSharedRole", id, "has no role of its own; so has " + other})
		}
		users[role] = id
		statements, err := s.Statements(role)
		trace := Call{Action: "xray:PutTraceSegments", Resource: "*"}
		if ok, _ := Allowed(statements, trace); err != nil || f.TracingConfig.Mode == "Active" && !ok {
			found = append(found, finding{"tracing", id, "may not write its traces: its creation fails"})
		}
	}
	return found
}

// contract are the variables that the functions read (docs/operations.md), and what they read if it is there.
var contract = []string{
	"SPOTBATCH_ALLOWED_FAMILIES", "SPOTBATCH_ASSIGN_PUBLIC_IP", "SPOTBATCH_CLUSTER", "SPOTBATCH_EVENTS_QUEUE_URL",
	"SPOTBATCH_EVENT_BUS", "SPOTBATCH_EXECUTE_COMMAND", "SPOTBATCH_JOBS_QUEUE_URL", "SPOTBATCH_LAUNCHES_PER_SECOND",
	"SPOTBATCH_PLATFORM_VERSION",
	"SPOTBATCH_REJECTED_QUEUE_URL", "SPOTBATCH_RETENTION_DAYS", "SPOTBATCH_RUNNER", "SPOTBATCH_SECURITY_GROUPS",
	"SPOTBATCH_SUBNETS", "SPOTBATCH_TABLE",
}

func environmentOf(s *Stack, function string) map[string]string {
	var f struct {
		Environment struct{ Variables map[string]string }
	}
	_ = decode(s.Resources[function].Properties, &f)
	return f.Environment.Variables
}

func functionEnvironment(s *Stack) []finding {
	var found []finding
	for _, id := range s.OfType("AWS::Lambda::Function") {
		variables := environmentOf(s, id)
		if got := slices.Sorted(maps.Keys(variables)); !slices.Equal(got, contract) {
			found = append(found, finding{"environment", id, cmp.Diff(contract, got)})
		}
		for name, value := range variables {
			if strings.Contains(value, "{{resolve:") || value == "" {
				found = append(found, finding{"environment", id, name + " is empty or a secret"})
			}
		}
	}
	return found
}

func TestTheFunctionsAreToldTheDeployment(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"SPOTBATCH_ALLOWED_FAMILIES": "report,etl,spotbatch-example", "SPOTBATCH_ASSIGN_PUBLIC_IP": "true",
		"SPOTBATCH_CLUSTER": "spotbatch", "SPOTBATCH_EVENTS_QUEUE_URL": QueueURL("EventsQueue"), "SPOTBATCH_EVENT_BUS": "default",
		"SPOTBATCH_EXECUTE_COMMAND": "false", "SPOTBATCH_JOBS_QUEUE_URL": QueueURL("JobsQueue"), "SPOTBATCH_LAUNCHES_PER_SECOND": "2.2", "SPOTBATCH_PLATFORM_VERSION": "LATEST",
		"SPOTBATCH_REJECTED_QUEUE_URL": QueueURL("RejectedQueue"), "SPOTBATCH_RETENTION_DAYS": "30", "SPOTBATCH_RUNNER": "spotbatch",
		"SPOTBATCH_SECURITY_GROUPS": "sg-1", "SPOTBATCH_SUBNETS": "subnet-1,subnet-2", "SPOTBATCH_TABLE": "Table",
	}
	stack := resolved(t, load(t), deployment())
	for _, id := range []string{"SubmitFunction", "WatchFunction"} {
		if diff := cmp.Diff(want, environmentOf(stack, id)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
	settings, err := function.ReadSettings(func(name string) string { return want[name] })
	if err != nil || settings.LaunchesPerSecond != 2.2 || len(settings.AllowedFamilies) != 3 || len(settings.Subnets) != 2 {
		t.Errorf("the functions read %+v, %v", settings, err)
	}
	stack = resolved(t, load(t), map[string]string{
		"Subnets": "subnet-3", "SecurityGroups": "sg-2,sg-3", "TaskFamilies": "report,etl", "Example": "false", "Runner": "nightly",
		"LaunchesPerSecond": "12.5", "AssignPublicIp": "false", "PlatformVersion": "1.4.0", "ExecuteCommand": "true",
		"EventBusName": "jobs", "RetentionDays": "7",
	})
	maps.Copy(want, map[string]string{
		"SPOTBATCH_ALLOWED_FAMILIES": "report,etl", "SPOTBATCH_ASSIGN_PUBLIC_IP": "false", "SPOTBATCH_CLUSTER": "Cluster",
		"SPOTBATCH_EVENT_BUS": "jobs", "SPOTBATCH_EXECUTE_COMMAND": "true", "SPOTBATCH_LAUNCHES_PER_SECOND": "12.5",
		"SPOTBATCH_PLATFORM_VERSION": "1.4.0", "SPOTBATCH_RETENTION_DAYS": "7", "SPOTBATCH_RUNNER": "nightly",
		"SPOTBATCH_SECURITY_GROUPS": "sg-2,sg-3", "SPOTBATCH_SUBNETS": "subnet-3",
	})
	for _, id := range []string{"SubmitFunction", "WatchFunction"} {
		if diff := cmp.Diff(want, environmentOf(stack, id)); diff != "" {
			t.Errorf("%s with other parameters (-want +got):\n%s", id, diff)
		}
	}
	stack = resolved(t, load(t), with(map[string]string{"TaskFamilies": ""}))
	if got := environmentOf(stack, "SubmitFunction")["SPOTBATCH_ALLOWED_FAMILIES"]; got != "spotbatch-example" {
		t.Errorf("with the example alone the families are %q", got)
	}
}

// asynchronous is how often and until when (in seconds) Lambda repeats an invocation that nobody waits for. A request of a
// schedule or a rule is worth a try; a sweep that comes late is worth nothing, for the next one is there.
var asynchronous = map[string]struct{ retries, age int }{"SubmitFunction": {2, 21600}, "WatchFunction": {0, 60}}

// is tells whether a number is given and is this one: to leave it out is not to give 0.
func is(given *int, want int) bool { return given != nil && *given == want }

// asynchronousInvocations: whatever a schedule or a rule invokes, and fails, must end somewhere.
func asynchronousInvocations(s *Stack) []finding {
	var found []finding
	configs := map[string]invokeConfig{}
	for _, c := range all[invokeConfig](s, "AWS::Lambda::EventInvokeConfig") {
		configs[c.FunctionName] = c
	}
	for _, id := range s.OfType("AWS::Lambda::Function") {
		c, want := configs[id], asynchronous[id]
		if s.Resources[nameOf(c.DestinationConfig.OnFailure.Destination)].Type != "AWS::SQS::Queue" {
			found = append(found, finding{"Serverless-LambdaAsyncFailureDestination", id, "forgets invocations that fail"})
		}
		if !is(c.MaximumRetryAttempts, want.retries) || c.MaximumEventAgeInSeconds != want.age {
			found = append(found, finding{"asynchronous", id, "is repeated too often or not often enough"})
		}
	}
	return found
}

// eventSources: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
func eventSources(s *Stack) []finding {
	var found []finding
	queues, functions := all[queue](s, "AWS::SQS::Queue"), all[lambda](s, "AWS::Lambda::Function")
	for id, e := range all[eventSource](s, "AWS::Lambda::EventSourceMapping") {
		report := func(problem string) { found = append(found, finding{"event source", id, problem}) }
		least := 6*functions[e.FunctionName].Timeout + e.MaximumBatchingWindowInSeconds
		if after := queues[nameOf(e.EventSourceARN)].VisibilityTimeout; after < least || after > least+60 {
			report("its queue shows messages again too soon or too late")
		}
		if e.Enabled != nil && !*e.Enabled || e.FilterCriteria != nil {
			report("does not pass every message")
		}
		if !slices.Contains(e.FunctionResponseTypes, "ReportBatchItemFailures") {
			report("one failure fails the batch")
		}
		if e.BatchSize != 10 { // more need a window, and more time than the functions have
			report("its batches are not those that the functions are made for")
		}
		if e.ScalingConfig.MaximumConcurrency == nil {
			report("its concurrency has no cap, so the launch rate has none")
		}
	}
	return found
}

// recursiveLoops: a function that sends to the queue that invokes it is stopped after 16 rounds unless it says that this is
// meant; the SDK hands the chain on. https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
func recursiveLoops(s *Stack) []finding {
	var found []finding
	functions := all[lambda](s, "AWS::Lambda::Function")
	for _, e := range all[eventSource](s, "AWS::Lambda::EventSourceMapping") {
		f := functions[e.FunctionName]
		statements, err := s.Statements(nameOf(f.Role))
		sends, _ := Allowed(statements, Call{Action: "sqs:SendMessage", Resource: e.EventSourceARN})
		if err != nil || sends != (f.RecursiveLoop == "Allow") {
			found = append(found, finding{"recursive loop", e.FunctionName, "sends to its own queue, or allows a loop without need"})
		}
	}
	return found
}

func logGroups(s *Stack) []finding {
	var found []finding
	for _, id := range s.OfType("AWS::Logs::LogGroup") {
		if fmt.Sprint(s.Resources[id].Properties["RetentionInDays"]) != s.Parameters["LogRetentionDays"] {
			found = append(found, finding{"Serverless-CloudWatchLogGroupRetentionPeriod", id, "keeps its logs for ever, or otherwise"})
		}
	}
	return found
}
