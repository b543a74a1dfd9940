package jobstest

import (
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Full returns a new job, just created, in which every field has a value. Its attempts end with an exit code other than
// 0, with 0 and with none, which a store must tell apart.
func Full(jobID string) *jobs.Job {
	return &jobs.Job{
		JobID: jobID, JobName: "render", Status: jobs.StatusSucceeded, Cause: jobs.CauseSucceeded,
		StatusReason: "The container exited 0.", RetryOf: "job-before", Request: fullRequest(jobID), Attempts: fullAttempts(),
		CreatedAt: epoch, StartedAt: epoch.Add(2 * time.Second), StoppedAt: epoch.Add(time.Minute),
		NextAttemptAt: epoch.Add(3 * time.Minute), CancelRequestedAt: epoch.Add(4*time.Minute + time.Millisecond), Version: 1,
		Internal: jobs.Internal{
			Fingerprint: "6f1ed002ab5595859014ebf0951522d9", WriteID: "w-1", SavedAt: epoch.Add(5 * time.Minute),
			DueAt: epoch.Add(6 * time.Minute), Unpublished: 3, CallsFailed: 4, NewsFailed: 5, ReadyAt: epoch.Add(7 * time.Minute),
			CancelReason: "not needed", RefusedCause: jobs.CauseQuota, RefusedReason: "full",
			Container: "main", LogGroup: "/jobs", LogStreamPrefix: "main", ExpiresAt: epoch.Add(30 * 24 * time.Hour),
		},
	}
}

func fullRequest(jobID string) *jobs.Request {
	return &jobs.Request{
		JobName: "render", JobID: jobID,
		Schedule: &jobs.Schedule{
			ARN: "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/nightly", ScheduledTime: "2100-03-01T12:00:00Z",
		},
		TaskDefinition: "render:7",
		ContainerOverrides: jobs.ContainerOverrides{
			Name: "main", Command: []string{"render", "", "--frame=12"},
			Environment: []jobs.EnvVar{{Name: "EMPTY", Value: ""}, {Name: "SCENE", Value: "s3://films/1"}}, CPU: "1024", Memory: "2048",
		},
		EphemeralStorageGiB: 21,
		Capacity:            jobs.Capacity{Strategy: jobs.SpotThenOnDemand, SpotAttempts: 2, ExitZeroOnInterruption: jobs.ExitZeroRetry},
		RetryStrategy: jobs.RetryStrategy{
			Attempts: 3, BackoffSeconds: 10,
			EvaluateOnExit: []jobs.ExitRule{{OnExitCode: "1*", OnReason: "x", OnStatusReason: "y", Action: jobs.ActionExit}},
		},
		Timeout: jobs.Timeout{AttemptDurationSeconds: 3600, StartWithinSeconds: 600, TotalSeconds: 86400},
		Tags:    map[string]string{"team": "film", "empty": ""},
	}
}

func fullAttempts() []jobs.Attempt {
	terminated, zero := 143, 0
	return []jobs.Attempt{
		{
			Number: 1, CapacityProvider: jobs.FargateSpot, Status: jobs.AttemptStopped, Cause: jobs.CauseSpotInterruption,
			Reason: "Your Spot Task was interrupted.", TaskARN: "arn:aws:ecs:eu-west-1:123456789012:task/jobs/1", ExitCode: &terminated,
			Launches: 2, Repeats: 4, LogGroup: "/jobs", LogStream: "main/1", CreatedAt: epoch.Add(time.Second),
			StartedAt: epoch.Add(2 * time.Second), InterruptedAt: epoch.Add(3 * time.Second), StoppedAt: epoch.Add(4 * time.Second),
			Internal: jobs.AttemptInternal{
				LaunchedAt: epoch.Add(time.Second), CalledAt: epoch.Add(1500 * time.Millisecond), Calls: 2,
				NoTaskAt: epoch.Add(1600 * time.Millisecond), Unanswered: true, TaskVersion: 6, StopCause: jobs.StopAttemptClock,
			},
		},
		{
			Number: 6, CapacityProvider: jobs.FargateOnDemand, Status: jobs.AttemptStopped, Cause: jobs.CauseSucceeded,
			TaskARN: "arn:aws:ecs:eu-west-1:123456789012:task/jobs/2", ExitCode: &zero, Launches: 1, CreatedAt: epoch.Add(5 * time.Second),
		},
		{Number: 7, CapacityProvider: jobs.FargateOnDemand, Status: jobs.AttemptLaunching, Launches: 1},
	}
}
