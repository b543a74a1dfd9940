// Package doctor examines a deployment on AWS and says how to mend what is wrong with it.
//
// It is responsible for gathering facts through a Source and for judging them: facts in, a Finding out, one pure function a
// check. It refuses to change anything and to print; the command line, its caller, does that. AWS is the Source that asks
// the services.
//
// The invariant it keeps: a fact that could not be had is never taken for a good one or a bad one. It is unknown, with the
// permission that is missing.
package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// Status is how grave a finding is.
type Status string

// The statuses. A problem keeps jobs from running or loses something; a warning may, one day.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Problem Status = "problem"
	Unknown Status = "unknown"
)

// Finding is the outcome of one check.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Mend   string `json:"mend,omitempty"` // what to do about it
}

// Deployment names the parts that are examined. What is empty is taken from the functions' settings, as far as they tell.
type Deployment struct {
	Region, Runner, Table, Cluster                 string
	SubmitFunction, WatchFunction                  string
	JobsQueueURL, EventsQueueURL, RejectedQueueURL string
}

// Source tells the facts.
type Source interface {
	Identity(ctx context.Context) (arn string, err error)
	Cluster(ctx context.Context, name string) (ecs.ClusterInfo, error)
	Function(ctx context.Context, name string) (Function, error)
	// Mappings are the event source mappings of a function.
	Mappings(ctx context.Context, function string) ([]Mapping, error)
	// FailureQueue is where failed asynchronous invocations of a function go; "" = nowhere.
	FailureQueue(ctx context.Context, function string) (arn string, err error)
	Queue(ctx context.Context, url string) (Queue, error)
	QueueURL(ctx context.Context, arn string) (url string, err error)
	// RulesTo are the rules on the default bus that have a target, SchedulesTo the schedules.
	RulesTo(ctx context.Context, targetARN string) ([]Rule, error)
	SchedulesTo(ctx context.Context, targetARN string) ([]Schedule, error)
	Quota(ctx context.Context, code string) (float64, error)
}

// Function is a Lambda function.
type Function struct {
	ARN, State, StateReason, Update, UpdateReason string
	TimeoutSeconds                                int
	Environment                                   map[string]string
}

// Mapping is an event source mapping.
type Mapping struct {
	UUID, QueueARN, State string
	ReportsItems          bool // ReportBatchItemFailures
	WindowSeconds         int
}

// Queue is an SQS queue.
type Queue struct {
	ARN, Policy, KMSKey string
	VisibilitySeconds   int
	Waiting, InFlight   int
	DeadLetterARN       string // "" = none
	MaxReceiveCount     int
}

// Rule is an EventBridge rule, as far as one target is concerned.
type Rule struct{ Name, ARN, State, Pattern, DeadLetterARN string }

// Schedule is a schedule of EventBridge Scheduler.
type Schedule struct{ Name, State, Expression, Input, DeadLetterARN string }

// exam is one examination: what is known so far, and what was found.
type exam struct {
	Deployment
	source        Source
	store         jobs.Store
	now           time.Time
	submit, watch Function
	eventsQueue   Queue
	letters       []letterbox
	findings      []Finding
}

// Examine makes every check, in an order in which the first problem is the one to mend first. Without an identity nothing
// else can be asked.
func Examine(ctx context.Context, d Deployment, source Source, store jobs.Store, now time.Time) []Finding {
	e := &exam{Deployment: d, source: source, store: store, now: now}
	arn, err := source.Identity(ctx)
	e.add(judgeIdentity(arn, d.Region, err))
	if err != nil {
		return e.findings
	}
	e.functions(ctx)
	e.tableAndJobs(ctx)
	e.cluster(ctx)
	e.queues(ctx)
	e.rule(ctx)
	e.sweep(ctx)
	e.deadLetters(ctx)
	e.quotas(ctx)
	return e.findings
}

// Passed reports whether nothing is wrong, as far as is known, and something of the deployment is: who asks is no part of it.
func Passed(findings []Finding) bool {
	looked := false
	for _, f := range findings {
		if f.Status == Problem {
			return false
		}
		looked = looked || f.Status != Unknown && f.Check != identity
	}
	return looked
}

func (e *exam) add(f Finding) { e.findings = append(e.findings, f) }

// named adds an unknown finding where a part's name is not known.
func (e *exam) named(check, name, variable string) bool {
	if name == "" {
		e.add(Finding{check, Unknown, "its name is not known", "give --stack, or set " + variable})
	}
	return name != ""
}

func (e *exam) functions(ctx context.Context) {
	ask := func(check, name, variable string) (Function, bool) {
		if !e.named(check, name, variable) {
			return Function{}, false
		}
		f, err := e.source.Function(ctx, name)
		if err != nil {
			e.add(trouble(check, "lambda:GetFunctionConfiguration", "function "+name, err))
			return Function{}, false
		}
		e.add(judgeFunction(check, f))
		return f, true
	}
	var haveSubmit, haveWatch bool
	e.submit, haveSubmit = ask("submit function", e.SubmitFunction, "SPOTBATCH_SUBMIT_FUNCTION")
	e.watch, haveWatch = ask("watch function", e.WatchFunction, "SPOTBATCH_WATCH_FUNCTION")
	if haveSubmit && haveWatch {
		e.add(judgeSettings(e.submit.Environment, e.watch.Environment, e.Deployment))
	}
	for _, settings := range []map[string]string{e.submit.Environment, e.watch.Environment} {
		for _, s := range e.settings() {
			if *s.value == "" {
				*s.value = settings[s.name]
			}
		}
	}
}

// setting is what the functions are told of a part of the deployment.
type setting struct {
	name  string
	value *string
}

func (d *Deployment) settings() []setting {
	return []setting{
		{"SPOTBATCH_RUNNER", &d.Runner},
		{"SPOTBATCH_TABLE", &d.Table},
		{"SPOTBATCH_CLUSTER", &d.Cluster},
		{"SPOTBATCH_EVENTS_QUEUE_URL", &d.EventsQueueURL},
		{"SPOTBATCH_REJECTED_QUEUE_URL", &d.RejectedQueueURL},
	}
}

const (
	// overdueAfter is how late a due job is before it is a finding: the sweep comes once a minute.
	overdueAfter = 2 * time.Minute
	// overdueMax is how many overdue jobs are counted, newestMax how many jobs are looked at for what they wait for.
	overdueMax = 25
	newestMax  = 50
)

// tableAndJobs reads the table and its two indexes in the ways in which everything else does, and judges what they hold.
func (e *exam) tableAndJobs(ctx context.Context) {
	if !e.named("table", e.Table, "SPOTBATCH_TABLE") {
		return
	}
	newest, err := e.store.List(ctx, jobs.Query{Limit: newestMax})
	if err != nil {
		e.add(trouble("table", "dynamodb:Query on the index list, dynamodb:BatchGetItem", "table "+e.Table, err))
		return
	}
	e.add(judgeTable(e.Table, len(newest.Jobs), newest.Next != ""))
	e.add(judgeLaunches(newest.Jobs))
	late, more, err := e.overdue(ctx)
	if err != nil {
		e.add(trouble("sweep's work", "dynamodb:Query on the index due, dynamodb:GetItem", "table "+e.Table, err))
		return
	}
	e.add(judgeOverdue(late, more))
}

// overdue counts jobs that nobody has looked at in time. The index may lag, so each is read.
func (e *exam) overdue(ctx context.Context) (late []time.Duration, more bool, err error) {
	before := e.now.Add(-overdueAfter)
	for cursor, first := "", true; first || cursor != ""; first = false {
		var ids []string
		if ids, cursor, err = e.store.Due(ctx, before, cursor, overdueMax); err != nil {
			return nil, false, err
		}
		for _, id := range ids {
			if len(late) == overdueMax {
				return late, true, nil
			}
			j, err := e.store.Get(ctx, id)
			if err != nil {
				continue // gone meanwhile
			}
			if due := j.Internal.DueAt; !due.IsZero() && !due.After(before) {
				late = append(late, e.now.Sub(due.Time))
			}
		}
	}
	return late, false, nil
}

func (e *exam) cluster(ctx context.Context) {
	if !e.named("cluster", e.Cluster, "SPOTBATCH_CLUSTER") {
		return
	}
	info, err := e.source.Cluster(ctx, e.Cluster)
	e.add(judgeCluster(e.Cluster, e.Region, info, err))
}

func (e *exam) queues(ctx context.Context) {
	e.fed(ctx, "jobs", e.JobsQueueURL, "SPOTBATCH_JOBS_QUEUE_URL", e.submit, e.SubmitFunction)
	e.eventsQueue = e.fed(ctx, "events", e.EventsQueueURL, "SPOTBATCH_EVENTS_QUEUE_URL", e.watch, e.WatchFunction)
}

// fed examines a queue and the event source mapping through which it feeds its function, and returns the queue.
func (e *exam) fed(ctx context.Context, name, url, variable string, f Function, function string) Queue {
	check := name + " queue"
	if !e.named(check, url, variable) {
		return Queue{}
	}
	q, err := e.source.Queue(ctx, url)
	if err != nil {
		e.add(trouble(check, "sqs:GetQueueAttributes", "queue "+url, err))
		return Queue{}
	}
	if q.DeadLetterARN != "" {
		e.post(letterbox{name: name + " dead letters", arn: q.DeadLetterARN, to: q.ARN, requests: name == "jobs"})
	}
	window := 0
	if function != "" {
		mappings, err := e.source.Mappings(ctx, function)
		if err != nil {
			e.add(trouble(name+" mapping", "lambda:ListEventSourceMappings", "function "+function, err))
		} else {
			finding, mapping := judgeMapping(name+" mapping", q.ARN, e.Region, mappings)
			window = mapping.WindowSeconds
			e.add(finding)
		}
	}
	e.add(judgeQueue(check, q, f.TimeoutSeconds, window))
	return q
}

func (e *exam) rule(ctx context.Context) {
	if e.eventsQueue.ARN == "" {
		return // told already
	}
	rules, err := e.source.RulesTo(ctx, e.eventsQueue.ARN)
	if err != nil {
		e.add(trouble("task rule", "events:ListRuleNamesByTarget, events:DescribeRule, events:ListTargetsByRule", "the rules", err))
		return
	}
	finding, rule := judgeRules(rules, e.Deployment)
	e.add(finding)
	if rule.ARN != "" {
		e.add(judgeDelivery(e.eventsQueue, rule.ARN))
	}
	if rule.DeadLetterARN != "" {
		e.post(letterbox{name: "rule dead letters", arn: rule.DeadLetterARN})
	}
}

func (e *exam) sweep(ctx context.Context) {
	if e.watch.ARN == "" {
		return // told already
	}
	schedules, err := e.source.SchedulesTo(ctx, e.watch.ARN)
	if err != nil {
		e.add(trouble("sweep", "scheduler:ListSchedules, scheduler:GetSchedule", "the schedules", err))
		return
	}
	finding, schedule := judgeSweep(schedules)
	e.add(finding)
	if schedule.DeadLetterARN != "" {
		e.post(letterbox{name: "schedule dead letters", arn: schedule.DeadLetterARN})
	}
}

// letterbox is a queue that nothing reads but people.
type letterbox struct {
	name, arn, url string
	to             string // the queue whose dead letters they are, to which SQS moves them back; "" = no queue's
	requests       bool   // they are job requests, which are lost until then
}

// post has a queue looked at, once: the template gives the rule and its queue the same one for what they cannot deliver.
func (e *exam) post(box letterbox) {
	if !slices.ContainsFunc(e.letters, func(other letterbox) bool { return other.arn == box.arn }) {
		e.letters = append(e.letters, box)
	}
}

func (e *exam) deadLetters(ctx context.Context) {
	for _, f := range []string{e.SubmitFunction, e.WatchFunction} {
		if f == "" {
			continue
		}
		arn, err := e.source.FailureQueue(ctx, f)
		if err != nil {
			e.add(trouble("failed invocations", "lambda:GetFunctionEventInvokeConfig", "function "+f, err))
			break // the other's would be the same
		}
		if arn != "" {
			e.post(letterbox{name: "failed invocations", arn: arn})
		}
	}
	if e.RejectedQueueURL != "" {
		e.letters = append(e.letters, letterbox{name: "rejected requests", url: e.RejectedQueueURL})
	}
	for _, box := range e.letters {
		e.letterbox(ctx, box)
	}
}

func (e *exam) letterbox(ctx context.Context, box letterbox) {
	var err error
	if box.url == "" {
		if box.url, err = e.source.QueueURL(ctx, box.arn); err != nil {
			e.add(trouble(box.name, "sqs:GetQueueUrl", box.arn, err))
			return
		}
	}
	q, err := e.source.Queue(ctx, box.url)
	if err != nil {
		e.add(trouble(box.name, "sqs:GetQueueAttributes", box.url, err))
		return
	}
	e.add(judgeLetters(box, q, e.Region))
}

func (e *exam) quotas(ctx context.Context) {
	for _, q := range quotas() {
		value, err := e.source.Quota(ctx, q.code)
		if err != nil {
			e.add(trouble(q.check, "servicequotas:GetServiceQuota, servicequotas:GetAWSDefaultServiceQuota", "the quota "+q.code, err))
			continue
		}
		e.add(judgeQuota(q, value, e.Region))
	}
}
