package spot

import "time"

// Times are the engine's times. One struct, because they only make sense together: a call that was never answered can have
// taken effect until FunctionTimeout after it was stored, and is seen by ListTasks Settling later.
type Times struct {
	// Horizon is how far ahead the due time of a job starts for which nothing is due sooner; up to HorizonJitter is added.
	Horizon, HorizonJitter time.Duration
	// FunctionTimeout is the longest that one invocation may live; what was stored longer ago is nobody's work any more.
	FunctionTimeout time.Duration
	// Settling is how long ECS may take to show a task in ListTasks and DescribeTasks.
	Settling time.Duration
	// Lost is for how long ECS must not know a task before it is believed lost: ECS forgets a task an hour after it stopped, and
	// its end may wait in a queue, behind others, for as long as nobody could receive it.
	Lost time.Duration
	// TokenLife is how long after launchedAt a launch may be repeated with its client token. A task that stopped at once
	// keeps its token for an hour: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
	TokenLife time.Duration
	// StartLimit is how long after the call that made it a task may take to run; 0 = no limit.
	StartLimit time.Duration
	// CallRetry is the first backoff after a call that gave no answer.
	CallRetry time.Duration
	// Retention is how long a job is kept once it has ended and its end is published.
	Retention time.Duration
}

// AWSTimes are the times of a deployment on AWS.
func AWSTimes() Times {
	return Times{
		Horizon: 10 * time.Minute, HorizonJitter: 5 * time.Minute, FunctionTimeout: time.Minute, Settling: 5 * time.Minute, Lost: time.Hour,
		TokenLife: 45 * time.Minute, StartLimit: 30 * time.Minute, CallRetry: 2 * time.Second, Retention: 30 * 24 * time.Hour,
	}
}

// LocalTimes are the times on one machine, where nothing is eventually consistent. There is no StartLimit: a task that
// waits in PROVISIONING for its turn (--max-tasks) is not late.
func LocalTimes() Times {
	return Times{
		Horizon: 5 * time.Second, FunctionTimeout: 10 * time.Second, Settling: 10 * time.Second, Lost: time.Minute,
		TokenLife: 45 * time.Minute, CallRetry: 200 * time.Millisecond, Retention: 30 * 24 * time.Hour,
	}
}
