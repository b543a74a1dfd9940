package awstemplate

import (
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
		if f.Timeout > limit {
			report("function", id, "may live longer than the engine believes")
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

// contract are the variables that the functions read: DESIGN's section 10, and what they read if it is there.
var contract = []string{
	"SPOTBATCH_ALLOWED_FAMILIES", "SPOTBATCH_ASSIGN_PUBLIC_IP", "SPOTBATCH_CLUSTER", "SPOTBATCH_EVENTS_QUEUE_URL",
	"SPOTBATCH_EVENT_BUS", "SPOTBATCH_EXECUTE_COMMAND", "SPOTBATCH_LAUNCHES_PER_SECOND", "SPOTBATCH_PLATFORM_VERSION",
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
		"SPOTBATCH_EXECUTE_COMMAND": "false", "SPOTBATCH_LAUNCHES_PER_SECOND": "2.5", "SPOTBATCH_PLATFORM_VERSION": "LATEST",
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
	if err != nil || settings.LaunchesPerSecond != 2.5 || len(settings.AllowedFamilies) != 3 || len(settings.Subnets) != 2 {
		t.Errorf("the functions read %+v, %v", settings, err)
	}
	stack = resolved(t, load(t), with(map[string]string{"Example": "false", "LaunchesPerSecond": "12.5", "ClusterName": ""}))
	got := environmentOf(stack, "SubmitFunction")
	for name, want := range map[string]string{
		"SPOTBATCH_ALLOWED_FAMILIES": "report,etl", "SPOTBATCH_LAUNCHES_PER_SECOND": "12.5", "SPOTBATCH_CLUSTER": "Cluster",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// asynchronousInvocations: whatever a schedule or a rule invokes, and fails, must end somewhere.
func asynchronousInvocations(s *Stack) []finding {
	var found []finding
	configs := all[invokeConfig](s, "AWS::Lambda::EventInvokeConfig")
	for _, id := range s.OfType("AWS::Lambda::Function") {
		ends := false
		for _, c := range configs {
			queue := nameOf(c.DestinationConfig.OnFailure.Destination)
			ends = ends || c.FunctionName == id && s.Resources[queue].Type == "AWS::SQS::Queue"
		}
		if !ends {
			found = append(found, finding{"Serverless-LambdaAsyncFailureDestination", id, "forgets invocations that fail"})
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
		if queues[nameOf(e.EventSourceARN)].VisibilityTimeout < least {
			report("its queue shows messages again too soon")
		}
		if !slices.Contains(e.FunctionResponseTypes, "ReportBatchItemFailures") {
			report("one failure fails the batch")
		}
		if e.BatchSize > 10 && e.MaximumBatchingWindowInSeconds < 1 {
			report("a batch of more than 10 needs a window")
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
		if s.Resources[id].Properties["RetentionInDays"] == nil {
			found = append(found, finding{"Serverless-CloudWatchLogGroupRetentionPeriod", id, "keeps its logs for ever"})
		}
	}
	return found
}
