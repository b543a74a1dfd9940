package awstemplate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestIAMEvaluation(t *testing.T) {
	t.Parallel()
	const queue = "arn:aws:sqs:us-east-1:123456789012:jobs"
	allow := func(rest string) string {
		return `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"` + rest + `}`
	}
	const deny = `,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`
	for name, c := range map[string]struct {
		statements string
		context    map[string]string
		want       bool
	}{
		"nothing said is denied":       {``, nil, false},
		"the very action and resource": {`{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"` + queue + `"}`, nil, true},
		"another action":               {`{"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"*"}`, nil, false},
		"another resource":             {`{"Effect":"Allow","Action":"sqs:*","Resource":"` + queue + `2"}`, nil, false},
		"one of several": {
			`{"Effect":"Allow","Action":["sqs:Get*","SQS:send*"],"Resource":["a","arn:aws:sqs:*:jobs"]}`,
			nil, true,
		},
		"a question mark is one character": {
			`{"Effect":"Allow","Action":"sqs:SendMessag?","Resource":"` + queue + `?"}`,
			nil, false,
		},
		"a denial beats what is allowed":    {allow(``) + `,{"Effect":"Deny","Action":"*","Resource":"*"}`, nil, false},
		"a denial whose condition fails":    {allow(``) + deny, map[string]string{"aws:SecureTransport": "true"}, true},
		"a denial whose condition holds":    {allow(``) + deny, map[string]string{"aws:SecureTransport": "false"}, false},
		"a condition key that is not given": {allow(`,"Condition":{"StringEquals":{"k":"v"}}`), nil, false},
		"IfExists without the key":          {allow(`,"Condition":{"StringEqualsIfExists":{"k":"v"}}`), nil, true},
		"IfExists with another value": {
			allow(`,"Condition":{"StringEqualsIfExists":{"k":"v"}}`),
			map[string]string{"k": "w"},
			false,
		},
		"one of several values": {
			allow(`,"Condition":{"StringEquals":{"k":["u","v"]}}`),
			map[string]string{"K": "v"},
			true,
		},
		"StringEquals knows no wildcard": {allow(`,"Condition":{"StringEquals":{"k":"v*"}}`), map[string]string{"k": "vv"}, false},
		"StringLike does":                {allow(`,"Condition":{"StringLike":{"k":"v*"}}`), map[string]string{"k": "vv"}, true},
		"StringNotEquals": {
			allow(`,"Condition":{"StringNotEquals":{"k":"v"}}`),
			map[string]string{"k": "v"},
			false,
		},
		"StringNotEquals without the key": {allow(`,"Condition":{"StringNotEquals":{"k":"v"}}`), nil, true},
		"ForAnyValue": {
			allow(`,"Condition":{"ForAnyValue:StringEquals":{"k":["v"]}}`),
			map[string]string{"k": "v"},
			true,
		},
		"every key must hold": {
			allow(`,"Condition":{"StringEquals":{"k":"v","l":"v"}}`),
			map[string]string{"k": "v"},
			false,
		},
		"ArnLike within a part": {
			allow(`,"Condition":{"ArnLike":{"k":"arn:aws:events:us-east-1:1:rule/*/r-*"}}`),
			map[string]string{"k": "arn:aws:events:us-east-1:1:rule/bus/r-1"},
			true,
		},
		"ArnLike does not reach across": {
			allow(`,"Condition":{"ArnLike":{"k":"arn:aws:events:*:rule/r"}}`),
			map[string]string{"k": "arn:aws:events:us-east-1:1:rule/r"},
			false,
		},
		"ArnEquals of what is no ARN at all": {allow(`,"Condition":{"ArnEquals":{"k":"*"}}`), map[string]string{"k": "x"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var statements []Statement
			if err := json.Unmarshal([]byte("["+c.statements+"]"), &statements); err != nil {
				t.Fatal(err)
			}
			got, err := Allowed(statements, Call{Action: "sqs:SendMessage", Resource: queue, Context: c.context})
			if err != nil || got != c.want {
				t.Errorf("got %v, %v, want %v", got, err, c.want)
			}
		})
	}
	unknown := Statement{Effect: "Allow", Condition: map[string]map[string]list{"NumericEquals": {"k": nil}}}
	if _, err := Allowed([]Statement{unknown}, Call{}); err == nil {
		t.Error("a condition operator that is not understood was evaluated")
	}
}

// holders are the resources that hold a caller's permissions, where they are not named as the caller.
var holders = map[string]string{"submit": "SubmitRole", "watch": "WatchRole"}

func calls(t *testing.T) []Call {
	t.Helper()
	all, err := Calls()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func statementsOf(t *testing.T, stack *Stack, caller string) []Statement {
	t.Helper()
	holder, ok := holders[caller]
	if !ok {
		holder = caller
	}
	statements, err := stack.Statements(holder)
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

func TestEveryCallThatIsMadeIsAllowed(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	for _, call := range calls(t) {
		if ok, err := Allowed(statementsOf(t, stack, call.Caller), call); err != nil || !ok {
			t.Errorf("%s may not %s on %s: %v", call.Caller, call.Action, call.Resource, err)
		}
	}
}

// padding is what fills the slots that TaskFamilies leaves: no family is named so.
func padding(resource string) bool { return strings.HasSuffix(resource, ":task-definition/.:*") }

func TestNothingIsAllowedThatNobodyCalls(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	all := calls(t)
	for _, id := range slices.Concat(stack.OfType("AWS::IAM::Role"), stack.OfType("AWS::IAM::ManagedPolicy")) {
		if id == "EnginePolicy" || id == "ExampleTaskRole" { // attached to both roles; allows nothing
			continue
		}
		statements, err := stack.Statements(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			for _, action := range s.Action {
				for _, resource := range s.Resource {
					one := Statement{Effect: s.Effect, Action: list{action}, Resource: list{resource}, Condition: s.Condition}
					needed := slices.ContainsFunc(all, func(call Call) bool {
						applies, err := one.Applies(call)
						return err == nil && applies && (call.Caller == id || holders[call.Caller] == id)
					})
					if !needed && !padding(resource) {
						t.Errorf("%s allows %s on %s, and no call needs it", id, action, resource)
					}
				}
			}
		}
	}
}

// IAM takes 6,144 characters of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestTenFamiliesWithTheirRolesAndLogsFitIntoThePolicies(t *testing.T) {
	t.Parallel()
	var families, roles, logs []string
	for i := range 10 {
		families = append(families, fmt.Sprintf("department-some-nightly-report-%d", i))
		logs = append(logs, fmt.Sprintf("arn:aws:logs:us-east-1:123456789012:log-group:/ecs/department-some-nightly-report-%d:*", i))
		for _, kind := range []string{"task", "execution"} {
			role := fmt.Sprintf("arn:aws:iam::123456789012:role/department-some-nightly-report-%d-%s-role-ABCDEFGHIJKL", i, kind)
			roles = append(roles, role)
		}
	}
	stack := resolved(t, load(t), with(map[string]string{
		"TaskFamilies": strings.Join(families, ","), "PassRoleArns": strings.Join(roles, ","),
		"TaskLogGroupArns": strings.Join(logs, ","),
	}))
	for _, id := range stack.OfType("AWS::IAM::ManagedPolicy") {
		text, err := json.Marshal(stack.Resources[id].Properties["PolicyDocument"])
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 6144-1000 { // generated names are longer than the logical ones
			t.Errorf("%s has %d characters", id, len(text))
		}
	}
}

func TestARoleAllowsNothingBesides(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	const (
		cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/spotbatch"
		other   = "arn:aws:ecs:us-east-1:123456789012:cluster/other"
		task    = "arn:aws:ecs:us-east-1:123456789012:task/"
		family  = "arn:aws:ecs:us-east-1:123456789012:task-definition/"
		role    = "arn:aws:iam::123456789012:role/"
		table   = "arn:aws:dynamodb:us-east-1:123456789012:table/"
		queue   = "arn:aws:sqs:us-east-1:123456789012:"
		logs    = "arn:aws:logs:us-east-1:123456789012:log-group:"
		lambda  = "arn:aws:lambda:us-east-1:123456789012:function:"
		bus     = "arn:aws:events:us-east-1:123456789012:event-bus/"
	)
	in := func(c string) map[string]string { return map[string]string{"ecs:cluster": c} }
	passed := func(to string) map[string]string { return map[string]string{"iam:PassedToService": to} }
	both := map[string]Call{
		"another family":              {Action: "ecs:RunTask", Resource: family + "other:1", Context: in(cluster)},
		"a family with a longer name": {Action: "ecs:RunTask", Resource: family + "report-2:1", Context: in(cluster)},
		"a family in another cluster": {Action: "ecs:RunTask", Resource: family + "report:1", Context: in(other)},
		"a family in no cluster":      {Action: "ecs:RunTask", Resource: family + "report:1"},
		"a family in another Region": {
			Action: "ecs:RunTask", Resource: "arn:aws:ecs:eu-west-1:123456789012:task-definition/report:1",
			Context: in(cluster),
		},
		"a task of another cluster":  {Action: "ecs:StopTask", Resource: task + "other/1"},
		"a task of a longer cluster": {Action: "ecs:DescribeTasks", Resource: task + "spotbatch-2/1"},
		"tasks of another cluster":   {Action: "ecs:ListTasks", Resource: "*", Context: in(other)},
		"a tag on a running task":    {Action: "ecs:TagResource", Resource: task + "spotbatch/1"},
		"a tag on another creation": {
			Action: "ecs:TagResource", Resource: task + "spotbatch/1",
			Context: map[string]string{"ecs:CreateAction": "CreateService"},
		},
		"a new revision": {Action: "ecs:RegisterTaskDefinition", Resource: "*"},
		"ECS Exec":       {Action: "ecs:ExecuteCommand", Resource: task + "spotbatch/1"},
		"another role": {
			Action: "iam:PassRole", Resource: role + "admin",
			Context: passed("ecs-tasks.amazonaws.com"),
		},
		"its own role": {
			Action: "iam:PassRole", Resource: role + "SubmitRole",
			Context: passed("ecs-tasks.amazonaws.com"),
		},
		"a role to another service": {
			Action: "iam:PassRole", Resource: role + "report-task",
			Context: passed("lambda.amazonaws.com"),
		},
		"another table":         {Action: "dynamodb:PutItem", Resource: table + "Other"},
		"an item's deletion":    {Action: "dynamodb:DeleteItem", Resource: table + "Table"},
		"the whole table":       {Action: "dynamodb:Scan", Resource: table + "Table"},
		"the index of the list": {Action: "dynamodb:Query", Resource: table + "Table/index/list"},
		"another queue":         {Action: "sqs:SendMessage", Resource: queue + "Other"},
		"a queue's policy":      {Action: "sqs:SetQueueAttributes", Resource: queue + "JobsQueue"},
		"dead letters, to send": {Action: "sqs:SendMessage", Resource: queue + "JobsDeadLetterQueue"},
		"an event in another's name": {
			Action: "events:PutEvents", Resource: bus + "default",
			Context: map[string]string{"events:source": "aws.ecs"},
		},
		"an event on another bus": {
			Action: "events:PutEvents", Resource: bus + "other",
			Context: map[string]string{"events:source": "spotbatch"},
		},
		"the log of a job":              {Action: "logs:PutLogEvents", Resource: logs + "ExampleLogGroup:log-stream:x"},
		"a function":                    {Action: "lambda:InvokeFunction", Resource: lambda + "SubmitFunction"},
		"somebody's secret":             {Action: "secretsmanager:GetSecretValue", Resource: "*"},
		"a family that is but padding":  {Action: "ecs:RunTask", Resource: family + "x.:1", Context: in(cluster)},
		"a family that begins with dot": {Action: "ecs:RunTask", Resource: family + ".x:1", Context: in(cluster)},
	}
	single := map[string]Call{
		"watch, a definition":            {Caller: "watch", Action: "ecs:DescribeTaskDefinition", Resource: "*"},
		"watch, the rejected queue":      {Caller: "watch", Action: "sqs:SendMessage", Resource: queue + "RejectedQueue"},
		"watch, the jobs queue":          {Caller: "watch", Action: "sqs:ReceiveMessage", Resource: queue + "JobsQueue"},
		"submit, the index of due times": {Caller: "submit", Action: "dynamodb:Query", Resource: table + "Table/index/due"},
		"submit, the events queue":       {Caller: "submit", Action: "sqs:ReceiveMessage", Resource: queue + "EventsQueue"},
		"an operator, a write":           {Caller: "OperatorPolicy", Action: "dynamodb:PutItem", Resource: table + "Table"},
		"an operator, watch": {
			Caller: "OperatorPolicy", Action: "lambda:InvokeFunction",
			Resource: lambda + "WatchFunction",
		},
		"an operator, a task": {
			Caller: "OperatorPolicy", Action: "ecs:RunTask", Resource: family + "report:1",
			Context: in(cluster),
		},
		"an operator, a message": {Caller: "OperatorPolicy", Action: "sqs:ReceiveMessage", Resource: queue + "JobsDeadLetterQueue"},
		"an operator, another function": {
			Caller: "OperatorPolicy", Action: "lambda:GetFunctionConfiguration",
			Resource: lambda + "Other",
		},
		"an operator, the sweep's pause": {
			Caller: "OperatorPolicy", Action: "scheduler:UpdateSchedule",
			Resource: "arn:aws:scheduler:us-east-1:123456789012:schedule/SweepGroup/SweepSchedule",
		},
		"an operator, another log": {
			Caller: "OperatorPolicy", Action: "logs:GetLogEvents",
			Resource: logs + "/jobs/report2:log-stream:x",
		},
		"the sweep's schedule, submit":   {Caller: "SweepRole", Action: "lambda:InvokeFunction", Resource: lambda + "SubmitFunction"},
		"the example's schedule, events": {Caller: "ExampleScheduleRole", Action: "sqs:SendMessage", Resource: queue + "EventsQueue"},
		"the example's task, its own log": {
			Caller: "ExampleTaskRole", Action: "logs:PutLogEvents",
			Resource: logs + "ExampleLogGroup:log-stream:x",
		},
	}
	for name, call := range both {
		for _, caller := range []string{"submit", "watch"} {
			call.Caller = caller
			single[caller+", "+name] = call
		}
	}
	for name, call := range single {
		if ok, err := Allowed(statementsOf(t, stack, call.Caller), call); err != nil || ok {
			t.Errorf("allowed: %s: %s on %s: %v", name, call.Action, call.Resource, err)
		}
	}
}

// What a queue's policy says to a service that has no role.
func TestAQueueTakesEventsFromItsRulesAlone(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	for name, c := range map[string]struct {
		queue, rule string
		want        bool
	}{
		"task events":                                   {"EventsQueue", "rule/TaskRule", true},
		"task events from another rule":                 {"EventsQueue", "rule/spotbatch-mine", false},
		"task events that could not be delivered":       {"EventsDeadLetterQueue", "rule/TaskRule", true},
		"the example's events that could not":           {"JobsDeadLetterQueue", "rule/ExampleRule", true},
		"another rule's dead letters":                   {"EventsDeadLetterQueue", "rule/spotbatch-mine", false},
		"a job request from the example's rule":         {"JobsQueue", "rule/ExampleRule", true},
		"a job request from a rule of the user's":       {"JobsQueue", "rule/spotbatch-nightly", true},
		"a job request from a rule on a bus of theirs":  {"JobsQueue", "rule/orders/spotbatch-nightly", true},
		"a job request from a rule of another name":     {"JobsQueue", "rule/nightly", false},
		"a job request from a rule of a longer name":    {"JobsQueue", "rule/my-spotbatch-nightly", false},
		"a job request of a rule to the rejected queue": {"RejectedQueue", "rule/spotbatch-nightly", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, secure := range []bool{true, false} {
				call := Call{Action: "sqs:SendMessage", Resource: arn("sqs", c.queue), Context: map[string]string{
					"aws:SourceArn": arn("events", c.rule), "aws:SourceAccount": Account, "aws:SecureTransport": fmt.Sprint(secure),
				}}
				statements, err := stack.QueuePolicy(c.queue)
				if err != nil {
					t.Fatal(err)
				}
				got, err := Allowed(statements, call)
				if err != nil || got != (c.want && secure) {
					t.Errorf("allowed: %v, %v; want %v (TLS: %v)", got, err, c.want && secure, secure)
				}
			}
		})
	}
}
