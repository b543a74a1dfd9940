package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func TestStoriesHasOneForEveryCause(t *testing.T) {
	t.Parallel()
	for _, cause := range jobs.Causes() {
		if s, ok := stories[cause]; !ok || s.what == "" || s.budget == nil || s.advice == nil {
			t.Errorf("%s has no story", cause)
		}
	}
	if len(stories) != len(jobs.Causes()) {
		t.Errorf("%d stories for %d causes", len(stories), len(jobs.Causes()))
	}
}

// whyCase is one job and the moment at which somebody asks why.
type whyCase struct {
	name string
	make func(j *jobs.Job)
}

// ended are jobs that have ended, one for each cause at least.
var endedCases = []whyCase{
	{"SUCCEEDED at once", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 750, jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0), Reason: "Essential container in task exited"})
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "Attempt 1 exited 0 on FARGATE_SPOT.", j.Last().StoppedAt.Time)
	}},
	{"SUCCEEDED after an interruption", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 1800, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143), Reason: "Your Spot Task was interrupted."})
		ran(j, jobs.FargateOnDemand, 1811, 2400, jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)})
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "Attempt 2 exited 0 on FARGATE.", j.Last().StoppedAt.Time)
	}},
	{"EXIT_NONZERO twice", func(j *jobs.Job) {
		j.Request.RetryStrategy.Attempts = 2
		ran(j, jobs.FargateSpot, 1, 20, jobs.AttemptEnd{Cause: jobs.CauseExitNonzero, ExitCode: exitCode(1), Reason: "Essential container in task exited"})
		ran(j, jobs.FargateSpot, 45, 20, jobs.AttemptEnd{Cause: jobs.CauseExitNonzero, ExitCode: exitCode(2), Reason: "Essential container in task exited"})
		j.End(jobs.StatusFailed, jobs.CauseExitNonzero, "Attempt 2 exited 2 on FARGATE_SPOT; all 2 attempts are used up.", j.Last().StoppedAt.Time)
	}},
	{"OUT_OF_MEMORY", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 90, jobs.AttemptEnd{Cause: jobs.CauseOutOfMemory, ExitCode: exitCode(137), Reason: "OutOfMemoryError: Container killed due to memory usage"})
		j.End(jobs.StatusFailed, jobs.CauseOutOfMemory, "Attempt 1 was killed for memory on FARGATE_SPOT; all 1 attempts are used up.", j.Last().StoppedAt.Time)
	}},
	{"SPOT_INTERRUPTION on Spot alone", func(j *jobs.Job) {
		j.Request.Capacity = jobs.Capacity{Strategy: jobs.SpotOnly, SpotAttempts: 2}
		ran(j, jobs.FargateSpot, 1, 600, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, Reason: "Your Spot Task was interrupted."})
		ran(j, jobs.FargateSpot, 612, 600, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, Reason: "Your Spot Task was interrupted."})
		j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, "Spot took attempt 2 away; all 2 Spot attempts are used up.", j.Last().StoppedAt.Time)
	}},
	{"NO_CAPACITY for a day", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseNoCapacity, "Capacity is unavailable at this time. Please try again later or in a different availability zone", 1)
		neverRan(j, jobs.FargateOnDemand, jobs.CauseNoCapacity, "Capacity is unavailable at this time.", 40)
		j.End(jobs.StatusFailed, jobs.CauseNoCapacity, "The job did not start within timeout.startWithinSeconds. NO_CAPACITY: Capacity is unavailable at this time.", epoch.Add(24*time.Hour))
	}},
	{"QUOTA", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseQuota, "You've reached the limit on the number of vCPUs you can run concurrently", 12)
		j.End(jobs.StatusFailed, jobs.CauseQuota, "The job did not start within timeout.startWithinSeconds.", epoch.Add(24*time.Hour))
	}},
	{"SUBNET_FULL", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseSubnetFull, "subnet-1 does not have enough free addresses", 1)
		j.End(jobs.StatusFailed, jobs.CauseSubnetFull, "The job did not start within timeout.startWithinSeconds.", epoch.Add(24*time.Hour))
	}},
	{"PLATFORM_FAILURE six times, one of them after it ran", func(j *jobs.Job) {
		for range 5 {
			neverRan(j, jobs.FargateSpot, jobs.CausePlatformFailure, "Timeout waiting for network interface provisioning to complete.", 1)
		}
		ran(j, jobs.FargateSpot, 600, 60, jobs.AttemptEnd{Cause: jobs.CausePlatformFailure, Reason: "Task stopped due to a hardware failure"})
		j.End(jobs.StatusFailed, jobs.CausePlatformFailure, "6 platform failures, the last: Task stopped due to a hardware failure", j.Last().StoppedAt.Time)
	}},
	{"DEPLOYMENT_FAULT", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseDeploymentFault, "AccessDeniedException: not authorized to perform: iam:PassRole", 9)
		j.End(jobs.StatusFailed, jobs.CauseDeploymentFault, "The job did not start within timeout.startWithinSeconds.", epoch.Add(24*time.Hour))
	}},
	{"START_FAILED", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseStartFailed, "CannotPullContainerError: pull image manifest: not found", 1)
		j.End(jobs.StatusFailed, jobs.CauseStartFailed, "Attempt 1 ended as START_FAILED: CannotPullContainerError: pull image manifest: not found", epoch.Add(time.Minute))
	}},
	{"LAUNCH_REJECTED", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseLaunchRejected, "ClientException: Role is not valid", 1)
		j.End(jobs.StatusFailed, jobs.CauseLaunchRejected, "Attempt 1 ended as LAUNCH_REJECTED: ClientException: Role is not valid", epoch.Add(time.Second))
	}},
	{"TIMED_OUT by the attempt's clock", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 86400, jobs.AttemptEnd{Cause: jobs.CauseTimedOut, ExitCode: exitCode(143), Reason: jobs.StopAttemptClock.Reason()})
		j.End(jobs.StatusFailed, jobs.CauseTimedOut, "Attempt 1 ran longer than timeout.attemptDurationSeconds; it is not to be retried.", j.Last().StoppedAt.Time)
	}},
	{"TIMED_OUT by the total clock", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 3000, jobs.AttemptEnd{Cause: jobs.CauseTimedOut, ExitCode: exitCode(143), Reason: jobs.StopTotalClock.Reason()})
		j.End(jobs.StatusFailed, jobs.CauseTimedOut, jobs.StopTotalClock.Reason(), j.Last().StoppedAt.Time)
	}},
	{"CANCELLED while it ran", func(j *jobs.Job) {
		j.RequestCancel("not needed", epoch.Add(30*time.Second))
		ran(j, jobs.FargateSpot, 1, 30, jobs.AttemptEnd{Cause: jobs.CauseCancelled, ExitCode: exitCode(143), Reason: "Cancelled: not needed"})
		j.End(jobs.StatusCancelled, jobs.CauseCancelled, "Cancelled: not needed", j.Last().StoppedAt.Time)
	}},
	{"REQUEST_REJECTED", func(j *jobs.Job) {
		*j = *jobs.Rejected(j.JobID, "", "", "invalid request: jobName: is required", epoch)
	}},
	{"EXIT_NONZERO, which a rule of evaluateOnExit ends", func(j *jobs.Job) {
		j.Request.RetryStrategy.Attempts = 3
		ran(j, jobs.FargateSpot, 1, 20, jobs.AttemptEnd{Cause: jobs.CauseExitNonzero, ExitCode: exitCode(4)})
		j.End(jobs.StatusFailed, jobs.CauseExitNonzero, "Attempt 1 exited 4 on FARGATE_SPOT; it is not to be retried.", j.Last().StoppedAt.Time)
	}},
	{"EXIT_NONZERO as often as a request may ask for", func(j *jobs.Job) {
		j.Request.RetryStrategy.Attempts = 10
		ran(j, jobs.FargateSpot, 1, 20, jobs.AttemptEnd{Cause: jobs.CauseExitNonzero, ExitCode: exitCode(4)})
		j.End(jobs.StatusFailed, jobs.CauseExitNonzero, "Attempt 10 exited 4 on FARGATE_SPOT; all 10 attempts are used up.", j.Last().StoppedAt.Time)
	}},
	{"SPOT_INTERRUPTION as often as a request may ask for", func(j *jobs.Job) {
		j.Request.Capacity = jobs.Capacity{Strategy: jobs.SpotOnly, SpotAttempts: 10}
		ran(j, jobs.FargateSpot, 1, 600, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption})
		j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, "Spot took attempt 10 away; all 10 Spot attempts are used up.", j.Last().StoppedAt.Time)
	}},
	{"TIMED_OUT before it was launched", func(j *jobs.Job) {
		neverRan(j, jobs.FargateSpot, jobs.CauseTimedOut, jobs.StopStartClock.Reason(), 1)
		j.End(jobs.StatusFailed, jobs.CauseTimedOut, jobs.StopStartClock.Reason()+" Until then: Attempt 1 waits to be launched: ThrottlingException: Rate exceeded", epoch.Add(24*time.Hour))
	}},
	{"SUCCEEDED after several launches", func(j *jobs.Job) {
		ran(j, jobs.FargateOnDemand, 1, 60, jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)})
		j.Last().Launches = 4
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "Attempt 1 exited 0 on FARGATE.", j.Last().StoppedAt.Time)
	}},
}

// liveCases are jobs that wait for something, or run.
var liveCases = []whyCase{
	{"it is being launched", func(j *jobs.Job) { j.BeginAttempt(jobs.FargateSpot, epoch) }},
	{"it waits after refusals", func(j *jobs.Job) {
		j.BeginAttempt(jobs.FargateSpot, epoch)
		j.LaunchRefused(jobs.CauseQuota, "You've reached the limit on the number of vCPUs you can run concurrently", epoch.Add(time.Hour))
		j.Relaunch(epoch)
		j.LaunchRefused(jobs.CauseQuota, "You've reached the limit on the number of vCPUs you can run concurrently", epoch.Add(125*time.Minute))
	}},
	{"it was put off", func(j *jobs.Job) {
		j.BeginAttempt(jobs.FargateSpot, epoch)
		j.LaunchPutOff("ThrottlingException: Rate exceeded", false, epoch.Add(125*time.Minute))
	}},
	{"nobody knows what its launch made", func(j *jobs.Job) {
		j.BeginAttempt(jobs.FargateSpot, epoch)
		j.LaunchPutOff("RunTask gave no answer.", true, epoch.Add(time.Minute))
		j.LaunchInDoubt()
	}},
	{"it starts", func(j *jobs.Job) { begin(j, jobs.FargateSpot, epoch) }},
	{"it runs", func(j *jobs.Job) { begin(j, jobs.FargateSpot, epoch); j.TaskRunning(epoch.Add(20 * time.Second)) }},
	{"it runs after several launches", func(j *jobs.Job) {
		begin(j, jobs.FargateOnDemand, epoch)
		j.Last().Launches = 4
		j.TaskRunning(epoch.Add(36 * time.Second))
	}},
	{"ECS does not know its task any more", func(j *jobs.Job) {
		begin(j, jobs.FargateSpot, epoch)
		j.TaskRunning(epoch.Add(20 * time.Second))
		j.TaskUnseen(epoch.Add(100 * time.Minute))
	}},
	{"Spot has given its notice", func(j *jobs.Job) {
		begin(j, jobs.FargateSpot, epoch)
		j.TaskRunning(epoch.Add(20 * time.Second))
		j.Interrupted(epoch.Add(time.Hour))
	}},
	{"Spot has given its notice before it ran", func(j *jobs.Job) {
		begin(j, jobs.FargateSpot, epoch)
		j.Interrupted(epoch.Add(10 * time.Second))
	}},
	{"it waits for its backoff", func(j *jobs.Job) {
		j.Request.RetryStrategy.Attempts = 3
		ran(j, jobs.FargateSpot, 1, 60, jobs.AttemptEnd{Cause: jobs.CauseExitNonzero, ExitCode: exitCode(1)})
		j.WaitUntil(epoch.Add(2*time.Hour+12*time.Second), "Attempt 1 exited 1 on FARGATE_SPOT; 1 of 3 attempts used up, the next follows.")
	}},
	{"it goes on-demand now", func(j *jobs.Job) {
		ran(j, jobs.FargateSpot, 1, 60, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption})
		j.WaitUntil(epoch, "Spot took attempt 1 away; the next runs on FARGATE.")
	}},
	{"a cancel was requested", func(j *jobs.Job) {
		begin(j, jobs.FargateSpot, epoch)
		j.TaskRunning(epoch.Add(20 * time.Second))
		j.RequestCancel("", epoch.Add(time.Hour))
		j.TaskStopping("Cancelled: ")
	}},
}

// neverRan is a job's next attempt that ECS refused or could not start.
func neverRan(j *jobs.Job, provider jobs.CapacityProvider, cause jobs.Cause, reason string, launches int) {
	j.BeginAttempt(provider, epoch)
	j.Last().Launches = launches
	j.StopAttempt(jobs.AttemptEnd{Cause: cause, Reason: reason, StoppedAt: epoch})
}

func TestExplain(t *testing.T) {
	t.Parallel()
	fake := newFake()
	fake.now = func() time.Time { return epoch.Add(2 * time.Hour) }
	c := newShell(fake).cli
	var text strings.Builder
	told := map[jobs.Cause]bool{}
	for _, list := range [][]whyCase{endedCases, liveCases} {
		for _, w := range list {
			j := newJob("nightly-21")
			w.make(j)
			told[j.Cause] = true
			fmt.Fprintf(&text, "# %s\n\n%s\n\n", w.name, strings.Join(c.explain(j), "\n"))
		}
	}
	golden(t, "why", text.String())
	for _, cause := range jobs.Causes() {
		if !told[cause] {
			t.Errorf("no job here ends with %s", cause)
		}
	}
}

func TestExplainAgreesWithThePolicyOnTheNextProvider(t *testing.T) {
	t.Parallel()
	j := newJob("j")
	ran(j, jobs.FargateSpot, 1, 60, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption})
	j.WaitUntil(epoch, "")
	text := strings.Join(newShell(newFake()).cli.explain(j), "\n")
	if want := "Attempt 2 follows on " + providerWords(spot.Provider(j)) + " now."; !strings.Contains(text, want) {
		t.Errorf("%q is not in:\n%s", want, text)
	}
}

func TestWhyAdvisesCommandsThatReachTheSameJob(t *testing.T) {
	t.Parallel()
	for cause, want := range map[jobs.Cause]string{
		jobs.CauseExitNonzero: `'spotbatch logs j --local --data "my jobs"'`, jobs.CauseCancelled: `'spotbatch retry j --local --data "my jobs"'`,
	} {
		m := newFake()
		m.put(newJob("j"))
		finish(m, "j", cause, 1)
		s := newShell(m)
		s.cli.getenv = func(string) string { return "" }
		if got := s.run(t.Context(), "", "why", "j", "--local", "--data", "my jobs"); !strings.Contains(got.stdout, want) {
			t.Errorf("%s: %s is not in %v", cause, want, got)
		}
	}
}
