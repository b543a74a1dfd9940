//go:build integration

package integration_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// hostVariable is this machine's address as containers reach it; integration/sam-local tells it.
const hostVariable = "SPOTBATCH_SAM_HOST"

// TestSAMLocalInvokeRunsTheFunctionsOnTheirPayloads runs the functions in the containers of `sam local invoke`, where one job is
// submitted, started, interrupted and started again on-demand, by payloads of events/ and by the events of its own tasks.
func TestSAMLocalInvokeRunsTheFunctionsOnTheirPayloads(t *testing.T) {
	host := os.Getenv(hostVariable)
	if host == "" {
		t.Fatal("this test is run by integration/sam-local")
	}
	d := deploy(t, host, "*FARGATE_SPOT")
	d.env["SPOTBATCH_RUNNER"] = "spotbatch" // that of the payloads
	s := samLocal{t: t, env: d.samEnvironment(t)}

	var job jobs.Job
	s.invoke("SubmitFunction", payload("submit/direct-smallest.json"), &job)
	if job.Status != jobs.StatusStarting || len(job.Attempts) != 1 || job.Attempts[0].TaskARN == "" {
		t.Fatalf("direct-smallest.json made %+v", job)
	}
	eventually(t, time.Minute, "Spot takes the task", func() bool { return d.cluster.Interrupt(t.Context(), job.Attempts[0].TaskARN) == nil })
	s.watch(d.stopped(t, job.Attempts[0].TaskARN))
	second := d.stored(t, job.JobID)
	if len(second.Attempts) != 2 || second.Attempts[1].CapacityProvider != jobs.FargateOnDemand || second.Attempts[1].TaskARN == "" {
		t.Fatalf("after the interruption the job is %+v", second)
	}
	s.watch(d.stopped(t, second.Attempts[1].TaskARN))
	d.checkInterrupted(t, d.stored(t, job.JobID))

	s.invoke("WatchFunction", payload("watch/sweep.json"), new(any))
	s.invokeBatch("SubmitFunction", payload("submit/sqs-one-bad-of-three.json"))
	if n := d.waiting(t, "rejected"); n != 1 {
		t.Errorf("of one bad request in three %d were rejected", n)
	}
	var refused struct{ ErrorType, ErrorMessage string }
	s.invoke("SubmitFunction", payload("submit/direct-cancel.json"), &refused)
	if refused.ErrorType != "NotFound" {
		t.Errorf("cancel of a job that is not there answers %+v", refused)
	}
}

func payload(name string) string { return filepath.Join(root, "events", name) }

// samEnvironment writes the functions' environment as SAM takes it: the variables of sam-env.json, with this deployment's values.
func (d *deployment) samEnvironment(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("sam-env.json")
	if err != nil {
		t.Fatal(err)
	}
	var variables struct{ Parameters map[string]string }
	if err := json.Unmarshal(text, &variables); err != nil {
		t.Fatal(err)
	}
	for name := range variables.Parameters {
		value, known := d.env[name]
		if !known {
			t.Fatalf("sam-env.json sets %s, which nothing reads", name)
		}
		variables.Parameters[name] = value
	}
	if text, err = json.Marshal(variables); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "env.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// samLocal calls `sam local invoke`.
type samLocal struct {
	t   *testing.T
	env string // a file
}

// tries is how often an invocation is made that did not reach the function: Docker's proxy accepts a connection before
// the program in the container listens.
const tries = 3

// invoke runs a function on a payload file and reads its answer.
func (s samLocal) invoke(function, file string, answer any) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	var err error
	for range tries {
		stdout.Reset()
		cmd := exec.CommandContext(s.t.Context(), filepath.Join(root, ".tools/python/bin/sam"), "local", "invoke", function,
			"--template", filepath.Join(root, ".aws-sam/build/template.yaml"), "--event", file, "--env-vars", s.env, "--skip-pull-image")
		// Without credentials SAM asks nobody whose they are.
		cmd.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err = cmd.Run(); err == nil {
			break
		}
	}
	if err == nil {
		err = json.Unmarshal(stdout.Bytes(), answer)
	}
	if err != nil {
		s.t.Fatalf("sam local invoke %s --event %s: %v\n%s%s", function, file, err, stdout.Bytes(), stderr.Bytes())
	}
}

// invokeBatch runs a function on an SQS batch, none of whose messages may fail.
func (s samLocal) invokeBatch(function, file string) {
	s.t.Helper()
	var answer struct{ BatchItemFailures []any }
	s.invoke(function, file, &answer)
	if answer.BatchItemFailures == nil || len(answer.BatchItemFailures) > 0 {
		s.t.Fatalf("%s --event %s answers %+v", function, file, answer)
	}
}

// watch gives messages of the events queue to watch.
func (s samLocal) watch(messages []types.Message) {
	s.t.Helper()
	batch, err := json.Marshal(batchOf(messages))
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "batch.json")
	if err := os.WriteFile(file, batch, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.invokeBatch("WatchFunction", file)
}

// stopped takes the events queue's messages until a task's last event is among them.
func (d *deployment) stopped(t *testing.T, arn string) []types.Message {
	t.Helper()
	var all []types.Message
	eventually(t, time.Minute, "the task has stopped", func() bool {
		out, err := d.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(d.queues["events"]), MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out.Messages...)
		return slices.ContainsFunc(out.Messages, func(message types.Message) bool {
			var event struct {
				Detail struct{ TaskArn, LastStatus string }
			}
			err := json.Unmarshal([]byte(aws.ToString(message.Body)), &event)
			return err == nil && event.Detail.TaskArn == arn && event.Detail.LastStatus == "STOPPED"
		})
	})
	return all
}
