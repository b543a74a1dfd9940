package awstemplate

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// ownMetrics are those that the functions write in embedded metric format: namespace Spotbatch, dimension Runner.
func ownMetrics() []string {
	all := []string{
		"JobsAccepted", "JobsRejected", "JobsEnded", "TasksStarted", "TasksStarted.FARGATE", "TasksStarted.FARGATE_SPOT",
		"SpotInterruptions", "OnDemandFallbacks", "LaunchLatency", "RecoveryLatency", "DueLag",
	}
	for _, cause := range jobs.Causes() {
		all = append(all, "LaunchesRefused."+string(cause))
	}
	return all
}

// awsMetrics are the metrics of AWS's that are used, and the type of what each of their dimensions names.
var awsMetrics = map[string]map[string]string{
	"AWS/SQS":       {"QueueName": "AWS::SQS::Queue"},
	"AWS/Lambda":    {"FunctionName": "AWS::Lambda::Function"},
	"AWS/Events":    {"RuleName": "AWS::Events::Rule"},
	"AWS/DynamoDB":  {"TableName": "AWS::DynamoDB::Table"},
	"AWS/Scheduler": {"ScheduleGroup": "AWS::Scheduler::ScheduleGroup"},
}

type metric struct {
	Namespace, MetricName string
	Dimensions            []struct{ Name, Value string }
}

type alarm struct {
	metric
	AlarmDescription string
	AlarmActions     []string
	TreatMissingData string
	Metrics          []struct{ MetricStat *struct{ Metric metric } }
}

// all are the metrics that an alarm looks at: its own, or those of its expression.
func (a alarm) all() []metric {
	if a.MetricName != "" {
		return []metric{a.metric}
	}
	var found []metric
	for _, m := range a.Metrics {
		if m.MetricStat != nil {
			found = append(found, m.MetricStat.Metric)
		}
	}
	return found
}

// unknown tells what is wrong with a metric: a name that nobody writes, a dimension that names nothing.
func unknown(s *Stack, m metric) string {
	if m.Namespace == "Spotbatch" {
		if !slices.Contains(ownMetrics(), m.MetricName) {
			return "nobody writes the metric " + m.MetricName
		}
		if len(m.Dimensions) != 1 || m.Dimensions[0].Name != "Runner" || m.Dimensions[0].Value != "spotbatch" {
			return m.MetricName + " is of another runner"
		}
		return ""
	}
	types := awsMetrics[m.Namespace]
	if types == nil || len(m.Dimensions) == 0 {
		return "namespace " + m.Namespace + " is not known, or nothing is named"
	}
	for _, d := range m.Dimensions {
		if typ := types[d.Name]; typ != "" && s.Resources[d.Value].Type != typ {
			return d.Name + " names nothing: " + d.Value
		}
	}
	return ""
}

func alarms(s *Stack) []finding {
	var found []finding
	alarms := all[alarm](s, "AWS::CloudWatch::Alarm")
	told := topicGiven(alarms)
	for id, a := range alarms {
		report := func(problem string) { found = append(found, finding{"alarm", id, problem}) }
		metrics := a.all()
		for _, m := range metrics {
			if problem := unknown(s, m); problem != "" {
				report(problem)
			}
		}
		if len(metrics) == 0 {
			report("looks at nothing")
		}
		if told != (len(a.AlarmActions) > 0) {
			report("tells nobody")
		}
		if len(a.AlarmDescription) < 40 || a.TreatMissingData == "" {
			report("does not say what to do, or what silence means")
		}
	}
	return found
}

// topicGiven: if one alarm has an action, all must. Without a topic none has.
func topicGiven(alarms map[string]alarm) bool {
	for _, a := range alarms {
		if len(a.AlarmActions) > 0 {
			return true
		}
	}
	return false
}

func deadLetterAlarms(s *Stack) []finding {
	var found []finding
	watched := map[string]bool{}
	for _, a := range all[alarm](s, "AWS::CloudWatch::Alarm") {
		if a.MetricName == "ApproximateNumberOfMessagesVisible" && len(a.Dimensions) == 1 {
			watched[a.Dimensions[0].Value] = true
		}
	}
	ends := deadLetterQueues(s)
	delete(ends, ".") // a hop without a dead-letter queue; its own check reports it
	for id := range ends {
		if !watched[id] {
			found = append(found, finding{"dead letters", id, "nobody is told of them"})
		}
	}
	return found
}

// What must not go unseen, whoever changes the alarms.
func TestEveryTroubleHasItsAlarm(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	got := map[string]bool{}
	for _, a := range all[alarm](stack, "AWS::CloudWatch::Alarm") {
		for _, m := range a.all() {
			name := m.MetricName
			for _, d := range m.Dimensions {
				name += " " + d.Value
			}
			got[name] = true
		}
	}
	for _, want := range []string{
		"ApproximateNumberOfMessagesVisible JobsDeadLetterQueue", "ApproximateNumberOfMessagesVisible EventsDeadLetterQueue",
		"ApproximateNumberOfMessagesVisible InvocationsDeadLetterQueue",
		"ApproximateAgeOfOldestMessage JobsQueue", "ApproximateAgeOfOldestMessage EventsQueue",
		"Errors SubmitFunction", "Errors WatchFunction", "Throttles SubmitFunction", "Throttles WatchFunction",
		"InvocationAttemptCount SweepGroup", "DueLag spotbatch", "LaunchesRefused.DEPLOYMENT_FAULT spotbatch",
		"FailedInvocations TaskRule", "InvocationsFailedToBeSentToDlq TaskRule",
		"ReadThrottleEvents Table", "WriteThrottleEvents Table", "WriteThrottleEvents Table due", "WriteThrottleEvents Table list",
		"SystemErrors Table GetItem", "SystemErrors Table PutItem", "SystemErrors Table Query",
	} {
		if !got[want] {
			t.Errorf("no alarm for %s", want)
		}
	}
}

func dashboards(s *Stack) []finding {
	var found []finding
	for _, id := range s.OfType("AWS::CloudWatch::Dashboard") {
		var body struct {
			Widgets []struct{ Properties struct{ Metrics [][]any } }
		}
		text := fmt.Sprint(s.Resources[id].Properties["DashboardBody"])
		if err := json.Unmarshal([]byte(text), &body); err != nil || len(body.Widgets) == 0 {
			found = append(found, finding{"dashboard", id, fmt.Sprintf("cannot be read: %v", err)})
		}
		for _, w := range body.Widgets {
			for _, row := range expand(w.Properties.Metrics) {
				if problem := unknown(s, row); problem != "" {
					found = append(found, finding{"dashboard", id, problem})
				}
			}
		}
	}
	return found
}

// expand reads a widget's metrics, in which "..." stands for what the line before says there.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
func expand(rows [][]any) []metric {
	var out []metric
	var last []string
	for _, row := range rows {
		var texts []string
		for _, cell := range row {
			if text, ok := cell.(string); ok {
				texts = append(texts, text)
			}
		}
		if len(texts) == 0 {
			continue // an expression
		}
		if texts[0] == "..." {
			texts = append(slices.Clone(last[:len(last)-len(texts)+1]), texts[1:]...)
		}
		last = texts
		m := metric{Namespace: texts[0], MetricName: texts[1]}
		for pair := range slices.Chunk(texts[2:], 2) {
			m.Dimensions = append(m.Dimensions, struct{ Name, Value string }{pair[0], pair[1]})
		}
		out = append(out, m)
	}
	return out
}

// Fargate takes 20 RunTask calls a second: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
func TestBothFunctionsAtFullConcurrencyLaunchTwentyTasksASecond(t *testing.T) {
	t.Parallel()
	template := load(t)
	values := template.Parameters["Concurrency"].AllowedValues
	if len(values) != len(template.Mappings["LaunchShare"]) {
		t.Errorf("Concurrency has %d values, LaunchShare %d", len(values), len(template.Mappings["LaunchShare"]))
	}
	for _, value := range values {
		stack := resolved(t, template, with(map[string]string{"Concurrency": fmt.Sprint(value)}))
		total := 0.0
		for _, id := range stack.OfType("AWS::Lambda::Function") {
			share, err := strconv.ParseFloat(environmentOf(stack, id)["SPOTBATCH_LAUNCHES_PER_SECOND"], 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all[eventSource](stack, "AWS::Lambda::EventSourceMapping") {
				most, err := strconv.ParseFloat(fmt.Sprint(e.ScalingConfig.MaximumConcurrency), 64)
				if e.FunctionName == id && err == nil {
					total += most * share
				}
			}
		}
		if total != 20 {
			t.Errorf("concurrency %v: %v launches a second", value, total)
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
		typed := strings.HasPrefix(p.Type, "List<AWS::") || p.Type == "CommaDelimitedList" || p.Type == "Number"
		if !typed && p.AllowedPattern == "" && p.AllowedValues == nil {
			t.Errorf("%s takes anything", name)
		}
		if required := p.Default == nil; required != (name == "Subnets" || name == "SecurityGroups") {
			t.Errorf("%s: a default is missing or too much", name)
		}
	}
}
