package sim

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var (
	full  = flag.Bool("full", false, "storms at their full size")
	share = flag.Float64("share", 2.2,
		"SPOTBATCH_LAUNCHES_PER_SECOND in storms; the template's default is 2.2 for 4 instances of each function")
)

// size is a storm's number of jobs: a fiftieth unless -full.
func size(n int) int {
	if *full {
		return n
	}
	return max(n/50, 1)
}

// storm is a plan of n jobs that come evenly over a time.
func storm(n int, over time.Duration, body string) Plan {
	p := Plan{
		Seed: 1, LaunchBurst: 100, LaunchRate: 20, Quota: 1 << 30, Concurrency: 4, LaunchesPerSecond: *share, Chaos: over + time.Hour,
		Fate: func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
			return fate{
				startsIn: d.between(20*time.Second, time.Minute), lasts: d.between(time.Minute, 5*time.Minute),
				code: exit(0), onTerm: exit(143), stopIn: time.Second, notice: "SpotInterruption",
			}
		},
	}
	for i := range n {
		p.Requests = append(p.Requests, Request{At: over * time.Duration(i) / time.Duration(n), Body: fmt.Sprintf(body, i)})
	}
	return p
}

const stormJob = `{"jobId":"job-%d","jobName":"storm","taskDefinition":"job","timeout":{"startWithinSeconds":172800}}`

// ride lets a storm happen, tells its figures and returns its world.
func ride(t *testing.T, p Plan) *World {
	t.Helper()
	began := time.Now()
	w := newWorld(p)
	w.live()
	took := time.Since(began)
	if w.violation != nil {
		t.Fatal(w.violation)
	}
	runs := 0
	for _, n := range w.made["RunTask"] {
		runs += n
	}
	ends := map[jobs.Status]int{}
	for _, j := range w.table.items {
		ends[j.Status]++
	}
	each := func(n int) float64 { return float64(n) / float64(len(w.table.items)) }
	t.Logf("%d jobs %v; %d tasks on Spot, %d on-demand; %d RunTask calls; throttled calls %v; the last job ended %v after the beginning",
		len(w.table.items), ends, w.cluster.made[jobs.FargateSpot], w.cluster.made[jobs.FargateOnDemand], runs, w.cluster.overRate,
		w.lastEnd.Sub(beginning).Round(time.Second))
	t.Logf("a job took %.1f calls of all kinds and %.1f saves; %v of real time, %.0f jobs a second", each(w.calls), each(w.saves),
		took.Round(time.Millisecond), float64(len(w.table.items))/took.Seconds())
	if n := w.cluster.overRate["RunTask"]; n*100 > runs {
		t.Errorf("%d of %d RunTask calls were throttled: more than 1 %%", n, runs)
	}
	return w
}

// wantAll fails unless all jobs ended one way.
func wantAll(t *testing.T, w *World, n int, status jobs.Status) {
	t.Helper()
	got := 0
	for _, j := range w.table.items {
		if j.Status == status {
			got++
		}
	}
	if got != n {
		t.Errorf("%d of %d jobs ended as %s", got, n, status)
	}
}

// TestStormOfRequestsWhileSubnetsAreFull: 96,191 requests within two hours, 44 % of the launches without an address for
// twenty minutes, 10 % interruptions. The time is held against what the launch rate of each provider allows.
func TestStormOfRequestsWhileSubnetsAreFull(t *testing.T) {
	t.Parallel()
	over := 2 * time.Hour
	if !*full {
		over /= 50
	}
	n := size(96_191)
	p := storm(n, over, stormJob)
	p.Spells = []Spell{{SubnetsFull, over / 4, over/4 + over/6, 0.44}}
	p.Fate = func(d dice, _ string, attempt int, onSpot bool, _ time.Duration) fate {
		return fate{
			startsIn: d.between(20*time.Second, time.Minute), lasts: d.between(time.Minute, 5*time.Minute), code: exit(0),
			taken: onSpot && attempt < 10 &&
				d.chance(0.1), spotIn: 30 * time.Second, onTerm: exit(143), stopIn: time.Second, notice: "SpotInterruption",
		}
	}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if !*full {
		return
	}
	// The last job needs its minutes, on Spot and, once interrupted, again on-demand.
	allowed := over
	for _, made := range w.cluster.made {
		allowed = max(allowed, time.Duration(float64(made-100)/20)*time.Second)
	}
	allowed += 13 * time.Minute
	took := w.lastEnd.Sub(beginning)
	t.Logf("%v of %v that requests and launch rates need: %.3f", took, allowed, took.Seconds()/allowed.Seconds())
	if took.Seconds() > 1.05*allowed.Seconds() {
		t.Errorf("it took %v, more than 1.05 x %v", took, allowed)
	}
}

// TestStormOfReclaims: Spot takes 5,000 tasks in one second.
func TestStormOfReclaims(t *testing.T) {
	t.Parallel()
	n := size(5000)
	p := storm(n, 10*time.Minute, stormJob)
	p.Reclaim = 30 * time.Minute
	p.Fate = func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
		return fate{
			startsIn: d.between(20*time.Second, time.Minute), lasts: time.Hour, code: exit(0), onTerm: exit(143),
			stopIn: d.between(time.Second, 30*time.Second), notice: "SpotInterruption",
		}
	}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if od := w.cluster.made[jobs.FargateOnDemand]; od != n {
		t.Errorf("%d tasks on-demand for %d that Spot took", od, n)
	}
	var last time.Duration
	for _, task := range w.cluster.tasks {
		last = max(last, task.states[0].at.Sub(beginning)-p.Reclaim)
	}
	// The tasks stop within half a minute; then all instances of both functions launch.
	needed := 30*time.Second + time.Duration(float64(n)/(8**share)*float64(time.Second))
	t.Logf("the last launch came %v after the reclaim, where stopping and the launch rate need %v; no event waited for longer than %v",
		last.Round(time.Second), needed.Round(time.Second), w.events.longest.Round(time.Second))
	if last > needed*125/100 {
		t.Errorf("the last launch came %v after the reclaim, which takes %v", last, needed)
	}
	if w.events.longest > time.Minute {
		t.Errorf("an event waited for %v", w.events.longest)
	}
}

// TestStormOfCancels has users cancel 5,000 running jobs within a minute, twice what ECS lets be stopped and four times what it
// lets be asked for, while 5,000 others come: StopTask shares RunTask's rate, and must not take it away.
func TestStormOfCancels(t *testing.T) {
	t.Parallel()
	n := size(5000)
	const at = 30 * time.Minute
	p := storm(2*n, 10*time.Minute, stormJob)
	for i := range p.Requests {
		if r := &p.Requests[i]; i < n {
			r.At = time.Minute * time.Duration(i) / time.Duration(n)
			r.CancelAt = at + r.At
		} else {
			r.At += at - 5*time.Minute
		}
	}
	p.Fate = func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
		return fate{startsIn: d.between(20*time.Second, time.Minute), lasts: time.Hour, code: exit(0), onTerm: exit(143), stopIn: time.Second}
	}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusCancelled)
	wantAll(t, w, n, jobs.StatusSucceeded)
	var stopped, launched time.Duration
	for _, task := range w.cluster.tasks {
		launched = max(launched, task.states[0].at.Sub(beginning)-at)
		if task.StopCode == "UserInitiated" {
			stopped = max(stopped, task.StoppedAt.Sub(beginning)-at)
		}
	}
	t.Logf("the last cancelled task ended %v after the first cancel, the last launch was after %v; no event waited for longer than %v",
		stopped.Round(time.Second), launched.Round(time.Second), w.events.longest.Round(time.Second))
	if n := w.cluster.overRate["StopTask"] + w.cluster.overRate["DescribeTasks"]; n > 0 {
		t.Errorf("%d calls that stop or look at tasks were throttled", n)
	}
	if stopped > 9*time.Minute {
		t.Errorf("the last cancelled task ended after %v", stopped)
	}
}

// TestADayWithoutSpot: what may run on-demand does so at once, what may not waits.
func TestADayWithoutSpot(t *testing.T) {
	t.Parallel()
	n := size(2000)
	p := storm(n, time.Hour, stormJob)
	for i := range p.Requests {
		if i%2 == 1 {
			p.Requests[i].Body = fmt.Sprintf(`{"jobId":"job-%d","jobName":"spot","taskDefinition":"job","capacity":{"strategy":"SPOT"},"timeout":{"startWithinSeconds":172800}}`, i)
		}
	}
	p.Chaos, p.Spells = 24*time.Hour, []Spell{{NoSpot, 0, 24 * time.Hour, 1}}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if took := w.lastEnd.Sub(beginning); took > 24*time.Hour+40*time.Minute {
		t.Errorf("the last job ended %v after the beginning", took)
	}
}

// TestHoursInWhichSomethingIsAway has one part of AWS away for a while; all jobs succeed, and soon after.
func TestHoursInWhichSomethingIsAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spell Spell
		after time.Duration // the last job's end, after the spell or the last request
	}{
		"ECS down for an hour":               {Spell{ECSDown, 30 * time.Minute, 90 * time.Minute, 1}, 30 * time.Minute},
		"every event lost for an hour":       {Spell{EventsGone, 30 * time.Minute, 90 * time.Minute, 1}, 30 * time.Minute},
		"the table throttled for 10 minutes": {Spell{StoreDown, 30 * time.Minute, 40 * time.Minute, 1}, 30 * time.Minute},
		"the table throttled for 2 hours":    {Spell{StoreDown, 30 * time.Minute, 150 * time.Minute, 1}, 80 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := size(5000)
			p := storm(n, 100*time.Minute, stormJob)
			p.Spells, p.Chaos = []Spell{c.spell}, max(p.Chaos, c.spell.Until)
			w := ride(t, p)
			if n := len(w.requests.dead); n > 0 {
				t.Errorf("%d requests were dead-lettered", n)
			}
			wantAll(t, w, n, jobs.StatusSucceeded)
			if made := len(w.cluster.tasks); made != n {
				t.Errorf("%d tasks for %d jobs", made, n)
			}
			if took := w.lastEnd.Sub(beginning); took > 100*time.Minute+c.after {
				t.Errorf("the last job ended %v after the beginning", took)
			}
		})
	}
}

// TestHoursOfAnOutageOfECSAndItsEventsStopNoTaskThatRuns has ECS and its events away together, for longer than a task may take to
// start: what was not heard of has not therefore failed to start.
func TestHoursOfAnOutageOfECSAndItsEventsStopNoTaskThatRuns(t *testing.T) {
	t.Parallel()
	n := size(3000)
	p := storm(n, 100*time.Minute, `{"jobId":"job-%d","jobName":"storm","taskDefinition":"job"}`)
	p.Spells = []Spell{{ECSDown, 30 * time.Minute, 75 * time.Minute, 1}, {EventsGone, 30 * time.Minute, 75 * time.Minute, 1}}
	p.Fate = func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
		return fate{
			startsIn: d.between(20*time.Second, time.Minute), lasts: 3 * time.Hour, code: exit(0), onTerm: exit(143),
			stopIn: time.Second, notice: "SpotInterruption",
		}
	}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if made := len(w.cluster.tasks); made != n {
		t.Errorf("%d tasks for %d jobs", made, n)
	}
}

// TestStormOfLostTasks has the table away for so long that ECS forgets 5,000 tasks whose events were lost: all are lost, and come
// back as the launch rate and ECS's other rates allow.
func TestStormOfLostTasks(t *testing.T) {
	t.Parallel()
	n := size(5000)
	p := storm(n, 20*time.Minute, stormJob)
	p.Chaos, p.Spells = 190*time.Minute, []Spell{{StoreDown, 30 * time.Minute, 180 * time.Minute, 1}, {EventsGone, 0, 190 * time.Minute, 1}}
	p.Fate = func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
		return fate{startsIn: time.Minute, lasts: d.between(30*time.Minute, 35*time.Minute), code: exit(0), onTerm: exit(143), stopIn: time.Second}
	}
	w := ride(t, p)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if made := len(w.cluster.tasks); made != 2*n {
		t.Errorf("%d tasks, want each job's to run again", made)
	}
	for call, n := range w.cluster.overRate {
		t.Errorf("%d calls of %s were over the rate", n, call)
	}
}

// TestHoursOfJobsThatTheSweepAloneFollows has every event lost for hours, and more jobs live than one invocation can visit when
// they are due: the sweep goes on in parts.
func TestHoursOfJobsThatTheSweepAloneFollows(t *testing.T) {
	t.Parallel()
	n := size(20_000)
	p := storm(n, 20*time.Minute, stormJob)
	p.Chaos, p.Spells = 5*time.Hour, []Spell{{EventsGone, 0, 5 * time.Hour, 1}}
	p.Fate = func(d dice, _ string, _ int, _ bool, _ time.Duration) fate {
		return fate{startsIn: time.Minute, lasts: d.between(2*time.Hour, 3*time.Hour), code: exit(0), onTerm: exit(143), stopIn: time.Second}
	}
	w := ride(t, p)
	t.Logf("due jobs were visited %v late at the most; %d sweeps handed their rest over", w.latest.Round(time.Second), w.reached["a sweep hands its rest over"]/2)
	wantAll(t, w, n, jobs.StatusSucceeded)
	if w.latest > 3*time.Minute {
		t.Errorf("a job was due for %v", w.latest)
	}
	if *full && w.reached["a sweep hands its rest over"] == 0 {
		t.Error("one invocation could visit all")
	}
	if took := w.lastEnd.Sub(beginning); took > 3*time.Hour+40*time.Minute {
		t.Errorf("the last job ended %v after the beginning", took)
	}
}

// TestPoisonAmongGoodMessages: 10,000 messages that are no requests, among 2,000 that are.
func TestPoisonAmongGoodMessages(t *testing.T) {
	t.Parallel()
	good, bad := size(2000), size(10_000)
	p := storm(good+bad, time.Hour, stormJob)
	for i := range p.Requests {
		if i%6 != 0 {
			p.Requests[i].Body = `{"jobName":"poison","taskDefinition":"job","colour":"` + fmt.Sprint(i) + `"}`
		}
	}
	w := ride(t, p)
	succeeded, rejected := 0, 0
	for _, j := range w.table.items {
		switch j.Cause {
		case jobs.CauseSucceeded:
			succeeded++
		case jobs.CauseRequestRejected:
			rejected++
		}
	}
	if succeeded != good || rejected != bad || len(w.rejected) != bad || len(w.requests.dead) > 0 {
		t.Errorf("%d good of %d succeeded, %d bad of %d are told as rejected, %d in the rejected queue, %d dead", succeeded,
			good, rejected, bad, len(w.rejected), len(w.requests.dead))
	}
	if took := w.lastEnd.Sub(beginning); took > time.Hour+10*time.Minute {
		t.Errorf("the last job ended %v after the beginning", took)
	}
}
