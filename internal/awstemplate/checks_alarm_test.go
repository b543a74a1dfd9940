package awstemplate

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// ownMetrics are those that the functions write in embedded metric format: namespace Spotbatch, dimension Runner.
func ownMetrics() []string {
	all := []string{
		"JobsAccepted", "JobsRejected", "JobsEnded", "TasksStarted", "TasksStarted.FARGATE", "TasksStarted.FARGATE_SPOT",
		"SpotInterruptions", "OnDemandFallbacks", "LaunchLatency", "RecoveryLatency", "DueLag",
		"EventsUnpublished",
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

func (m metric) String() string {
	name := m.Namespace + " " + m.MetricName
	for _, d := range m.Dimensions {
		name += " " + d.Name + "=" + d.Value
	}
	return name
}

type alarm struct {
	metric
	Statistic          string
	Period             int
	Metrics            []query
	Threshold          float64
	ComparisonOperator string
	DatapointsToAlarm  int
	EvaluationPeriods  int
	TreatMissingData   string
	ActionsEnabled     *bool
	AlarmActions       []string
	AlarmDescription   string
}

// query is one metric of an expression, or the expression.
type query struct {
	ID, Expression string
	ReturnData     *bool // without it the value counts
	MetricStat     *struct {
		Metric metric
		Stat   string
		Period int
	}
}

// String tells what makes the alarm ring.
func (a alarm) String() string {
	what := fmt.Sprintf("%s of %d s of %s", a.Statistic, a.Period, a.metric)
	if a.MetricName == "" {
		what = ""
	}
	for _, q := range a.Metrics {
		switch counts := q.ReturnData == nil || *q.ReturnData; {
		case q.MetricStat == nil && counts:
			what += q.Expression + " of"
		case q.MetricStat != nil && !counts:
			what += fmt.Sprintf(" %s of %d s of %s,", q.MetricStat.Stat, q.MetricStat.Period, q.MetricStat.Metric)
		default:
			what += q.ID + " is not looked at as it should be"
		}
	}
	rings := fmt.Sprintf("%s %v, %d of %d", a.ComparisonOperator, a.Threshold, a.DatapointsToAlarm, a.EvaluationPeriods)
	return what + " " + rings + ", " + a.TreatMissingData
}

// all are the metrics that an alarm looks at: its own, or those of its expression.
func (a alarm) all() []metric {
	if a.MetricName != "" {
		return []metric{a.metric}
	}
	var found []metric
	for _, q := range a.Metrics {
		if q.MetricStat != nil {
			found = append(found, q.MetricStat.Metric)
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
		if told != (len(a.AlarmActions) > 0) || a.ActionsEnabled != nil {
			report("tells nobody")
		}
		if len(a.AlarmDescription) < 40 {
			report("does not say what to do")
		}
	}
	return found
}

// signals are what must not go unseen, whoever changes the alarms. What is best effort, or comes and goes by itself, must
// last before it rings; where silence is itself the trouble, it breaches.
func signals() map[string]string {
	const (
		quiet   = ", notBreaching"
		once    = " GreaterThanThreshold 0, 1 of 1" + quiet
		quarter = " GreaterThanThreshold 0, 3 of 3" + quiet
		letters = "Maximum of 60 s of AWS/SQS ApproximateNumberOfMessagesVisible QueueName="
		age     = "Maximum of 300 s of AWS/SQS ApproximateAgeOfOldestMessage QueueName="
		sum     = "Sum of 300 s of "
		table   = sum + "AWS/DynamoDB "
	)
	errors := func(function string) string { return "AWS/Lambda Errors FunctionName=" + function }
	return map[string]string{
		"JobsDeadLetterQueueAlarm":        letters + "JobsDeadLetterQueue" + once,
		"EventsDeadLetterQueueAlarm":      letters + "EventsDeadLetterQueue" + once,
		"InvocationsDeadLetterQueueAlarm": letters + "InvocationsDeadLetterQueue" + once,
		"JobsQueueAgeAlarm":               age + "JobsQueue GreaterThanThreshold 1800, 1 of 1" + quiet,
		"EventsQueueAgeAlarm":             age + "EventsQueue GreaterThanThreshold 1800, 1 of 1" + quiet,
		"SubmitErrorsAlarm":               sum + errors("SubmitFunction") + quarter,
		"WatchErrorsAlarm":                "Sum of 60 s of " + errors("WatchFunction") + " GreaterThanThreshold 0, 3 of 5" + quiet,
		"SubmitThrottlesAlarm":            sum + "AWS/Lambda Throttles FunctionName=SubmitFunction" + quarter,
		"WatchThrottlesAlarm":             sum + "AWS/Lambda Throttles FunctionName=WatchFunction" + quarter,
		"SweepMissingAlarm": sum + "AWS/Scheduler InvocationAttemptCount ScheduleGroup=SweepGroup" +
			" LessThanThreshold 1, 2 of 2, breaching",
		"DueLagAlarm": "Maximum of 300 s of Spotbatch DueLag Runner=spotbatch" +
			" GreaterThanThreshold 600, 3 of 3, breaching",
		"DeploymentFaultAlarm":   sum + "Spotbatch LaunchesRefused.DEPLOYMENT_FAULT Runner=spotbatch" + once,
		"JobsRejectedAlarm":      sum + "Spotbatch JobsRejected Runner=spotbatch" + once,
		"EventsUnpublishedAlarm": sum + "Spotbatch EventsUnpublished Runner=spotbatch" + once,
		"TaskRuleFailedAlarm":    sum + "AWS/Events FailedInvocations RuleName=TaskRule" + once,
		"TaskRuleLostAlarm":      sum + "AWS/Events InvocationsFailedToBeSentToDlq RuleName=TaskRule" + once,
		"TableThrottlesAlarm": "SUM(FILL(METRICS(), 0)) of " +
			table + "ReadThrottleEvents TableName=Table, " + table + "WriteThrottleEvents TableName=Table, " +
			table + "WriteThrottleEvents TableName=Table GlobalSecondaryIndexName=due, " +
			table + "WriteThrottleEvents TableName=Table GlobalSecondaryIndexName=list, " +
			table + "ReadThrottleEvents TableName=Table GlobalSecondaryIndexName=due," + once,
		"TableErrorsAlarm": "SUM(FILL(METRICS(), 0)) of " +
			table + "SystemErrors TableName=Table Operation=GetItem, " + table + "SystemErrors TableName=Table Operation=PutItem, " +
			table + "SystemErrors TableName=Table Operation=Query," + once,
	}
}

func alarmSignals(s *Stack) []finding {
	got := map[string]string{}
	for id, a := range all[alarm](s, "AWS::CloudWatch::Alarm") {
		got[id] = a.String()
	}
	if diff := cmp.Diff(signals(), got); diff != "" {
		return []finding{{"signal", "the alarms", diff}}
	}
	return nil
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
