package spot

import (
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func exit(code int) *int { return &code }

// runningJob is a job whose first attempt runs on Spot.
func runningJob(change ...func(*jobs.Job)) *jobs.Job {
	j := newJob(change...)
	j.BeginAttempt(Provider(j), noon)
	j.TaskCreated("arn:task/batch/1")
	j.TaskRunning(noon)
	return j
}

func newJob(change ...func(*jobs.Job)) *jobs.Job {
	j := jobs.Accepted(jobs.Acceptance{JobID: "job-1", Container: "main", Request: jobs.Request{
		JobName: "report", TaskDefinition: "job:7",
		Capacity:      jobs.Capacity{Strategy: jobs.SpotThenOnDemand, SpotAttempts: 1, ExitZeroOnInterruption: jobs.ExitZeroRetry},
		RetryStrategy: jobs.RetryStrategy{Attempts: 1, BackoffSeconds: 10},
		Timeout:       jobs.Timeout{AttemptDurationSeconds: 86_400, StartWithinSeconds: 86_400, TotalSeconds: 14 * 86_400},
	}}, noon)
	for _, c := range change {
		c(j)
	}
	return j
}

// stoppedTask is the STOPPED event of the running job's task; its container ran a minute.
func stoppedTask(stopCode, stoppedReason string, code *int, containerReason string) Task {
	return Task{
		ARN: "arn:task/batch/1", StartedBy: "test/job-1/1", Version: 5, LastStatus: "STOPPED", DesiredStatus: "STOPPED",
		StopCode: stopCode, StoppedReason: stoppedReason, StartedAt: noon,
		StoppingAt: noon.Add(time.Minute), ExecutionStoppedAt: noon.Add(80 * time.Second), StoppedAt: noon.Add(100 * time.Second),
		Containers: []Container{{Name: "main", ExitCode: code, Reason: containerReason}},
	}
}

const (
	spotReason   = "Your Spot Task was interrupted."
	exitedReason = "Essential container in task exited"

	maintenanceReason = "ECS is performing maintenance on the underlying infrastructure hosting the task"
)

func TestCauseOfAStoppedTaskThatRan(t *testing.T) {
	t.Parallel()
	early := func(t Task) Task { t.ExecutionStoppedAt = t.StoppingAt.Add(-time.Second); return t }
	cancelled := func(j *jobs.Job) { j.RequestCancel("not needed", noon) }
	noticed := func(j *jobs.Job) { j.Interrupted(noon.Add(time.Minute)) }
	timedOut := func(j *jobs.Job) { j.DecideStop(jobs.StopAttemptClock) }
	notRunning := func(j *jobs.Job) { j.DecideStop(jobs.StopNotRunning) }
	succeedOnZero := func(j *jobs.Job) { j.Request.Capacity.ExitZeroOnInterruption = jobs.ExitZeroSucceed }
	for name, c := range map[string]struct {
		task  Task
		given []func(*jobs.Job)
		want  jobs.Cause
	}{
		"exit 0 by itself":                             {stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), nil, jobs.CauseSucceeded},
		"exit 0 by itself after a cancel":              {stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), do(cancelled), jobs.CauseSucceeded},
		"exit 0 a second before the cancel stopped it": {early(stoppedTask(stopUserInitiated, "x", exit(0), "")), do(cancelled), jobs.CauseSucceeded},
		"exit 0 because of the cancel's SIGTERM":       {stoppedTask(stopUserInitiated, "x", exit(0), ""), do(cancelled), jobs.CauseCancelled},
		"killed after a cancel":                        {stoppedTask(stopUserInitiated, "x", exit(137), ""), do(cancelled), jobs.CauseCancelled},
		"exit 1 by itself after a cancel":              {stoppedTask(stopEssentialExited, exitedReason, exit(1), ""), do(cancelled), jobs.CauseCancelled},
		"cancelled before Spot took it":                {stoppedTask(stopSpot, spotReason, exit(143), ""), do(cancelled), jobs.CauseCancelled},
		"the attempt's clock ran out":                  {stoppedTask(stopUserInitiated, "x", exit(143), ""), do(timedOut), jobs.CauseTimedOut},
		"the clock ran out and it exited 0 at SIGTERM": {stoppedTask(stopUserInitiated, "x", exit(0), ""), do(timedOut), jobs.CauseTimedOut},
		"the clock ran out as Spot took it":            {stoppedTask(stopSpot, spotReason, exit(143), ""), do(timedOut), jobs.CauseTimedOut},
		"stopped by us because it never ran":           {stoppedTask(stopUserInitiated, jobs.StopNotRunning.Reason(), nil, ""), do(notRunning), jobs.CausePlatformFailure},
		"Spot, as AWS says it now":                     {stoppedTask(stopSpot, spotReason, exit(143), ""), nil, jobs.CauseSpotInterruption},
		"Spot, as AWS said it in 2023":                 {stoppedTask(stopSpotUntil2023, spotReason, exit(137), ""), nil, jobs.CauseSpotInterruption},
		"Spot without any stop code":                   {stoppedTask("", spotReason, exit(1), ""), nil, jobs.CauseSpotInterruption},
		"Spot, by the documented error category":       {stoppedTask("", "SpotInterruptionError: x", exit(2), ""), nil, jobs.CauseSpotInterruption},
		"Spot and an exit 0 saves a checkpoint":        {stoppedTask(stopSpot, spotReason, exit(0), ""), nil, jobs.CauseSpotInterruption},
		"Spot and an exit 0 may be declared success":   {stoppedTask(stopSpot, spotReason, exit(0), ""), do(succeedOnZero), jobs.CauseSucceeded},
		"Spot without an exit code":                    {stoppedTask(stopSpot, spotReason, nil, ""), do(succeedOnZero), jobs.CauseSpotInterruption},
		"exit 0 a second before the notice":            {early(stoppedTask(stopSpot, spotReason, exit(0), "")), nil, jobs.CauseSucceeded},
		"the notice was seen, the end does not say it": {stoppedTask(stopEssentialExited, exitedReason, exit(1), ""), do(noticed), jobs.CauseSpotInterruption},
		"a notice was seen and it exited 0 by itself":  {stoppedTask(stopEssentialExited, exitedReason, exit(0), ""), do(noticed), jobs.CauseSpotInterruption},
		"stopped by hand":                              {stoppedTask(stopUserInitiated, "Task stopped by user", exit(143), ""), nil, jobs.CauseCancelled},
		"stopped by hand and exited 0":                 {stoppedTask(stopUserInitiated, "Task stopped by user", exit(0), ""), nil, jobs.CauseCancelled},
		"out of memory":                                {stoppedTask(stopEssentialExited, exitedReason, exit(137), "OutOfMemoryError: Container killed due to memory usage"), nil, jobs.CauseOutOfMemory},
		"out of memory, as the page words it":          {stoppedTask(stopEssentialExited, exitedReason, exit(137), "Container killed due to memory usage"), nil, jobs.CauseOutOfMemory},
		"137 alone is not out of memory":               {stoppedTask(stopEssentialExited, exitedReason, exit(137), ""), nil, jobs.CauseExitNonzero},
		"exit 1":                                       {stoppedTask(stopEssentialExited, exitedReason, exit(1), ""), nil, jobs.CauseExitNonzero},
		"a missing exit code is never success":         {stoppedTask(stopEssentialExited, exitedReason, nil, ""), nil, jobs.CausePlatformFailure},
		"a runtime error without an exit code":         {stoppedTask(stopEssentialExited, exitedReason, nil, "ContainerRuntimeTimeoutError: Could not transition to running; timed out after waiting 3m0s"), nil, jobs.CausePlatformFailure},
		"infrastructure, a stop code of later years":   {stoppedTask("InfrastructureHealth", "x", exit(143), ""), nil, jobs.CausePlatformFailure},
		"maintenance, without a stop code":             {stoppedTask("", maintenanceReason, exit(143), ""), nil, jobs.CausePlatformFailure},
		"maintenance is nobody's hand":                 {stoppedTask(stopUserInitiated, maintenanceReason, exit(143), ""), nil, jobs.CausePlatformFailure},
		"maintenance as its clock ran out":             {stoppedTask("", maintenanceReason, exit(143), ""), do(timedOut), jobs.CausePlatformFailure},
		"maintenance with exit 0 at its SIGTERM":       {stoppedTask("", maintenanceReason, exit(0), ""), nil, jobs.CausePlatformFailure},
		"task retirement with exit 0 at its SIGTERM":   {stoppedTask("TaskRetirement", "x", exit(0), ""), nil, jobs.CausePlatformFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := runningJob()
			for _, given := range c.given {
				given(j)
			}
			if got, _ := causeOf(j, j.Live(), c.task); got != c.want {
				t.Errorf("cause %s, want %s", got, c.want)
			}
		})
	}
}

func do(changes ...func(*jobs.Job)) []func(*jobs.Job) { return changes }

func TestTheJobsContainerIsFoundByNameNotByPlace(t *testing.T) {
	t.Parallel()
	task := stoppedTask(stopEssentialExited, exitedReason, exit(0), "")
	task.Containers = []Container{{Name: "sidecar", ExitCode: exit(9)}, {Name: "main", ExitCode: exit(0)}}
	j := runningJob()
	if got, _ := causeOf(j, j.Live(), task); got != jobs.CauseSucceeded {
		t.Errorf("cause %s, want SUCCEEDED: the sidecar's exit code was taken", got)
	}
}

// TestCauseOfATaskThatNeverRan has every row of the facts' table of stopped reasons that concerns Fargate.
func TestCauseOfATaskThatNeverRan(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]jobs.Cause{
		"Capacity is unavailable at this time. Please try again later or in a different availability zone":                          jobs.CauseNoCapacity,
		"You’ve reached the limit on the number of vCPUs you can run concurrently":                                                  jobs.CauseQuota,
		"You've reached the limit on the number of tasks you can run concurrently":                                                  jobs.CauseQuota,
		"Unexpected EC2 error while attempting to Create Network Interface in subnet 'subnet-1': InsufficientFreeAddressesInSubnet": jobs.CauseSubnetFull,
		"The specified subnet does not have enough free addresses to satisfy the request.":                                          jobs.CauseSubnetFull,

		"Timeout waiting for network interface provisioning to complete.":                                                                                jobs.CausePlatformFailure,
		"Timeout waiting for EphemeralStorage provisioning to complete":                                                                                  jobs.CausePlatformFailure,
		"Network interface provision complete error timeout wait for network interface provision.":                                                       jobs.CausePlatformFailure,
		"Rate limit exceeded while preparing network interface to be attached to instance":                                                               jobs.CausePlatformFailure,
		"Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled: AuthFailure":                               jobs.CausePlatformFailure,
		"CannotPullContainerError: pull image manifest has been retried 5 time(s): dial tcp 1.2.3.4:443: i/o timeout":                                    jobs.CausePlatformFailure,
		"CannotPullContainerError: failed to copy: httpReadSeeker: failed open: unexpected EOF":                                                          jobs.CausePlatformFailure,
		"CannotPullContainerError: read: EOF":                                                                                                            jobs.CausePlatformFailure,
		"CannotPullContainerError: ref pull has been retried 1 time(s): invalid argument":                                                                jobs.CausePlatformFailure,
		"CannotPullContainerError: toomanyrequests: You have reached your pull rate limit":                                                               jobs.CausePlatformFailure,
		"ResourceInitializationError: pull command failed: : signal: killed":                                                                             jobs.CausePlatformFailure,
		"ResourceInitializationError: unable to pull secrets: RequestCanceled: request context canceled":                                                 jobs.CausePlatformFailure,
		"Unexpected EC2 error while attempting to attach network interface to instance":                                                                  jobs.CausePlatformFailure,
		"Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 'subnet-1': RequestLimitExceeded": jobs.CausePlatformFailure,
		"ResourceInitializationError: failed to configure ENI: failed to setup regular eni: netplugin failed with no error message":                      jobs.CausePlatformFailure,
		"ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secrets from ssm: service call has been retried 5 time(s): ThrottlingException: Rate exceeded": jobs.CausePlatformFailure,
		"ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): ServerException: InternalFailure":  jobs.CausePlatformFailure,
		"ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ThrottlingException: Rate exceeded : exit status 1":                             jobs.CausePlatformFailure,
		"CannotPullECRContainerError: ThrottlingException: Rate exceeded status code: 400, request id: 75567eb3":                                                                                                                      jobs.CausePlatformFailure,
		"CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to resolve ref public.ecr.aws/x/y:1: unexpected status from HEAD request: 503 Service Unavailable":                                          jobs.CausePlatformFailure,
		"CannotPullContainerError: containerd: pull command failed: failed to extract layer sha256:1: context ca...":                                                                                                                  jobs.CausePlatformFailure,
		"CannotPullContainerError: Get https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/: net/http: TLS handshake timeout":                                                                                                     jobs.CausePlatformFailure,
		"InternalError: something":                          jobs.CausePlatformFailure,
		"CannotStartContainerError: something new":          jobs.CausePlatformFailure,
		"CannotCreateContainerError: something new":         jobs.CausePlatformFailure,
		"CannotCreateVolumeError: something new":            jobs.CausePlatformFailure,
		"CannotInspectContainerError: could not transition": jobs.CausePlatformFailure,
		"Task failed to start":                              jobs.CausePlatformFailure,
		"a sentence that AWS has not written yet":           jobs.CausePlatformFailure,
		"": jobs.CausePlatformFailure,

		"Unexpected EC2 error while attempting to Create Network Interface: InvalidSecurityGroup":                                        jobs.CauseStartFailed,
		"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref example: not found":             jobs.CauseStartFailed,
		"CannotPullContainerError: manifest unknown":                                                                                     jobs.CauseStartFailed,
		"CannotPullContainerError: pull access denied":                                                                                   jobs.CauseStartFailed,
		"CannotPullContainerError: no basic auth credentials":                                                                            jobs.CauseStartFailed,
		"CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'":                           jobs.CauseStartFailed,
		"ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed":                      jobs.CauseStartFailed,
		"ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: ResourceNotFoundException": jobs.CauseStartFailed,
		"ResourceInitializationError: failed to invoke EFS utils commands to set up EFS volumes":                                         jobs.CauseStartFailed,
		"Fetching secret data from AWS Secrets Manager in region us-east-1: AccessDeniedException":                                       jobs.CauseStartFailed,
		"CannotStartContainerError: exec: \"nosuch\": executable file not found in $PATH":                                                jobs.CauseStartFailed,
		"CannotStartContainerError: exec: \"/bin/sh\": argument list too long":                                                           jobs.CauseStartFailed,
		"CannotStartContainerError: exec format error":                                                                                   jobs.CauseStartFailed,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			j := newJob()
			j.BeginAttempt(jobs.FargateSpot, noon)
			task := stoppedTask(stopTaskFailedToStart, reason, nil, reason)
			task.StartedAt = time.Time{}
			if got, _ := causeOf(j, j.Live(), task); got != want {
				t.Errorf("cause %s, want %s", got, want)
			}
		})
	}
}

func TestClassifyFailure(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]jobs.Cause{
		"Capacity is unavailable at this time. Please try again later or in a different availability zone": jobs.CauseNoCapacity,
		"You’ve reached the limit on the number of vCPUs you can run concurrently":                         jobs.CauseQuota,
		"You've reached the limit on the number of tasks you can run concurrently":                         jobs.CauseQuota,
		"The requested CPU configuration is above your limit":                                              jobs.CauseLaunchRejected,
		"The requested MEMORY configuration is above your limit":                                           jobs.CauseLaunchRejected,
		"RESOURCE:MEMORY":   jobs.CausePlatformFailure,
		"RESOURCE:ENI":      jobs.CausePlatformFailure,
		"AGENT":             jobs.CausePlatformFailure,
		"something unknown": jobs.CausePlatformFailure,
		"the subnet does not have enough free addresses": jobs.CauseSubnetFull,
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			if got := ClassifyFailure(reason); got != want {
				t.Errorf("cause %s, want %s", got, want)
			}
		})
	}
}
