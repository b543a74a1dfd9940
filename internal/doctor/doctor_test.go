package doctor

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// healthy is a deployment in which all is well; a test breaks it.
type healthy struct {
	err       map[string]error // by method
	function  Function
	mappings  []Mapping
	queues    map[string]Queue // by URL, which is also their ARN here
	rules     []Rule
	schedules []Schedule
	failures  string
}

func newHealthy() *healthy {
	good := Queue{VisibilitySeconds: 370, MaxReceiveCount: 10}
	h := &healthy{
		err:      map[string]error{},
		function: Function{ARN: "arn:function", State: "Active", Update: "Successful", TimeoutSeconds: 60, Environment: goodSettings()},
		mappings: []Mapping{
			{QueueARN: "https://sqs/1/jobs", State: "Enabled", ReportsItems: true},
			{QueueARN: "https://sqs/1/events", State: "Enabled", ReportsItems: true, WindowSeconds: 1},
		},
		queues:    map[string]Queue{},
		rules:     []Rule{{Name: "r", ARN: "arn:rule", State: "ENABLED", Pattern: goodPattern, DeadLetterARN: "rule-dead"}},
		schedules: []Schedule{{State: "ENABLED", Expression: "rate(1 minute)", Input: `{"sweep":true}`, DeadLetterARN: "schedule-dead"}},
		failures:  "invocations-dead",
	}
	for _, name := range []string{"jobs", "events"} {
		q := good
		q.ARN, q.DeadLetterARN = "https://sqs/1/"+name, name+"-dead"
		q.Policy = `{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage"}]}`
		h.queues[q.ARN] = q
	}
	for _, name := range []string{"https://sqs/1/rejected", "jobs-dead", "events-dead", "rule-dead", "schedule-dead", "invocations-dead"} {
		h.queues[name] = Queue{ARN: name}
	}
	return h
}

func (h *healthy) Identity(context.Context) (string, error) {
	return "arn:aws:iam::1:user/me", h.err["Identity"]
}

func (h *healthy) Cluster(context.Context, string) (ecs.ClusterInfo, error) {
	return ecs.ClusterInfo{Status: "ACTIVE", CapacityProviders: []string{"FARGATE", "FARGATE_SPOT"}}, h.err["Cluster"]
}

func (h *healthy) Function(context.Context, string) (Function, error) {
	return h.function, h.err["Function"]
}

func (h *healthy) Mappings(context.Context, string) ([]Mapping, error) {
	return h.mappings, h.err["Mappings"]
}

func (h *healthy) FailureQueue(context.Context, string) (string, error) {
	return h.failures, h.err["FailureQueue"]
}

func (h *healthy) Queue(_ context.Context, url string) (Queue, error) {
	q, ok := h.queues[url]
	if !ok {
		return q, apiError("QueueDoesNotExist")
	}
	return q, h.err["Queue"]
}

func (h *healthy) QueueURL(_ context.Context, arn string) (string, error) {
	return arn, h.err["QueueURL"]
}

func (h *healthy) RulesTo(context.Context, string) ([]Rule, error) { return h.rules, h.err["RulesTo"] }

func (h *healthy) SchedulesTo(context.Context, string) ([]Schedule, error) {
	return h.schedules, h.err["SchedulesTo"]
}

func (h *healthy) Quota(context.Context, string) (float64, error) { return 4000, h.err["Quota"] }

// someJobs is a store that holds a few jobs.
type someJobs struct {
	jobs.Store
	list []*jobs.Job
	err  error
}

func (s *someJobs) List(context.Context, jobs.Query) (jobs.Page, error) {
	return jobs.Page{Jobs: s.list}, s.err
}

func (s *someJobs) Get(_ context.Context, id string) (*jobs.Job, error) {
	for _, j := range s.list {
		if j.JobID == id {
			return j, nil
		}
	}
	return nil, jobs.ErrNotFound
}

// Due lags: it answers with every job, two to a page, and with one that is gone.
func (s *someJobs) Due(_ context.Context, _ time.Time, cursor string, _ int) (ids []string, next string, err error) {
	if cursor == "" && len(s.list) > 0 {
		return []string{s.list[0].JobID, "gone"}, "rest", s.err
	}
	for _, j := range s.list[min(1, len(s.list)):] {
		ids = append(ids, j.JobID)
	}
	return ids, "", s.err
}

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func due(id string, late time.Duration) *jobs.Job {
	return &jobs.Job{JobID: id, Status: jobs.StatusRunning, Internal: jobs.Internal{DueAt: jobs.At(now.Add(-late))}}
}

// partsOf is what a stack's outputs tell.
func partsOf() Deployment {
	return Deployment{
		Region: "eu-west-1", Runner: "prod", Table: "jobs", Cluster: "main", SubmitFunction: "submit", WatchFunction: "watch",
		JobsQueueURL: "https://sqs/1/jobs", EventsQueueURL: "https://sqs/1/events", RejectedQueueURL: "https://sqs/1/rejected",
	}
}

// lines are the findings in short.
func lines(findings []Finding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, string(f.Status)+" "+f.Check)
	}
	return list
}

func TestAHealthyDeploymentIsFoundHealthy(t *testing.T) {
	t.Parallel()
	want := []string{
		"ok identity", "ok submit function", "ok watch function", "ok settings", "ok table", "ok launches", "ok sweep's work",
		"ok cluster", "ok jobs mapping", "ok jobs queue", "ok events mapping", "ok events queue", "ok task rule", "ok delivery",
		"ok sweep", "ok jobs dead letters", "ok events dead letters", "ok rule dead letters", "ok schedule dead letters",
		"ok failed invocations", "ok rejected requests", "ok Spot quota", "ok on-demand quota",
	}
	store := &someJobs{list: []*jobs.Job{due("a", time.Minute), due("b", -time.Hour)}}
	got := Examine(t.Context(), partsOf(), newHealthy(), store, now)
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Errorf("findings (-want +got):\n%s\n%+v", diff, got)
	}
	// The functions know most of the parts themselves.
	d := Deployment{SubmitFunction: "submit", WatchFunction: "watch", JobsQueueURL: "https://sqs/1/jobs"}
	if diff := cmp.Diff(want, lines(Examine(t.Context(), d, newHealthy(), store, now))); diff != "" {
		t.Errorf("findings from the functions' settings (-want +got):\n%s", diff)
	}
}

// TestWhatIsBrokenIsFound tells all findings that are not ok.
func TestWhatIsBrokenIsFound(t *testing.T) {
	t.Parallel()
	denied := apiError("AccessDeniedException")
	for name, c := range map[string]struct {
		spoil func(*healthy, *someJobs, *Deployment)
		want  []string
	}{
		"no identity": {func(h *healthy, _ *someJobs, _ *Deployment) { h.err["Identity"] = errors.New("no credentials") }, []string{"problem identity"}},
		"nothing may be looked at": {func(h *healthy, s *someJobs, _ *Deployment) {
			for _, m := range []string{"Cluster", "Function", "Mappings", "FailureQueue", "Queue", "QueueURL", "RulesTo", "SchedulesTo", "Quota"} {
				h.err[m] = denied
			}
			s.err = denied
		}, []string{
			"unknown submit function", "unknown watch function", "unknown table", "unknown cluster", "unknown jobs queue", "unknown events queue",
			"unknown failed invocations", "unknown rejected requests", "unknown Spot quota", "unknown on-demand quota",
		}},
		"nothing is known": {func(_ *healthy, _ *someJobs, d *Deployment) { *d = Deployment{} }, []string{
			"unknown submit function", "unknown watch function", "unknown table", "unknown cluster", "unknown jobs queue", "unknown events queue",
		}},
		"the table is gone": {func(_ *healthy, s *someJobs, _ *Deployment) { s.err = apiError("ResourceNotFoundException") }, []string{"problem table"}},
		"jobs are overdue": {func(_ *healthy, s *someJobs, _ *Deployment) {
			s.list = []*jobs.Job{due("a", 3*time.Minute), due("b", time.Minute), due("c", time.Hour)}
		}, []string{"problem sweep's work"}},
		"the events queue is gone": {func(h *healthy, _ *someJobs, _ *Deployment) { delete(h.queues, "https://sqs/1/events") }, []string{"problem events queue"}},
		"dead letters": {func(h *healthy, _ *someJobs, _ *Deployment) {
			for _, name := range []string{"jobs-dead", "events-dead", "https://sqs/1/rejected"} {
				h.queues[name] = Queue{ARN: name, Waiting: 1}
			}
		}, []string{"problem jobs dead letters", "warning events dead letters", "warning rejected requests"}},
		"nothing feeds the functions":   {func(h *healthy, _ *someJobs, _ *Deployment) { h.mappings = nil }, []string{"problem jobs mapping", "problem events mapping"}},
		"the rule is gone":              {func(h *healthy, _ *someJobs, _ *Deployment) { h.rules = nil }, []string{"problem task rule"}},
		"the rules may not be seen":     {func(h *healthy, _ *someJobs, _ *Deployment) { h.err["RulesTo"] = denied }, []string{"unknown task rule"}},
		"the sweep is off":              {func(h *healthy, _ *someJobs, _ *Deployment) { h.schedules[0].State = "DISABLED" }, []string{"problem sweep"}},
		"the schedules may not be seen": {func(h *healthy, _ *someJobs, _ *Deployment) { h.err["SchedulesTo"] = denied }, []string{"unknown sweep"}},
		"a dead-letter queue may not be found": {func(h *healthy, _ *someJobs, _ *Deployment) { h.err["QueueURL"] = denied }, []string{
			"unknown jobs dead letters", "unknown events dead letters", "unknown rule dead letters", "unknown schedule dead letters", "unknown failed invocations",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, s, d := newHealthy(), &someJobs{}, partsOf()
			c.spoil(h, s, &d)
			got := Examine(t.Context(), d, h, s, now)
			notOK := slices.DeleteFunc(slices.Clone(got), func(f Finding) bool { return f.Status == OK })
			if diff := cmp.Diff(c.want, lines(notOK)); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%+v", diff, notOK)
			}
			for _, f := range notOK {
				if f.Mend == "" || f.Found == "" {
					t.Errorf("%+v does not say how to mend it", f)
				}
			}
		})
	}
}

// TestEachDeadLetterQueueIsListedOnce has the queues as template.yaml has them: the rule shares one with its queue, the
// schedule one with the functions.
func TestEachDeadLetterQueueIsListedOnce(t *testing.T) {
	t.Parallel()
	h := newHealthy()
	h.rules[0].DeadLetterARN, h.schedules[0].DeadLetterARN = "events-dead", "invocations-dead"
	for _, name := range []string{"jobs-dead", "events-dead", "invocations-dead"} {
		h.queues[name] = Queue{ARN: name, Waiting: 1}
	}
	got := slices.DeleteFunc(Examine(t.Context(), partsOf(), h, &someJobs{}, now), func(f Finding) bool { return f.Status == OK })
	want := []Finding{
		{
			"jobs dead letters", Problem, "1 message",
			"mend the cause; look first whether the job of a request without jobId is there, for a redrive makes another; then: " +
				"aws sqs start-message-move-task --region eu-west-1 --source-arn jobs-dead --destination-arn https://sqs/1/jobs",
		},
		{
			"events dead letters", Warning, "1 message", "mend the cause, then: " +
				"aws sqs start-message-move-task --region eu-west-1 --source-arn events-dead --destination-arn https://sqs/1/events",
		},
		{
			"schedule dead letters", Warning, "1 message",
			"look at them: aws sqs receive-message --region eu-west-1 --message-attribute-names All --queue-url invocations-dead",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestADeploymentPassesIfNothingIsWrongAndSomethingWasLookedAt(t *testing.T) {
	t.Parallel()
	who := Finding{Check: "identity", Status: OK}
	for name, c := range map[string]struct {
		findings []Finding
		want     bool
	}{
		"all is well":               {[]Finding{who, {Status: OK}}, true},
		"something is unknown":      {[]Finding{who, {Status: Unknown}, {Status: OK}}, true},
		"a warning":                 {[]Finding{who, {Status: Warning}, {Status: Unknown}}, true},
		"a problem":                 {[]Finding{who, {Status: OK}, {Status: Problem}}, false},
		"who asks is all there is":  {[]Finding{who, {Status: Unknown}, {Status: Unknown}}, false},
		"not even that is known":    {[]Finding{{Check: "identity", Status: Problem}}, false},
		"nothing was looked at yet": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Passed(c.findings); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestOverdueJobsAreCountedToALimit(t *testing.T) {
	t.Parallel()
	s := &someJobs{}
	for range 2 * overdueMax {
		s.list = append(s.list, due("j", time.Hour))
	}
	e := &exam{store: s, now: now}
	late, more, err := e.overdue(t.Context())
	if len(late) != overdueMax || !more || err != nil {
		t.Errorf("got %d, %v, %v", len(late), more, err)
	}
}
