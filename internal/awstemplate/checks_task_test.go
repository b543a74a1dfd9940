package awstemplate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func table(s *Stack) []finding {
	var found []finding
	type properties struct {
		BillingMode                      string
		PointInTimeRecoverySpecification struct{ PointInTimeRecoveryEnabled bool }
		SSESpecification                 struct{ SSEEnabled bool }
		TimeToLiveSpecification          struct {
			AttributeName string
			Enabled       bool
		}
		DeletionProtectionEnabled any
	}
	for id, p := range all[properties](s, "AWS::DynamoDB::Table") {
		if !p.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled {
			found = append(found, finding{"AwsSolutions-DDB3", id, "cannot be recovered"})
		}
		ttl := p.TimeToLiveSpecification
		if p.BillingMode != "PAY_PER_REQUEST" || !p.SSESpecification.SSEEnabled || ttl.AttributeName != "expiresAt" || !ttl.Enabled {
			found = append(found, finding{"table", id, "is not paid by request, not encrypted or never forgets"})
		}
		if r := s.Resources[id]; r.DeletionPolicy != "RetainExceptOnCreate" || r.UpdateReplacePolicy != "Retain" {
			found = append(found, finding{"table", id, "goes with its stack, or stays when the first deployment fails"})
		}
		if fmt.Sprint(p.DeletionProtectionEnabled) != s.Parameters["DeletionProtection"] {
			found = append(found, finding{"table", id, "is not protected as the parameter says"})
		}
	}
	return found
}

func clusters(s *Stack) []finding {
	var found []finding
	type properties struct {
		CapacityProviders []string
		ClusterSettings   []struct{ Name, Value string }
	}
	for id, c := range all[properties](s, "AWS::ECS::Cluster") {
		slices.Sort(c.CapacityProviders)
		if !slices.Equal(c.CapacityProviders, []string{"FARGATE", "FARGATE_SPOT"}) {
			found = append(found, finding{"cluster", id, "does not have the two capacity providers"})
		}
		insights := slices.ContainsFunc(c.ClusterSettings, func(x struct{ Name, Value string }) bool {
			return x.Name == "containerInsights" && x.Value != "disabled"
		})
		if !insights {
			found = append(found, finding{"AwsSolutions-ECS4", id, "has no Container Insights"})
		}
	}
	for _, id := range s.OfType("AWS::ECS::ClusterCapacityProviderAssociations") {
		found = append(found, finding{"cluster", id, "replaces the list of a cluster"})
	}
	return found
}

func taskDefinitions(s *Stack) []finding {
	var found []finding
	type properties struct {
		Family                  string
		TaskRoleARN             string `json:"TaskRoleArn"`
		ExecutionRoleARN        string `json:"ExecutionRoleArn"`
		CPU, Memory             string
		NetworkMode             string
		RequiresCompatibilities []string
		RuntimePlatform         struct{ CPUArchitecture, OperatingSystemFamily string }
		ContainerDefinitions    []struct {
			User                   string
			ReadonlyRootFilesystem bool
			StopTimeout            int
			Environment            []any
			LogConfiguration       struct {
				LogDriver string
				Options   map[string]string
			}
		}
	}
	for id, d := range all[properties](s, "AWS::ECS::TaskDefinition") {
		report := func(rule, problem string) { found = append(found, finding{rule, id, problem}) }
		_, err := spot.ParseSize(d.CPU, d.Memory)
		if err != nil || d.NetworkMode != "awsvpc" || !slices.Equal(d.RequiresCompatibilities, []string{"FARGATE"}) {
			report("task definition", "is not for Fargate")
		}
		if p := d.RuntimePlatform; p.CPUArchitecture != "ARM64" || p.OperatingSystemFamily != "LINUX" {
			report("task definition", "runs on another processor, which costs more")
		}
		// What the policies and the outputs call it, and the roles that the functions may pass.
		if d.Family != StackName+"-example" || nameOf(d.TaskRoleARN) != "ExampleTaskRole" ||
			nameOf(d.ExecutionRoleARN) != "ExampleExecutionRole" || len(d.ContainerDefinitions) != 1 {
			report("task definition", "is not the example that everything else speaks of")
		}
		for _, c := range d.ContainerDefinitions {
			log := c.LogConfiguration
			if log.LogDriver != "awslogs" || s.Resources[log.Options["awslogs-group"]].Type != "AWS::Logs::LogGroup" {
				report("AwsSolutions-ECS7", "does not log")
			}
			if len(c.Environment) > 0 {
				report("AwsSolutions-ECS2", "has variables of its own")
			}
			if c.User == "" || strings.HasPrefix(c.User, "0") || c.User == "root" || !c.ReadonlyRootFilesystem {
				report("task definition", "may do more than it needs")
			}
			// 120 is the most there is: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
			if c.StopTimeout != 120 {
				report("task definition", "does not use the two minutes of Spot's notice")
			}
		}
	}
	return found
}

type deadLetters struct {
	ARN string `json:"Arn"`
}

type rule struct {
	State, EventBusName string
	EventPattern        map[string]any
	Targets             []struct {
		ARN              string `json:"Arn"`
		DeadLetterConfig deadLetters
	}
}

// rules: a target that refuses its rule is noticed by nobody but an alarm.
func rules(s *Stack) []finding {
	var found []finding
	for id, r := range all[rule](s, "AWS::Events::Rule") {
		// AWS's own events come on the default bus alone: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events.html
		if r.State != "" || r.EventBusName != "" {
			found = append(found, finding{"rule", id, "is disabled, or on a bus where its events do not come"})
		}
		if _, err := Match(r.EventPattern, map[string]any{}); err != nil {
			found = append(found, finding{"rule", id, err.Error()})
		}
		if detailType, ok := r.EventPattern["detail-type"].([]any); !ok || len(detailType) == 0 {
			found = append(found, finding{"rule", id, "its detail-type is no list"})
		}
		if len(r.Targets) == 0 {
			found = append(found, finding{"rule", id, "sends its events nowhere"})
		}
		for _, target := range r.Targets {
			if target.DeadLetterConfig.ARN == "" {
				found = append(found, finding{"Serverless-EventBusDLQ", id, "has a target without dead-letter queue"})
			}
			for _, queue := range []string{target.ARN, target.DeadLetterConfig.ARN} {
				call := Call{Action: "sqs:SendMessage", Resource: queue, Context: map[string]string{
					"aws:SourceArn": arn("events", "rule/"+id), "aws:SourceAccount": Account, "aws:SecureTransport": "true",
				}}
				statements, err := s.QueuePolicy(nameOf(queue))
				if ok, _ := Allowed(statements, call); err != nil || !ok {
					found = append(found, finding{"rule", id, "may not send to " + queue})
				}
			}
		}
	}
	return found
}

type schedule struct {
	State, ScheduleExpression string
	FlexibleTimeWindow        struct{ Mode string }
	Target                    struct {
		ARN              string `json:"Arn"`
		RoleARN          string `json:"RoleArn"`
		Input            string
		RetryPolicy      struct{ MaximumRetryAttempts, MaximumEventAgeInSeconds *int } // by default 185 and a day
		DeadLetterConfig deadLetters
	}
}

func schedules(s *Stack) []finding {
	var found []finding
	for id, sc := range all[schedule](s, "AWS::Scheduler::Schedule") {
		statements, err := s.Statements(nameOf(sc.Target.RoleARN))
		action := "sqs:SendMessage"
		if strings.Contains(sc.Target.ARN, ":function:") {
			action = "lambda:InvokeFunction"
		}
		for _, call := range []Call{
			{Action: action, Resource: sc.Target.ARN}, {Action: "sqs:SendMessage", Resource: sc.Target.DeadLetterConfig.ARN},
		} {
			if ok, _ := Allowed(statements, call); err != nil || !ok {
				found = append(found, finding{"schedule", id, "may not " + call.Action + " to " + call.Resource})
			}
		}
		if id == "SweepSchedule" {
			found = append(found, sweep(id, sc)...)
		} else {
			found = append(found, jobSchedule(id, sc)...)
		}
	}
	return found
}

// sweep: once a minute, and one that comes late is worth nothing, for the next one is there.
func sweep(id string, sc schedule) []finding {
	var found []finding
	if sc.State != "" || sc.ScheduleExpression != "rate(1 minute)" || sc.FlexibleTimeWindow.Mode != "OFF" {
		found = append(found, finding{"sweep", id, "does not come once a minute"})
	}
	if r := sc.Target.RetryPolicy; !is(r.MaximumRetryAttempts, 0) || !is(r.MaximumEventAgeInSeconds, 60) {
		found = append(found, finding{"sweep", id, "is repeated"})
	}
	delivery, err := intake.Parse([]byte(sc.Target.Input))
	if err != nil || len(delivery.Items) != 1 || delivery.Items[0].Kind != intake.Sweep || delivery.Items[0].Err != nil {
		found = append(found, finding{"sweep", id, "its input is no sweep"})
	}
	return found
}

// jobSchedule: EventBridge Scheduler replaces its attributes in the text of the input, so they must stand there to the letter.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func jobSchedule(id string, sc schedule) []finding {
	var found []finding
	if sc.State != "DISABLED" {
		found = append(found, finding{"schedule", id, "fires by itself"})
	}
	fired := strings.NewReplacer(`"<aws.scheduler.schedule-arn>"`, `"arn:aws:scheduler:us-east-1:123456789012:schedule/default/x"`,
		`"<aws.scheduler.scheduled-time>"`, `"2026-11-22T03:00:00Z"`).Replace(sc.Target.Input)
	delivery, err := intake.Parse([]byte(fired))
	if err != nil || strings.Contains(fired, "aws.scheduler.") {
		return append(found, finding{"schedule", id, "its attributes are not replaced"})
	}
	if _, err := jobs.ParseRequest(delivery.Items[0].Request); err != nil || delivery.Items[0].ID() == "" {
		found = append(found, finding{"schedule", id, "its input is no job request"})
	}
	return found
}

// The commands of the outputs are what somebody copies: their requests must be requests.
func TestTheOutputsSubmitJobs(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	for output, body := range map[string]func(string) string{
		"FirstJob":        func(command string) string { return between(command, "--payload '", "'") },
		"FirstJobByQueue": func(command string) string { return between(command, "--message-body '", "'") },
		"FirstJobByEvent": func(command string) string {
			var entries []struct{ Source, DetailType, Detail string }
			if err := json.Unmarshal([]byte(between(command, "--entries '", "'")), &entries); err != nil || len(entries) != 1 {
				t.Fatalf("%s: %v", command, err)
			}
			var detail map[string]any
			if err := json.Unmarshal([]byte(entries[0].Detail), &detail); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			event := map[string]any{"source": entries[0].Source, "detail-type": entries[0].DetailType, "detail": detail}
			pattern := stack.Resources["ExampleRule"].Properties["EventPattern"].(map[string]any)
			if ok, err := Match(pattern, event); err != nil || !ok {
				t.Errorf("the example's rule does not take %v", event)
			}
			detail["taskDefinition"] = "other-example"
			if ok, err := Match(pattern, event); err != nil || ok {
				t.Error("the example's rule takes the example of another stack")
			}
			return entries[0].Detail
		},
	} {
		request, err := jobs.ParseRequest([]byte(body(stack.Outputs[output])))
		if err != nil || request.TaskDefinition != "spotbatch-example" {
			t.Errorf("%s: %v", output, err)
		}
	}
}

func between(text, from, to string) string {
	_, rest, _ := strings.Cut(text, from)
	inner, _, _ := strings.Cut(rest, to)
	return inner
}
