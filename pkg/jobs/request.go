package jobs

import "time"

// Request is a job request as accepted: validated, with every default filled in. What a field means and which values it
// may have is in docs/request.md; the limits are checked in validate.go.
type Request struct {
	// JobName names the kind of work, 1-128 of letters, digits, '-', '_'. Many jobs share one name.
	JobName string `json:"jobName"`
	// JobID is the caller's idempotency key, 1-64 of letters, digits, '-', '_'. Empty: see ResolveID.
	JobID string `json:"jobId,omitempty"`
	// Schedule is put there by EventBridge Scheduler; it identifies one firing of one schedule.
	Schedule *Schedule `json:"schedule,omitempty"`
	// TaskDefinition is a family, family:revision or ARN; the engine pins a family to its revision at acceptance.
	TaskDefinition string `json:"taskDefinition"`
	// ContainerOverrides changes the job's container for this job. The engine fills in Name at acceptance.
	ContainerOverrides ContainerOverrides `json:"containerOverrides,omitzero"`
	// EphemeralStorageGiB is 21-200; 0 means Fargate's own default of 20 GiB.
	EphemeralStorageGiB int               `json:"ephemeralStorageGiB,omitempty"`
	Capacity            Capacity          `json:"capacity"`
	RetryStrategy       RetryStrategy     `json:"retryStrategy"`
	Timeout             Timeout           `json:"timeout"`
	Tags                map[string]string `json:"tags,omitempty"`
}

// Schedule identifies one firing: EventBridge Scheduler's <aws.scheduler.schedule-arn> and <aws.scheduler.scheduled-time>.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
type Schedule struct {
	ARN           string `json:"arn"`
	ScheduledTime string `json:"scheduledTime"`
}

// ContainerOverrides is what a request may change of the job's container and of the task's size.
type ContainerOverrides struct {
	// Name is the container whose exit code is the job's; default: the only essential container.
	Name        string   `json:"name,omitempty"`
	Command     []string `json:"command,omitempty"`
	Environment []EnvVar `json:"environment,omitempty"`
	// CPU (units, 1024 = 1 vCPU) and Memory (MiB) are sent as the task's own overrides; decimal strings, as ECS has them.
	CPU    string `json:"cpu,omitempty"`
	Memory string `json:"memory,omitempty"`
}

// EnvVar is one environment variable. Values are never logged, published or quoted in errors.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Strategy says which capacity a job may use.
type Strategy string

// The strategies.
const (
	SpotThenOnDemand Strategy = "SPOT_THEN_ON_DEMAND"
	SpotOnly         Strategy = "SPOT"
	OnDemand         Strategy = "ON_DEMAND"
)

// ExitZero says what an exit code of 0 means after Spot's notice.
type ExitZero string

// The two meanings of exit 0 after a notice.
const (
	// ExitZeroRetry: the program saved a checkpoint at SIGTERM and is not done. The default.
	ExitZeroRetry ExitZero = "RETRY"
	// ExitZeroSucceed: exit 0 is success whenever it comes.
	ExitZeroSucceed ExitZero = "SUCCEED"
)

// Capacity says where the job may run.
type Capacity struct {
	Strategy Strategy `json:"strategy"`
	// SpotAttempts, 1-10: interruptions after which the job goes on-demand (strategy SPOT: has FAILED).
	SpotAttempts           int      `json:"spotAttempts,omitempty"`
	ExitZeroOnInterruption ExitZero `json:"exitZeroOnInterruption"`
}

// RetryStrategy bounds the attempts that the job's own failures may use up.
type RetryStrategy struct {
	// Attempts, 1-10: how many attempts may end in the job's own failure before the job has FAILED.
	Attempts       int        `json:"attempts"`
	EvaluateOnExit []ExitRule `json:"evaluateOnExit,omitempty"`
	BackoffSeconds int        `json:"backoffSeconds"`
}

// ExitAction is what an ExitRule asks for.
type ExitAction string

// The exit actions, as AWS Batch has them.
const (
	ActionRetry ExitAction = "RETRY"
	ActionExit  ExitAction = "EXIT"
)

// ExitRule is one of AWS Batch's evaluateOnExit rules; an empty pattern matches everything.
// https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
type ExitRule struct {
	OnExitCode     string     `json:"onExitCode,omitempty"`
	OnReason       string     `json:"onReason,omitempty"`
	OnStatusReason string     `json:"onStatusReason,omitempty"`
	Action         ExitAction `json:"action"`
}

// Timeout holds the job's three clocks, in seconds.
type Timeout struct {
	AttemptDurationSeconds int `json:"attemptDurationSeconds"`
	StartWithinSeconds     int `json:"startWithinSeconds"`
	TotalSeconds           int `json:"totalSeconds"`
}

// AttemptDuration is how long one attempt may run, from ECS's startedAt.
func (t Timeout) AttemptDuration() time.Duration {
	return time.Duration(t.AttemptDurationSeconds) * time.Second
}

// StartWithin is how long each wait for a start may take.
func (t Timeout) StartWithin() time.Duration {
	return time.Duration(t.StartWithinSeconds) * time.Second
}

// Total is how long the job may take in all, from its createdAt.
func (t Timeout) Total() time.Duration { return time.Duration(t.TotalSeconds) * time.Second }
