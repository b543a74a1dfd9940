package awstemplate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/function"
)

// edges are values that each parameter just takes, and just refuses.
var edges = map[string]struct{ takes, refuses []string }{
	"Runner":            {[]string{"a", "My_r-1", strings.Repeat("a", 32)}, []string{"", "a/b", "a b", strings.Repeat("a", 33)}},
	"ClusterName":       {[]string{"", "spotbatch"}, []string{"arn:aws:ecs:us-east-1:123456789012:cluster/x", "a*"}},
	"AssignPublicIp":    {[]string{"true", "false"}, []string{"", "yes"}},
	"PlatformVersion":   {[]string{"LATEST", "1.4.0"}, []string{"", "1.4", "latest"}},
	"ExecuteCommand":    {[]string{"true", "false"}, []string{"", "yes"}},
	"TaskFamilies":      {[]string{"", "a", "a,b,c,d,e,f,g,h,i,j"}, []string{"a,", "a, b", "a:1", "*", "a,b,c,d,e,f,g,h,i,j,k"}},
	"Example":           {[]string{"true", "false"}, []string{"", "yes"}},
	"Concurrency":       {[]string{"2", "20"}, []string{"1", "3", "21"}},
	"LaunchesPerSecond": {[]string{"", "0.001", "0.5", "1", "20", "999.9"}, []string{"0", "0.0", "0.", "-1", "1e2", "1000", "5000"}},
	"RetentionDays":     {[]string{"1", "3650"}, []string{"", "0", "3651"}},
	"LogRetentionDays":  {[]string{"1", "3653"}, []string{"0", "2"}},
	"EventBusName":      {[]string{"default", "jobs"}, []string{"", "a b", "*"}},
	"AlarmTopicArn":     {[]string{"", "arn:aws:sns:us-east-1:123456789012:alarms"}, []string{"alarms", "arn:aws:sns:*:1:a"}},
	"DeletionProtection": {
		[]string{"true", "false"},
		[]string{"", "yes"},
	},
	"PassRoleArns": {
		[]string{"", "arn:aws:iam::123456789012:role/a", "arn:aws-cn:iam::123456789012:role/team/a,arn:aws:iam::123456789012:role/b"},
		[]string{"*", "a", "arn:aws:iam::123456789012:role/*", "arn:aws:iam::*:role/a", "arn:aws:iam::123456789012:role/a,*"},
	},
	"TaskLogGroupArns": {
		[]string{"", "arn:aws:logs:us-east-1:123456789012:log-group:/jobs/report:*"},
		[]string{"*", "arn:aws:logs:us-east-1:123456789012:log-group:/jobs/report", "arn:aws:logs:*:123456789012:log-group:*:*"},
	},
}

// parameterEdges: what the functions do not take must be refused before anything is deployed.
func parameterEdges(template *Template) []finding {
	var found []finding
	for name, p := range template.Parameters {
		if _, known := edges[name]; !known && !strings.HasPrefix(p.Type, "List<AWS::") {
			found = append(found, finding{"parameter", name, "nobody looks what it takes"})
		}
		for _, value := range edges[name].takes {
			if err := p.Check(value); err != nil {
				found = append(found, finding{"parameter", name, err.Error()})
			}
		}
		for _, value := range edges[name].refuses {
			if p.Check(value) == nil {
				found = append(found, finding{"parameter", name, fmt.Sprintf("takes %q", value)})
			}
		}
	}
	return found
}

// somethingMayRun: without the example and without families of one's own every family would be allowed.
func somethingMayRun(template *Template) []finding {
	_, err := template.Resolve(with(map[string]string{"Example": "false", "TaskFamilies": ""}))
	if err == nil || !strings.Contains(err.Error(), "SomethingMayRun") {
		return []finding{{"parameter", "TaskFamilies", fmt.Sprintf("nothing may run: %v", err)}}
	}
	return nil
}

// outputs are what the command line and the pages name. FirstJob and its like are tried in TestTheOutputsSubmitJobs.
func outputs(s *Stack) []finding {
	move := func(from, to string) string {
		return "aws sqs start-message-move-task --region us-east-1" +
			" --source-arn " + arn("sqs", from) + " --destination-arn " + arn("sqs", to)
	}
	want := map[string]string{
		"Runner": s.Parameters["Runner"], "Table": "Table", "Cluster": environmentOf(s, "WatchFunction")["SPOTBATCH_CLUSTER"],
		"SubmitFunction": "SubmitFunction", "SubmitLogGroup": "SubmitLogGroup",
		"WatchFunction": "WatchFunction", "WatchLogGroup": "WatchLogGroup",
		"JobsQueueUrl": QueueURL("JobsQueue"), "JobsQueueArn": arn("sqs", "JobsQueue"),
		"EventsQueueUrl": QueueURL("EventsQueue"), "RejectedQueueUrl": QueueURL("RejectedQueue"),
		"RedriveJobs":       move("JobsDeadLetterQueue", "JobsQueue"),
		"RedriveEvents":     move("EventsDeadLetterQueue", "EventsQueue"),
		"WatchIt":           "aws logs tail --region us-east-1 --follow WatchLogGroup",
		"DashboardUrl":      "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#dashboards/dashboard/Dashboard",
		"OperatorPolicyArn": "arn:aws:iam::123456789012:policy/OperatorPolicy",
	}
	got := maps.Clone(s.Outputs)
	maps.DeleteFunc(got, func(name, _ string) bool { return strings.HasPrefix(name, "FirstJob") })
	if diff := cmp.Diff(want, got); diff != "" {
		return []finding{{"output", "the outputs", diff}}
	}
	return nil
}

func TestTheFunctionsTakeWhatTheParametersTake(t *testing.T) {
	t.Parallel()
	template := load(t)
	for name, edge := range edges {
		for _, value := range edge.takes {
			stack := resolved(t, template, with(map[string]string{name: value}))
			for _, id := range stack.OfType("AWS::Lambda::Function") {
				variables := environmentOf(stack, id)
				if _, err := function.ReadSettings(func(v string) string { return variables[v] }); err != nil {
					t.Errorf("%s %q: %v", name, value, err)
				}
			}
		}
	}
}

// Fargate takes 20 RunTask calls a second: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
func TestBothFunctionsAtFullConcurrencyAndTheSweepLaunchTwentyTasksASecond(t *testing.T) {
	t.Parallel()
	template := load(t)
	values := template.Parameters["Concurrency"].AllowedValues
	if len(values) != len(template.Mappings["LaunchShare"]) {
		t.Errorf("Concurrency has %d values, LaunchShare %d", len(values), len(template.Mappings["LaunchShare"]))
	}
	for _, value := range values {
		stack := resolved(t, template, with(map[string]string{"Concurrency": fmt.Sprint(value)}))
		total, sweeps := 0.0, 0.0
		for _, id := range stack.OfType("AWS::Lambda::Function") {
			share, err := strconv.ParseFloat(environmentOf(stack, id)["SPOTBATCH_LAUNCHES_PER_SECOND"], 64)
			if err != nil {
				t.Fatal(err)
			}
			sweeps = share // one more invocation of watch
			for _, e := range all[eventSource](stack, "AWS::Lambda::EventSourceMapping") {
				most, err := strconv.ParseFloat(fmt.Sprint(e.ScalingConfig.MaximumConcurrency), 64)
				if e.FunctionName == id && err == nil {
					total += most * share
				}
			}
		}
		if total += sweeps; total > 20 || total < 19 {
			t.Errorf("concurrency %v: %v launches a second, want 20 and not more", value, total)
		}
	}
}

func TestEveryParameterSaysWhatItIs(t *testing.T) {
	t.Parallel()
	template := load(t)
	for _, name := range slices.Sorted(maps.Keys(template.Parameters)) {
		p := template.Parameters[name]
		if len(p.Description) < 20 {
			t.Errorf("%s has no description", name)
		}
		typed := strings.HasPrefix(p.Type, "List<AWS::") || p.Type == "Number"
		if !typed && p.AllowedPattern == "" && p.AllowedValues == nil {
			t.Errorf("%s takes anything", name)
		}
		if required := p.Default == nil; required != (name == "Subnets" || name == "SecurityGroups") {
			t.Errorf("%s: a default is missing or too much", name)
		}
	}
}
