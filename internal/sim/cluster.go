package sim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// cluster is ECS as a job meets it: tasks, client tokens, launch rates, quotas, capacity. It knows no jobs but by startedBy.
type cluster struct {
	w         *World
	tasks     []*task
	byARN     map[string]*task
	byStarter map[string][]*task
	copies    map[string][]*task // the same, of tasks that were run by hand
	byJob     map[string][]*task
	tokens    map[string]*token
	launches  map[jobs.CapacityProvider]*bucket
	runs      bucket // Fargate takes 20 RunTask calls a second, whatever they ask for
	modify    bucket // RunTask and StopTask
	read      bucket // DescribeTasks and ListTasks
	live      map[jobs.CapacityProvider]int
	made      map[jobs.CapacityProvider]int
	overRate  map[string]int // calls that were over a rate, by name
}

// token is ECS's memory of one client token.
type token struct {
	launch  spot.Launch
	task    *task
	refusal *spot.Answer
	at      time.Time
	number  int // of the launch in its attempt, as it was stored
}

func newCluster(w *World) *cluster {
	c := &cluster{
		w: w, byARN: map[string]*task{}, byStarter: map[string][]*task{}, copies: map[string][]*task{}, byJob: map[string][]*task{}, tokens: map[string]*token{},
		launches: map[jobs.CapacityProvider]*bucket{}, live: map[jobs.CapacityProvider]int{}, made: map[jobs.CapacityProvider]int{},
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
		runs: bucket{rate: 20, burst: 20}, modify: bucket{rate: 40, burst: 100}, read: bucket{rate: 20, burst: 100},
		overRate: map[string]int{},
	}
	for _, provider := range []jobs.CapacityProvider{jobs.FargateSpot, jobs.FargateOnDemand} {
		c.launches[provider] = &bucket{rate: w.plan.LaunchRate, burst: w.plan.LaunchBurst}
	}
	return c
}

// forgets is how long ECS shows a stopped task and honours its token.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
const forgets = time.Hour

// showsLonger is for how long more DescribeTasks and ListTasks show it.
const showsLonger = 30 * time.Minute

// forgotten reports whether ECS shows the task no more: at least an hour after it stopped, and often later.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
func (c *cluster) forgotten(t *task) bool {
	shows := t.fate.shows
	if shows == 0 {
		shows = forgets + showsLonger
	}
	return t.stopped() && c.w.now.Sub(t.StoppedAt) > shows
}

// tokenOver reports whether the token of a task is free again: min(24 hours, the task's life and an hour).
func (c *cluster) tokenOver(t *task) bool {
	return t.stopped() && c.w.now.Sub(t.StoppedAt) > forgets || c.w.now.Sub(t.states[0].at) > 24*time.Hour
}

// What ECS says. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
const (
	noCapacity = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
	overQuota  = "You’ve reached the limit on the number of vCPUs you can run concurrently"
)

// run carries out RunTask. What ECS tells of an earlier request with the same token comes after what is wrong with this one.
func (c *cluster) run(l spot.Launch) spot.Answer {
	w := c.w
	switch {
	case w.in(ECSDown), w.hit(RunUnanswered):
		return spot.Answer{Kind: spot.AnswerNone, Reason: "ServerException: internal error"}
	case w.hit(RunThrottled), c.over(&c.runs, "RunTask"), c.over(&c.modify, "RunTask"):
		return throttled
	case w.hit(RunDenied), w.in(AccessLost):
		return spot.Answer{
			Kind: spot.AnswerRefused, Cause: jobs.CauseDeploymentFault,
			Reason: "AccessDeniedException: not authorized",
		}
	}
	if w.hit(RunLate) {
		// Meanwhile it may be called for again.
		w.schedule(w.now.Add(w.streams[RunLate].between(0, 30*time.Second)), func() { c.answer(l) })
		return spot.Answer{Kind: spot.AnswerNone, Reason: "RunTask timed out."}
	}
	answer := c.answer(l)
	if w.hit(RunAnswerLost) || w.in(AnswersLost) {
		w.note(l.StartedBy, "RunTask's answer %v is lost", answer.Kind)
		return spot.Answer{Kind: spot.AnswerNone, Reason: "RunTask gave no answer."}
	}
	return answer
}

// over counts a call that a token bucket has no token for.
func (c *cluster) over(b *bucket, call string) bool {
	if b.take(c.w.now) {
		return false
	}
	c.overRate[call]++
	return true
}

var throttled = spot.Answer{Kind: spot.AnswerThrottled, Reason: "ThrottlingException: Rate exceeded"}

func (c *cluster) answer(l spot.Launch) spot.Answer {
	w := c.w
	if known := c.known(l.ClientToken); known != nil {
		return c.replay(known, l)
	}
	if c.over(c.launches[l.CapacityProvider], "RunTask") {
		w.sometimes("the launch rate is used up")
		return throttled
	}
	remember := &token{launch: l, at: w.now, number: w.launchNumber(l.StartedBy)}
	c.tokens[l.ClientToken] = remember
	if refusal := c.refusal(l); refusal != nil {
		remember.refusal = refusal
		return *refusal
	}
	remember.task = c.start(l)
	return spot.Answer{Kind: spot.AnswerTask, TaskARN: remember.task.ARN, Firm: true}
}

// known finds what ECS remembers of a token: it forgets an hour after the task stopped, or after the refusal.
func (c *cluster) known(name string) *token {
	t := c.tokens[name]
	if t == nil || t.task != nil && c.tokenOver(t.task) || t.task == nil && c.w.now.Sub(t.at) > forgets {
		return nil
	}
	return t
}

func (c *cluster) replay(known *token, l spot.Launch) spot.Answer {
	c.w.sometimes("ECS replays an answer")
	if !reflect.DeepEqual(known.launch, l) {
		c.w.fail("a repeated launch is the same to the byte", owner(l.StartedBy), "token %s: first %+v, now %+v", l.ClientToken,
			known.launch, l)
	}
	if known.task == nil {
		// Of two who call for one launch, the slower may come when the next one is stored: its own is what counts.
		if p := c.w.acting; p != nil && p.launch > known.number {
			c.w.fail("each launch has a token of its own", owner(l.StartedBy), "launch %d is answered with launch %d's refusal",
				p.launch, known.number)
		}
		return *known.refusal
	}
	if c.w.hit(RunConflict) {
		return spot.ConflictAnswer([]string{known.task.ARN})
	}
	return spot.Answer{Kind: spot.AnswerTask, TaskARN: known.task.ARN, Stopped: known.task.stopped(), Firm: true}
}

// refusal tells why a new request makes no task, or nil.
func (c *cluster) refusal(l spot.Launch) *spot.Answer {
	w, onSpot := c.w, l.CapacityProvider == jobs.FargateSpot
	firm := func(cause jobs.Cause, reason string) *spot.Answer {
		return &spot.Answer{Kind: spot.AnswerRefused, Cause: cause, Reason: reason, Firm: true}
	}
	switch {
	case onSpot && w.in(NoSpot):
		w.refusedOnSpot(owner(l.StartedBy))
		return firm(jobs.CauseNoCapacity, noCapacity)
	case !onSpot && w.in(NoOnDemand):
		return firm(jobs.CauseNoCapacity, noCapacity)
	case c.live[l.CapacityProvider] >= w.plan.Quota, w.in(QuotaTight) && c.live[l.CapacityProvider] > 0:
		return firm(jobs.CauseQuota, overQuota)
	case w.hit(RunOdd):
		return pick(w.streams[RunOdd], []weighted[*spot.Answer]{
			{3, firm(jobs.CausePlatformFailure, "Something unheard of.")},
			{2, &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseQuota, Reason: "ClientException: too many tasks in PROVISIONING"}},
			{2, firm(jobs.CauseSubnetFull, "no free address")},
			{1, firm(jobs.CauseLaunchRejected, "The requested CPU configuration is above your limit")},
		})
	case w.hit(RunTokenConflict):
		conflict := spot.ConflictAnswer(nil)
		return &conflict
	case w.hit(RunRejected):
		return &spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseLaunchRejected, Reason: "InvalidParameterException: refused"}
	}
	return nil
}

// answered remembers what RunTask answered to a job's launch.
func (w *World) answered(jobID string, answer spot.Answer) {
	if answer.Kind == spot.AnswerRefused {
		w.refused(jobID, answer.Cause)
	}
	if why := strings.TrimSuffix(answer.Reason, "."); why != "" && !slices.Contains(w.answers[jobID], why) {
		w.answers[jobID] = append(w.answers[jobID], why)
	}
}

// refused remembers why ECS refused a job.
func (w *World) refused(jobID string, cause jobs.Cause) {
	if w.refusals[jobID] == nil {
		w.refusals[jobID] = map[jobs.Cause]bool{}
	}
	w.refusals[jobID][cause] = true
}

func (c *cluster) start(l spot.Launch) *task {
	w := c.w
	number := len(c.tasks) + 1
	jobID, attempt, _ := spot.Owner(runner, l.StartedBy)
	t := &task{
		w: w, provider: l.CapacityProvider, jobID: jobID, attempt: attempt,
		Task: spot.Task{ARN: fmt.Sprintf("arn:aws:ecs:eu-west-1:123456789012:task/sim/%032d", number), StartedBy: l.StartedBy},
	}
	w.checkStart(t)
	c.tasks = append(c.tasks, t)
	c.byARN[t.ARN] = t
	c.byStarter[l.StartedBy] = append(c.byStarter[l.StartedBy], t)
	c.byJob[jobID] = append(c.byJob[jobID], t)
	c.live[t.provider]++
	c.made[t.provider]++
	t.begin(t.drawn())
	return t
}

// copyOf runs a task by hand that says it is an attempt's, as somebody does who fills in all that another task shows.
func (c *cluster) copyOf(jobID string, attempt int, f fate) {
	startedBy := jobs.StartedBy(runner, jobID, attempt)
	t := &task{w: c.w, provider: jobs.FargateOnDemand, jobID: jobID, attempt: attempt, foreign: true, Task: spot.Task{
		ARN: fmt.Sprintf("arn:aws:ecs:eu-west-1:123456789012:task/sim/%032d", len(c.tasks)+1), StartedBy: startedBy,
	}}
	c.tasks = append(c.tasks, t)
	c.byARN[t.ARN] = t
	c.copies[startedBy] = append(c.copies[startedBy], t)
	c.live[t.provider]++
	t.begin(f)
}

// stop carries out StopTask. To stop a task that has stopped is no error, nor, as the launcher reads it, one that is forgotten.
func (c *cluster) stop(arn, reason string) {
	if t := c.byARN[arn]; t != nil {
		t.stop("UserInitiated", reason)
	}
}

// lag is how far behind DescribeTasks and ListTasks are at this call.
func (c *cluster) lag() time.Duration {
	if c.w.hit(DescribeLags) {
		longest := 2 * time.Minute
		if c.w.plan.LagMax > 0 {
			longest = c.w.plan.LagMax
		} else if c.w.plan.Strength[ClockWrong] == 0 {
			longest = 4*time.Minute + 30*time.Second // Settling is five minutes, and clocks may take two of them
		}
		return c.w.streams[DescribeLags].between(0, longest)
	}
	return 0
}

func (c *cluster) describe(arns []string, seenAt time.Time) (tasks []spot.Task, missing []string, err error) {
	if c.over(&c.read, "DescribeTasks") {
		return nil, nil, trouble("DescribeTasks: Rate exceeded")
	}
	lag := c.lag()
	for _, arn := range arns {
		if c.w.hit(DescribePartly) {
			err = trouble("DescribeTasks fails for a task")
			continue
		}
		t := c.byARN[arn]
		var state *spot.Task
		if t != nil && !c.forgotten(t) {
			state = t.asOf(c.w.now.Add(-lag))
		}
		if state == nil {
			c.w.sometimes("DescribeTasks says MISSING")
			missing = append(missing, arn)
			continue
		}
		shown := *state
		shown.SeenAt = seenAt
		tasks = append(tasks, shown)
	}
	return tasks, missing, err
}

// find is what pkg/spot/ecs does: it lists what is to run, then what is to stop, and describes both. Each answer may be behind
// in its own way.
func (c *cluster) find(startedBy string, seenAt time.Time) ([]spot.Task, error) {
	var arns []string
	for _, desired := range []string{running, stopped} {
		if c.over(&c.read, "ListTasks") {
			return nil, trouble("ListTasks: Rate exceeded")
		}
		at := c.w.now.Add(-c.lag())
		for _, t := range slices.Concat(c.byStarter[startedBy], c.copies[startedBy]) {
			switch state := t.asOf(at); {
			case c.forgotten(t):
				t.lost = true // the launch may be refused next, and the attempt end without it
			case state != nil && state.DesiredStatus == desired && !slices.Contains(arns, t.ARN):
				arns = append(arns, t.ARN)
			}
		}
	}
	if len(arns) == 0 {
		return nil, nil
	}
	tasks, missing, err := c.describe(arns, seenAt)
	if err == nil && len(missing) > 0 {
		err = trouble("ECS lists tasks that it does not describe")
	}
	return tasks, err
}

// reclaim has Spot take a share of its tasks at once.
func (c *cluster) reclaim(d dice, share float64) {
	for _, t := range slices.Clone(c.tasks) {
		if t.provider == jobs.FargateSpot && !t.stopped() && t.DesiredStatus == running && d.chance(share) {
			t.interrupt()
		}
	}
}

// liveTasks lists the job's tasks that have not stopped.
func (c *cluster) liveTasks(jobID string) (live []*task) {
	for _, t := range c.byJob[jobID] {
		if !t.stopped() {
			live = append(live, t)
		}
	}
	return live
}

// definition is the only task definition; "missing" is none.
func definition(name string) (spot.TaskDefinition, error) {
	if name == "missing" {
		return spot.TaskDefinition{}, fmt.Errorf("%w: %s", spot.ErrNoTaskDefinition, name)
	}
	return spot.TaskDefinition{
		ARN: "arn:aws:ecs:eu-west-1:123456789012:task-definition/job:7", Family: "job", Revision: 7, Active: true, Fargate: true,
		CPU: "256", Memory: "512",
		ContainerDefs: []spot.ContainerDef{{Name: "main", Essential: true, LogGroup: "/jobs", LogStreamPrefix: "job"}},
	}, nil
}

// owner is the job that a startedBy names.
func owner(startedBy string) string {
	jobID, _, _ := spot.Owner(runner, startedBy)
	return jobID
}
