package jobs

// Cause says why an attempt, and in the end a job, ended.
type Cause string

// The causes. What each leads to and which budget it uses is in pkg/spot's policy and in docs/states.md.
const (
	// CauseSucceeded: the job's container exited 0.
	CauseSucceeded Cause = "SUCCEEDED"
	// CauseExitNonzero: the job's container exited otherwise. Uses retryStrategy.attempts.
	CauseExitNonzero Cause = "EXIT_NONZERO"
	// CauseOutOfMemory: the container was killed for memory. Uses retryStrategy.attempts.
	CauseOutOfMemory Cause = "OUT_OF_MEMORY"
	// CauseSpotInterruption: Spot took the task. Uses capacity.spotAttempts, never a retry.
	CauseSpotInterruption Cause = "SPOT_INTERRUPTION"
	// CauseNoCapacity: AWS had no capacity for this provider. Bounded by timeout.startWithinSeconds.
	CauseNoCapacity Cause = "NO_CAPACITY"
	// CauseQuota: a vCPU, task or PROVISIONING quota is reached. Bounded by timeout.startWithinSeconds.
	CauseQuota Cause = "QUOTA"
	// CauseSubnetFull: the subnets have no free address. Bounded by timeout.startWithinSeconds.
	CauseSubnetFull Cause = "SUBNET_FULL"
	// CausePlatformFailure: AWS lost the task or could not start it, through no fault of the job. Five a job.
	CausePlatformFailure Cause = "PLATFORM_FAILURE"
	// CauseDeploymentFault: the deployment is at fault (access denied, cluster missing). Bounded by startWithinSeconds.
	CauseDeploymentFault Cause = "DEPLOYMENT_FAULT"
	// CauseStartFailed: the image, a secret or the log group is wrong: the user's to mend. Final.
	CauseStartFailed Cause = "START_FAILED"
	// CauseLaunchRejected: ECS refuses the request for good. Final.
	CauseLaunchRejected Cause = "LAUNCH_REJECTED"
	// CauseTimedOut: one of the job's clocks ran out and the task was stopped.
	CauseTimedOut Cause = "TIMED_OUT"
	// CauseCancelled: someone cancelled the job or stopped its task by hand. Final.
	CauseCancelled Cause = "CANCELLED"
	// CauseRequestRejected: the request itself was bad; the job never had an attempt. Final.
	CauseRequestRejected Cause = "REQUEST_REJECTED"
)

// Causes lists every cause, in the order of docs/states.md.
func Causes() []Cause {
	return []Cause{
		CauseSucceeded, CauseExitNonzero, CauseOutOfMemory, CauseSpotInterruption, CauseNoCapacity, CauseQuota,
		CauseSubnetFull, CausePlatformFailure, CauseDeploymentFault, CauseStartFailed, CauseLaunchRejected,
		CauseTimedOut, CauseCancelled, CauseRequestRejected,
	}
}

// Is reports whether it is this cause; as cause.Is it is what Count counts.
func (c Cause) Is(cause Cause) bool { return c == cause }

// OwnFailure reports whether the cause is the job's own failure: it uses up retryStrategy.attempts.
func (c Cause) OwnFailure() bool {
	return c == CauseExitNonzero || c == CauseOutOfMemory || c == CauseTimedOut
}

// Refusal reports whether the cause means that the job must wait for somebody else: it is bounded by
// timeout.startWithinSeconds alone.
func (c Cause) Refusal() bool {
	return c == CauseNoCapacity || c == CauseQuota || c == CauseSubnetFull || c == CauseDeploymentFault
}
