package spot

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// life plays attempts of a job one after the other: each entry is how the next task ends.
func life(t *testing.T, j *jobs.Job, ends ...Task) {
	t.Helper()
	now := noon
	for _, end := range ends {
		if j.Ended() {
			t.Fatalf("the job has ended as %s before all attempts were played", j.Cause)
		}
		if now.Before(j.NextAttemptAt.Time) {
			now = j.NextAttemptAt.Time
		}
		j.BeginAttempt(Provider(j), now)
		j.TaskCreated("arn:task/batch/1")
		if end.StopCode != stopTaskFailedToStart {
			j.TaskRunning(now)
		}
		end.Version = 0
		TaskSeen(j, j.Last().Number, end, Moment{Now: now.Add(time.Minute), Roll: 0.5})
	}
}

var (
	endsWell     = stoppedTask(stopEssentialExited, exitedReason, exit(0), "")
	endsWith3    = stoppedTask(stopEssentialExited, exitedReason, exit(3), "")
	endsByMemory = stoppedTask(stopEssentialExited, exitedReason, exit(137), "OutOfMemoryError: Container killed due to memory usage")
	endsBySpot   = stoppedTask(stopSpot, spotReason, exit(143), "")
	endsByUser   = stoppedTask(stopUserInitiated, "Task stopped by user", exit(143), "")
	endsLost     = stoppedTask(stopEssentialExited, exitedReason, nil, "")
)

func neverRan(reason string) Task {
	t := stoppedTask(stopTaskFailedToStart, reason, nil, "")
	t.StartedAt = time.Time{}
	return t
}

// TestWhatFollowsAnEnd is docs/states.md's table of causes and budgets.
func TestWhatFollowsAnEnd(t *testing.T) {
	t.Parallel()
	noCapacity := neverRan("Capacity is unavailable at this time. Please try again later or in a different availability zone")
	noImage := neverRan("CannotPullContainerError: manifest unknown")
	noAddress := neverRan("InsufficientFreeAddressesInSubnet")
	retries := func(n int) func(*jobs.Job) { return func(j *jobs.Job) { j.Request.RetryStrategy.Attempts = n } }
	spotAttempts := func(n int) func(*jobs.Job) { return func(j *jobs.Job) { j.Request.Capacity.SpotAttempts = n } }
	strategy := func(s jobs.Strategy) func(*jobs.Job) { return func(j *jobs.Job) { j.Request.Capacity.Strategy = s } }
	exitOn3 := func(j *jobs.Job) {
		j.Request.RetryStrategy = jobs.RetryStrategy{Attempts: 5, EvaluateOnExit: []jobs.ExitRule{{OnExitCode: "3", Action: jobs.ActionExit}}}
	}
	const waits, over = true, false
	for name, c := range map[string]struct {
		config   []func(*jobs.Job)
		ends     []Task
		status   jobs.Status
		provider jobs.CapacityProvider // of the next attempt
		waits    bool                  // a backoff before it
	}{
		"success":                                         {nil, []Task{endsWell}, jobs.StatusSucceeded, "", over},
		"a failure without retries":                       {nil, []Task{endsWith3}, jobs.StatusFailed, "", over},
		"a failure with a retry waits, on Spot":           {do(retries(2)), []Task{endsWith3}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"the last retry failed":                           {do(retries(2)), []Task{endsWith3, endsWith3}, jobs.StatusFailed, "", over},
		"out of memory uses a retry too":                  {do(retries(2)), []Task{endsByMemory, endsWith3}, jobs.StatusFailed, "", over},
		"a rule may forbid the retry":                     {do(exitOn3), []Task{endsWith3}, jobs.StatusFailed, "", over},
		"an interruption goes on-demand at once":          {nil, []Task{endsBySpot}, jobs.StatusRunnable, jobs.FargateOnDemand, over},
		"an interruption never uses up a retry":           {nil, []Task{endsBySpot, endsWell}, jobs.StatusSucceeded, "", over},
		"spotAttempts keeps it on Spot":                   {do(spotAttempts(3)), []Task{endsBySpot, endsBySpot}, jobs.StatusRunnable, jobs.FargateSpot, over},
		"spotAttempts used up goes on-demand":             {do(spotAttempts(3)), []Task{endsBySpot, endsBySpot, endsBySpot}, jobs.StatusRunnable, jobs.FargateOnDemand, over},
		"Spot only fails when spotAttempts are used up":   {do(strategy(jobs.SpotOnly), spotAttempts(2)), []Task{endsBySpot, endsBySpot}, jobs.StatusFailed, "", over},
		"a bug never buys on-demand capacity":             {do(retries(3)), []Task{endsWith3, endsWith3}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"a failure on on-demand stays there":              {do(retries(2)), []Task{endsBySpot, endsWith3}, jobs.StatusRunnable, jobs.FargateOnDemand, waits},
		"no Spot capacity goes on-demand at once":         {nil, []Task{noCapacity}, jobs.StatusRunnable, jobs.FargateOnDemand, over},
		"no on-demand capacity waits":                     {do(strategy(jobs.OnDemand)), []Task{noCapacity}, jobs.StatusRunnable, jobs.FargateOnDemand, waits},
		"no Spot capacity, Spot only, waits":              {do(strategy(jobs.SpotOnly)), []Task{noCapacity}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"no address waits on the same provider":           {nil, []Task{noAddress}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"a platform failure waits, same provider":         {nil, []Task{endsLost}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"five platform failures are survived":             {nil, []Task{endsLost, endsLost, endsLost, endsLost, endsLost}, jobs.StatusRunnable, jobs.FargateSpot, waits},
		"the sixth platform failure is the end":           {nil, []Task{endsLost, endsLost, endsLost, endsLost, endsLost, endsLost}, jobs.StatusFailed, "", over},
		"a missing image is the end":                      {do(retries(5)), []Task{noImage}, jobs.StatusFailed, "", over},
		"a task stopped by hand is the end":               {do(retries(5)), []Task{endsByUser}, jobs.StatusCancelled, "", over},
		"on-demand alone is never interrupted, but if so": {do(strategy(jobs.OnDemand)), []Task{endsBySpot}, jobs.StatusRunnable, jobs.FargateOnDemand, over},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(c.config...)
			life(t, j, c.ends...)
			if j.Status != c.status {
				t.Fatalf("job %s (%s), want %s", j.Status, j.StatusReason, c.status)
			}
			if j.Ended() {
				return
			}
			if got := Provider(j); got != c.provider {
				t.Errorf("the next attempt runs on %s, want %s", got, c.provider)
			}
			if got := j.NextAttemptAt.After(j.Last().CreatedAt.Time.Add(time.Minute)); got != c.waits {
				t.Errorf("a backoff: %v (next attempt at %v), want %v", got, j.NextAttemptAt, c.waits)
			}
		})
	}
}

func TestTheEndOfAJobSaysHowManyAttemptsItWasAllowed(t *testing.T) {
	t.Parallel()
	allow := func(attempts int) func(*jobs.Job) {
		return func(j *jobs.Job) {
			j.Request.RetryStrategy.Attempts = attempts
			j.Request.Capacity = jobs.Capacity{Strategy: jobs.SpotOnly, SpotAttempts: attempts}
		}
	}
	for want, c := range map[string]struct {
		allowed int
		ends    []Task
	}{
		"Attempt 1 exited 3 on FARGATE_SPOT; retryStrategy allows one attempt.": {1, []Task{endsWith3}},
		"Attempt 2 exited 3 on FARGATE_SPOT; all 2 attempts are used up.":       {2, []Task{endsWith3, endsWith3}},
		"Spot took attempt 1 away; capacity allows one Spot attempt.":           {1, []Task{endsBySpot}},
		"Spot took attempt 2 away; all 2 Spot attempts are used up.":            {2, []Task{endsBySpot, endsBySpot}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			j := newJob(allow(c.allowed))
			life(t, j, c.ends...)
			if j.Status != jobs.StatusFailed || j.StatusReason != want {
				t.Errorf("%s: %q", j.Status, j.StatusReason)
			}
		})
	}
}

func TestRuledOutTellsWhetherTheRulesEndedAJob(t *testing.T) {
	t.Parallel()
	strategy := func(attempts int, rules ...jobs.ExitRule) jobs.RetryStrategy {
		return jobs.RetryStrategy{Attempts: attempts, EvaluateOnExit: rules}
	}
	rule := jobs.ExitRule{OnExitCode: "3", Action: jobs.ActionExit}
	for name, c := range map[string]struct {
		strategy jobs.RetryStrategy
		ends     []Task
		want     bool
	}{
		"a rule, with attempts left":  {strategy(5, rule), []Task{endsWith3}, true},
		"a rule, at the last attempt": {strategy(2, rule), []Task{endsByMemory, endsWith3}, true},
		"no rule":                     {strategy(2), []Task{endsWith3, endsWith3}, false},
		"the job goes on":             {strategy(2), []Task{endsWith3}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(func(j *jobs.Job) { j.Request.RetryStrategy = c.strategy })
			life(t, j, c.ends...)
			if got := RuledOut(j); got != c.want {
				t.Errorf("got %v for %q", got, j.StatusReason)
			}
		})
	}
}

func TestAttemptsThatNeverStartedAreFolded(t *testing.T) {
	t.Parallel()
	j := newJob()
	failed := neverRan("Timeout waiting for network interface provisioning to complete.")
	life(t, j, failed, failed, failed, endsWell)
	if len(j.Attempts) != 2 || j.Attempts[0].Repeats != 2 || j.Attempts[0].Number != 3 || j.Attempts[1].Number != 4 {
		t.Errorf("attempts %+v; want the third with 2 repeats, and the fourth", j.Attempts)
	}
	if got := j.Count(jobs.CausePlatformFailure.Is); got != 3 {
		t.Errorf("%d platform failures counted, want 3: folded ones count", got)
	}
}

func TestAttemptsOfTwoProvidersAreNotFolded(t *testing.T) {
	t.Parallel()
	j := newJob()
	noCapacity := neverRan("Capacity is unavailable at this time.")
	life(t, j, noCapacity, noCapacity, noCapacity)
	if len(j.Attempts) != 2 || j.Attempts[0].CapacityProvider != jobs.FargateSpot || j.Attempts[1].Repeats != 1 {
		t.Errorf("attempts %+v; want one on Spot, and two on-demand in one entry", j.Attempts)
	}
}

// TestEveryLifeEnds plays random lives: whatever happens, a job ends within its budgets, never moves again, and never runs
// on on-demand unless the rules say so.
func TestEveryLifeEnds(t *testing.T) {
	t.Parallel()
	ends := []Task{
		endsWell, endsWith3, endsByMemory, endsBySpot, endsByUser, endsLost,
		neverRan("Capacity is unavailable at this time."), neverRan("Timeout waiting for network interface provisioning to complete."),
		neverRan("InsufficientFreeAddressesInSubnet"), neverRan("CannotPullContainerError: manifest unknown"),
	}
	rapid.Check(t, func(t *rapid.T) {
		j := newJob(func(j *jobs.Job) {
			j.Request.Capacity.Strategy = rapid.SampledFrom([]jobs.Strategy{jobs.SpotThenOnDemand, jobs.SpotOnly, jobs.OnDemand}).Draw(t, "strategy")
			j.Request.Capacity.SpotAttempts = rapid.IntRange(1, 10).Draw(t, "spotAttempts")
			j.Request.RetryStrategy.Attempts = rapid.IntRange(1, 10).Draw(t, "attempts")
		})
		times, now := AWSTimes(), noon
		interruptions, refusedOnSpot := 0, false
		for round := 0; !j.Ended(); round++ {
			if round > 5000 {
				t.Fatalf("no end after %d rounds: %s", round, j.StatusReason)
			}
			if now.Before(j.NextAttemptAt.Time) {
				now = j.NextAttemptAt.Time
			}
			if Next(j, now, times) == StepEnd {
				EndUnstarted(j, times, Moment{Now: now})
				break
			}
			provider := Provider(j)
			allowed := interruptions >= j.Request.Capacity.SpotAttempts || refusedOnSpot
			if provider == jobs.FargateOnDemand && j.Request.Capacity.Strategy == jobs.SpotThenOnDemand && !allowed {
				t.Fatalf("on-demand after %d interruptions, refused on Spot: %v", interruptions, refusedOnSpot)
			}
			before := j.Clone()
			j.BeginAttempt(provider, now)
			j.TaskCreated("arn:task/batch/1")
			end := rapid.SampledFrom(ends).Draw(t, "end")
			if !end.StartedAt.IsZero() {
				end.StartedAt = now
				j.TaskRunning(now)
			}
			now = now.Add(time.Minute)
			TaskSeen(j, j.Last().Number, end, Moment{Now: now, Roll: rapid.Float64Range(0, 0.999).Draw(t, "roll")})
			j.Internal.DueAt = Due(j, times, Moment{Now: now})
			if err := jobs.Check(before, j); err != nil {
				t.Fatal(err)
			}
			if j.Last().Cause == jobs.CauseSpotInterruption {
				interruptions++
			}
			refusedOnSpot = refusedOnSpot || j.Last().Cause == jobs.CauseNoCapacity && provider == jobs.FargateSpot
		}
		final := j.Clone()
		TaskSeen(j, j.Last().Number, endsWell, Moment{Now: now})
		if j.Status != final.Status || j.Cause != final.Cause {
			t.Fatalf("an ended job moved from %s to %s", final.Status, j.Status)
		}
	})
}
