//go:build integration

package integration_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// ran is what one call of the command line gave.
type ran struct {
	stdout, stderr string
	code           int
}

// spotbatch calls the command line on the deployment.
func (d *deployment) spotbatch(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "spotbatch"), args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = append(os.Environ(), d.environ()...), strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("spotbatch %v: %v", args, err)
	}
	return ran{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// wants fails unless the call exited so and wrote each of the texts to either output.
func (r ran) wants(t *testing.T, what string, code int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.stdout+r.stderr, text) {
			t.Errorf("%s does not say %q", what, text)
		}
	}
	if r.code != code {
		t.Errorf("%s exits with %d, want %d", what, r.code, code)
	}
	if t.Failed() {
		t.Fatalf("%s wrote\n%s%s", what, r.stdout, r.stderr)
	}
}

func TestTheCommandLineWorksOnADeployment(t *testing.T) {
	t.Parallel()
	d := deploy(t, "127.0.0.1", `"long-0 FARGATE_SPOT"`)
	d.serve(t)
	submitted := d.spotbatch(t, request(`"jobName": "small"`), "submit", "-q", "-f", "-")
	submitted.wants(t, "submit", 0)
	direct := strings.TrimSpace(submitted.stdout)
	d.spotbatch(t, request(`"jobName": "queued", "jobId": "by-queue"`), "submit", "--queue", "-q", "-f", "-").
		wants(t, "submit --queue", 0, "by-queue\n")
	eventually(t, 2*visibility, "the queued job is there", func() bool { return d.job(t, "by-queue") != nil })
	d.spotbatch(t, "", "wait", direct, "by-queue").wants(t, "wait", 0)

	described := d.spotbatch(t, "", "describe", "-o", "json", direct)
	described.wants(t, "describe", 0)
	var document jobs.Job
	if err := json.Unmarshal([]byte(described.stdout), &document); err != nil {
		t.Fatal(err)
	}
	if document.JobID != direct || document.Status != jobs.StatusSucceeded || len(document.Attempts) != 1 {
		t.Errorf("describe shows %s", described.stdout)
	}
	d.spotbatch(t, "", "list", "--status", "SUCCEEDED").wants(t, "list", 0, direct, "by-queue")
	d.spotbatch(t, "", "list", "--name", "queued", "-q").wants(t, "list --name", 0, "by-queue\n")
	d.spotbatch(t, "", "logs", direct).wants(t, "logs without CloudWatch Logs", 1, "127.0.0.1:1")

	d.spotbatch(t, request(`"jobName": "bad job"`), "submit", "-f", "-").
		wants(t, "submit of a bad request", 2, "jobName: ")
	d.spotbatch(t, `{"jobName": "other", "taskDefinition": "another"}`, "submit", "-f", "-").
		wants(t, "submit of a family that may not run", 2, "taskDefinition: ")
	d.spotbatch(t, "", "describe", "nobody").wants(t, "describe of no job", 3, "nobody")
	d.spotbatch(t, "", "cancel", "nobody").wants(t, "cancel of no job", 3, "nobody")

	d.spotbatch(t, request(`"jobName": "failing", "containerOverrides": {"command": ["sh", "-c", "exit 3"]}`), "run", "-f", "-").
		wants(t, "run of a job that exits with 3", 3)
	d.cancelAndRetry(t)
	if n := d.waiting(t, "rejected"); n != 0 {
		t.Errorf("%d requests were rejected: those of a direct caller are answered", n)
	}
}

// cancelAndRetry has a job run that does not end by itself, cancels it, and runs it again.
func (d *deployment) cancelAndRetry(t *testing.T) {
	t.Helper()
	d.spotbatch(t, request(`"jobName": "long", "jobId": "long-0"`), "submit", "-f", "-").wants(t, "submit", 0)
	eventually(t, 2*visibility, "the long job runs", func() bool {
		j := d.job(t, "long-0")
		return j != nil && j.Status == jobs.StatusRunning
	})
	d.spotbatch(t, "", "retry", "long-0").wants(t, "retry of a live job", 1, "has not ended")
	d.spotbatch(t, "", "cancel", "long-0", "--reason", "it takes too long").wants(t, "cancel", 0)
	d.spotbatch(t, "", "wait", "long-0").wants(t, "wait for a cancelled job", 130)
	d.spotbatch(t, "", "why", "long-0").wants(t, "why", 0, "it takes too long")

	retried := d.spotbatch(t, "", "retry", "-q", "long-0")
	retried.wants(t, "retry", 0)
	again := d.stored(t, strings.TrimSpace(retried.stdout))
	if again.RetryOf != "long-0" {
		t.Fatalf("retry made %v", again)
	}
	d.spotbatch(t, "", "wait", again.JobID).wants(t, "wait for the new job", 0)
}
