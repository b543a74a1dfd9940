package awstemplate

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
)

// principals are the resources that hold permissions.
func principals(s *Stack) []string {
	return slices.Concat(s.OfType("AWS::IAM::Role"), s.OfType("AWS::IAM::ManagedPolicy"))
}

// own returns the statements that stand in a resource itself; those of a policy that is attached are checked there.
func own(s *Stack, id string) []Statement {
	alone := s.Resources[id]
	alone.Properties = maps.Clone(alone.Properties)
	delete(alone.Properties, "ManagedPolicyArns")
	statements, err := (&Stack{Resources: map[string]Resource{id: alone}}).Statements(id)
	if err != nil {
		return nil // managedPolicies reports it
	}
	return statements
}

func managedPolicies(s *Stack) []finding {
	var found []finding
	for _, id := range principals(s) {
		if _, err := s.Statements(id); err != nil {
			found = append(found, finding{"AwsSolutions-IAM4", id, "has a policy that is not of the template: " + err.Error()})
		}
	}
	return found
}

func wildcards(s *Stack) []finding {
	var found []finding
	for _, id := range principals(s) {
		for _, statement := range own(s, id) {
			for _, pattern := range slices.Concat(statement.Action, statement.Resource) {
				if strings.Contains(pattern, "*") {
					found = append(found, finding{"AwsSolutions-IAM5", id, pattern})
				}
			}
		}
	}
	return found
}

// onEverything are the actions that know no resource; all others name theirs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var onEverything = []string{
	"ecs:DescribeTaskDefinition", "ecs:ListTasks", "events:ListRuleNamesByTarget", "lambda:ListEventSourceMappings",
	"scheduler:ListSchedules", "servicequotas:GetAWSDefaultServiceQuota",
}

// conditions are the condition keys without which a call could reach beyond its purpose.
var conditions = map[string]string{
	"ecs:RunTask": "ecs:cluster", "ecs:ListTasks": "ecs:cluster", "ecs:TagResource": "ecs:CreateAction",
	"iam:PassRole": "iam:PassedToService", "events:PutEvents": "events:source",
}

// narrowCalls: what cfn-lint does not see, and what a reason for a wildcard must not cover.
func narrowCalls(s *Stack) []finding {
	var found []finding
	for _, id := range principals(s) {
		for _, statement := range own(s, id) {
			for _, action := range statement.Action {
				report := func(problem string) { found = append(found, finding{"narrow", id, action + " " + problem}) }
				if slices.Contains(statement.Resource, "*") != slices.Contains(onEverything, action) {
					report("is on everything, or is narrowed to what it does not know")
				}
				elsewhere := func(r string) bool { return !strings.Contains(r, ":task-definition/") }
				if action == "ecs:RunTask" && slices.ContainsFunc(statement.Resource, elsewhere) {
					report("is not on a task definition")
				}
				key := conditions[action]
				if key == "" {
					continue
				}
				guarded := false
				for _, keys := range statement.Condition {
					guarded = guarded || len(keys[key]) > 0
				}
				if !guarded {
					report("is without " + key)
				}
			}
		}
	}
	return found
}

// separatePolicies: a policy that is attached to a role apart from it may come after the event source that needs it.
func separatePolicies(s *Stack) []finding {
	var found []finding
	for _, id := range slices.Concat(s.OfType("AWS::IAM::Policy"), s.OfType("AWS::IAM::RolePolicy")) {
		found = append(found, finding{"late permission", id, "belongs into its role"})
	}
	return found
}

// trusted is the service that may take each role, and whether for this account alone, as AWS asks for of schedules and tasks.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
var trusted = map[string]struct {
	service string
	account bool
}{
	"SubmitRole": {"lambda", false}, "WatchRole": {"lambda", false}, "ExampleExecutionRole": {"ecs-tasks", false},
	"SweepRole": {"scheduler", true}, "ExampleScheduleRole": {"scheduler", true}, "ExampleTaskRole": {"ecs-tasks", true},
}

func trusts(s *Stack) []finding {
	var found []finding
	type properties struct {
		AssumeRolePolicyDocument struct{ Statement []Statement }
	}
	for id, role := range all[properties](s, "AWS::IAM::Role") {
		want := Statement{
			Effect: "Allow", Action: list{"sts:AssumeRole"}, Principal: map[string]any{"Service": trusted[id].service + ".amazonaws.com"},
		}
		if trusted[id].account {
			want.Condition = map[string]map[string]list{"StringEquals": {"aws:SourceAccount": {Account}}}
		}
		if diff := cmp.Diff([]Statement{want}, role.AssumeRolePolicyDocument.Statement); diff != "" {
			found = append(found, finding{"trust", id, diff})
		}
	}
	return found
}
