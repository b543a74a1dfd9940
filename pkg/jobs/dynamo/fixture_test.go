package dynamo_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var start = jobs.At(time.Date(2026, time.November, 22, 10, 0, 0, 123e6, time.UTC))

// hexes are n hex digits that nothing else shares, as ids and fingerprints are.
func hexes(n int, of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])[:n]
}

// uuid is an id as SQS and EventBridge give it.
func uuid(of string) string {
	h := hexes(32, of)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// request is what somebody would really send.
const request = `{
	"jobName": "nightly-render",
	"taskDefinition": "arn:aws:ecs:eu-central-1:210987654321:task-definition/film-renderer:42",
	"containerOverrides": {
		"name": "renderer",
		"command": ["python3", "-m", "renderer.main", "--scene", "s3://studio-film-assets/scenes/0815/scene.usd", "--frames", "1200-1290"],
		"environment": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "OUTPUT", "value": "s3://studio-film-output/0815/"}],
		"cpu": "4096", "memory": "16384"
	},
	"capacity": {"strategy": "SPOT_THEN_ON_DEMAND", "spotAttempts": 2},
	"retryStrategy": {"attempts": 3},
	"timeout": {"attemptDurationSeconds": 7200},
	"tags": {"team": "lighting", "cost-center": "4711"}
}`

// life is a job whose transitions are driven as the engine does it, with the clock going on.
type life struct {
	*jobs.Job
	now jobs.Time
}

func accepted(t testing.TB, body string) *life {
	t.Helper()
	r, err := jobs.ParseRequest([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	r.ContainerOverrides.Name = "renderer"
	l := &life{now: start}
	l.Job = jobs.Accepted(jobs.Acceptance{
		JobID: uuid("job"), Request: r, Fingerprint: hexes(64, "request"),
		Container: "renderer", LogGroup: "/ecs/film-renderer", LogStreamPrefix: "render",
	}, start.Time)
	l.saved()
	return l
}

// saved is what the engine stamps on each save.
func (l *life) saved() {
	l.Version++
	l.Internal.WriteID = hexes(26, fmt.Sprint("write", l.Version))
	l.Internal.SavedAt = l.now
	l.Internal.DueAt = start.Add(13*time.Minute + 471*time.Millisecond)
	if l.Ended() {
		l.Internal.DueAt, l.Internal.ExpiresAt = jobs.Time{}, l.now.Add(30*24*time.Hour)
	}
	l.now = l.now.Add(47*time.Second + 361*time.Millisecond)
}

func (l *life) run(provider jobs.CapacityProvider) {
	l.BeginAttempt(provider, l.now.Time)
	l.saved()
	l.TaskCreated("arn:aws:ecs:eu-central-1:210987654321:task/studio-batch/" + hexes(32, fmt.Sprint("task", len(l.Attempts))))
	l.saved()
	l.TaskRunning(l.now.Time)
	l.Live().Internal.TaskVersion = 4
	l.saved()
}

func (l *life) interrupt() {
	l.Interrupted(l.now.Time)
	l.saved()
	exit := 143
	l.StopAttempt(jobs.AttemptEnd{
		Cause: jobs.CauseSpotInterruption, Reason: "Your Spot Task was interrupted.", ExitCode: &exit, StoppedAt: l.now.Time,
	})
	l.WaitUntil(l.now.Time, "Spot took attempt 1 away; the next runs on FARGATE.")
	l.saved()
}

func (l *life) succeed() {
	l.StopAttempt(jobs.AttemptEnd{
		Cause: jobs.CauseSucceeded, Reason: "Essential container in task exited", ExitCode: new(int), StoppedAt: l.now.Time,
	})
	a := l.Last()
	l.End(jobs.StatusSucceeded, jobs.CauseSucceeded, fmt.Sprintf("Attempt %d exited 0 on %s.", a.Number, a.CapacityProvider), l.now.Time)
	l.saved()
}

// config is what main would hand in, for an endpoint of a test.
func config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	}
}
