//go:build integration

package integration_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	spotaws "github.com/spotbatch/spotbatch/internal/aws"
	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/lambdatest"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

const (
	pollers = 2 // of each queue
	// visibility is that of the queues in elasticmq.conf: what failed comes back only after it.
	visibility = 90 * time.Second
)

// deployment is what template.yaml deploys, on one machine.
type deployment struct {
	dynamo, ecs *process
	cluster     *fargate.Cluster // ecs's data, seen from here
	bus         *bus
	env         map[string]string // of the functions and of the command line
	config      aws.Config
	store       *dynamo.Store
	sqs         *sqs.Client
	queues      map[string]string // URLs by name
	lambda      *lambdatest.Lambda
	binaries    []string // the functions' programs
}

// deploy starts all services on a host's address. waits says which tasks wait (see script); flags are the stand-in's for ECS.
func deploy(t *testing.T, host, waits string, flags ...string) *deployment {
	t.Helper()
	d := &deployment{queues: map[string]string{}}
	var mq *process
	d.dynamo, mq, d.bus = beginDynamoDB(t, host), beginSQS(t, host), beginBus(t, host)
	program(t, "spotbatch") // built while they start
	d.dynamo.wait()
	mq.wait()
	d.env = map[string]string{
		"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", // the aws command knows the second alone
		"AWS_ACCESS_KEY_ID": "integration", "AWS_SECRET_ACCESS_KEY": "integration",
		"AWS_ENDPOINT_URL_DYNAMODB": d.dynamo.url, "AWS_ENDPOINT_URL_SQS": mq.url, "AWS_ENDPOINT_URL_EVENTBRIDGE": d.bus.URL,
	}
	var err error
	if d.config, err = spotaws.LambdaConfig(d.getenv); err != nil {
		t.Fatal(err)
	}
	d.createTable(t)
	d.store, d.sqs = dynamo.New(d.config, "jobs"), sqs.NewFromConfig(d.config)
	for _, name := range []string{"jobs", "jobs-dead", "events", "events-dead", "rejected"} {
		d.queues[name] = mq.url + "/000000000000/" + name
	}
	d.ecs = beginECS(t, host, waits, d.queues["events"], d.environ(), flags...)
	d.ecs.wait()
	d.openStandIn(t)
	maps.Copy(d.env, map[string]string{
		"AWS_ENDPOINT_URL_ECS": d.ecs.url, "SPOTBATCH_RUNNER": "integration", "SPOTBATCH_TABLE": "jobs", "SPOTBATCH_CLUSTER": "local",
		"SPOTBATCH_SUBNETS": "subnet-1", "SPOTBATCH_SECURITY_GROUPS": "sg-1", "SPOTBATCH_ASSIGN_PUBLIC_IP": "true",
		"SPOTBATCH_PLATFORM_VERSION": "LATEST", "SPOTBATCH_EXECUTE_COMMAND": "false", "SPOTBATCH_ALLOWED_FAMILIES": "spotbatch-example",
		"SPOTBATCH_REJECTED_QUEUE_URL": d.queues["rejected"], "SPOTBATCH_EVENTS_QUEUE_URL": d.queues["events"],
		"SPOTBATCH_EVENT_BUS": "default", "SPOTBATCH_LAUNCHES_PER_SECOND": paced, "SPOTBATCH_RETENTION_DAYS": "30",
		// The command line's, beside what it shares with the functions.
		"SPOTBATCH_SUBMIT_FUNCTION": "submit", "SPOTBATCH_WATCH_FUNCTION": "watch", "SPOTBATCH_JOBS_QUEUE_URL": d.queues["jobs"],
		"AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://127.0.0.1:1", // there is none
	})
	return d
}

func (d *deployment) getenv(name string) string { return d.env[name] }

// environ is the environment in the form that processes take.
func (d *deployment) environ() []string {
	var list []string
	for name, value := range d.env {
		list = append(list, name+"="+value)
	}
	return list
}

// createTable makes the table as a user does.
func (d *deployment) createTable(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(tools(t, "python"), "bin/aws"), "dynamodb", "create-table",
		"--endpoint-url", d.dynamo.url, "--cli-input-json", "file://table.json")
	cmd.Env = append(os.Environ(), d.environ()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("create the table: %v\n%s", err, out)
	}
}

// serve runs the functions, what hands the queues' messages over to them, and the sweep, until the test ends.
func (d *deployment) serve(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(program(t, "submit")), "run-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	function := func(name string) lambdatest.Config {
		own := filepath.Join(dir, name) // a name of its own, by which killFunctions finds its instances
		if err := os.Link(program(t, name), own); err != nil {
			t.Fatal(err)
		}
		d.binaries = append(d.binaries, own)
		return lambdatest.Config{Name: name, Binary: own, Env: maps.Clone(d.env)}
	}
	d.lambda = lambdatest.New(context.Background(), pollers+2, function("submit"), function("watch"))
	api := httptest.NewServer(d.lambda.Handler())
	d.env["AWS_ENDPOINT_URL_LAMBDA"] = api.URL

	record, err := os.Create(d.mappingLog())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(record, nil))
	ctx, stop := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	for range pollers {
		parts.Go(func() { mapping{d.sqs, d.queues["jobs"], d.lambda, "submit", 10, log}.poll(ctx) })
		parts.Go(func() { mapping{d.sqs, d.queues["events"], d.lambda, "watch", 5, log}.poll(ctx) })
	}
	parts.Go(func() { sweep(ctx, d.lambda, log) })
	t.Cleanup(func() {
		stop()
		parts.Wait()
		api.Close()
		if t.Failed() {
			d.tell(t)
		}
		d.lambda.Close()
	})
}

// mappingLog is where the pollers and the sweep tell what failed.
func (d *deployment) mappingLog() string { return filepath.Join(d.ecs.dir, "mapping.log") }

// killFunctions ends all instances of the functions, whatever they are at. It finds them as Linux shows processes.
func (d *deployment) killFunctions(t *testing.T) {
	t.Helper()
	programs, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range programs {
		binary, err := os.Readlink(link)
		if err != nil || !slices.Contains(d.binaries, binary) {
			continue // it has ended, or is somebody else's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// tell shows the end of what the functions and the pollers wrote.
func (d *deployment) tell(t *testing.T) {
	mapped, _ := os.ReadFile(d.mappingLog())
	for name, text := range map[string]string{
		"submit": d.lambda.Log("submit"), "watch": d.lambda.Log("watch"), "the pollers": string(mapped),
	} {
		t.Logf("the end of what %s wrote:\n%s", name, text[max(0, len(text)-4000):])
	}
}

// request is a request with these fields.
func request(fields string) string { return `{"taskDefinition": "spotbatch-example", ` + fields + "}" }

// send puts requests into the jobs queue.
func (d *deployment) send(t *testing.T, requests ...string) {
	t.Helper()
	for chunk := range slices.Chunk(requests, 10) {
		var entries []types.SendMessageBatchRequestEntry
		for i, request := range chunk {
			entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &request})
		}
		batch := sqs.SendMessageBatchInput{QueueUrl: aws.String(d.queues["jobs"]), Entries: entries}
		out, err := d.sqs.SendMessageBatch(t.Context(), &batch)
		if err != nil || len(out.Failed) > 0 {
			t.Fatalf("send: %v, %v", err, out)
		}
	}
}

// job reads a job; nil where there is none, or where the store does not answer just now.
func (d *deployment) job(t *testing.T, id string) *jobs.Job {
	t.Helper()
	j, err := d.store.Get(t.Context(), id)
	if err != nil && !errors.Is(err, jobs.ErrNotFound) {
		t.Logf("read job %s: %v", id, err)
	}
	return j
}

// stored reads a job that must be there.
func (d *deployment) stored(t *testing.T, id string) *jobs.Job {
	t.Helper()
	var j *jobs.Job
	eventually(t, time.Minute, "job "+id+" can be read", func() bool { j = d.job(t, id); return j != nil })
	return j
}

// waiting is how many messages a queue holds, also those in hand and those whose time has not come.
func (d *deployment) waiting(t *testing.T, queue string) int {
	t.Helper()
	out, err := d.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: aws.String(d.queues[queue]), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, of := range []string{"", "NotVisible", "Delayed"} {
		messages, err := strconv.Atoi(out.Attributes["ApproximateNumberOfMessages"+of])
		if err != nil {
			t.Fatalf("queue %s: %v", queue, err)
		}
		n += messages
	}
	return n
}

// quiet waits until both queues are empty, and fails if anything was rejected or given up.
func (d *deployment) quiet(t *testing.T) {
	t.Helper()
	eventually(t, 2*visibility, "the queues are empty", func() bool {
		return d.waiting(t, "jobs")+d.waiting(t, "events") == 0
	})
	for _, queue := range []string{"jobs-dead", "events-dead", "rejected"} {
		if n := d.waiting(t, queue); n > 0 {
			t.Errorf("the queue %s holds %d messages", queue, n)
		}
	}
}
