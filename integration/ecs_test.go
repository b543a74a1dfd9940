//go:build integration

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/local"
)

// script is the program of every task, in place of task-definition.json's. It writes down its beginning and its end, a line
// each, at the end of the one file of all tasks. Where "jobId provider" matches the shell pattern it waits until it is stopped;
// otherwise it takes no time.
const script = `
tell() { echo "$1 $SPOTBATCH_JOB_ID $SPOTBATCH_ATTEMPT $SPOTBATCH_CAPACITY_PROVIDER" >> runs; }
trap 'kill $!; tell end; exit 143' TERM
tell start
case "$SPOTBATCH_JOB_ID $SPOTBATCH_CAPACITY_PROVIDER" in %s) sleep 300 & ;; *) sleep 0.2 & ;; esac
wait $!
tell end
`

// beginECS starts the stand-in for ECS, which posts its task events to a queue, as an EventBridge rule does on AWS.
func beginECS(t *testing.T, host, waits, eventsQueue string, env []string, flags ...string) *process {
	t.Helper()
	dir, port := t.TempDir(), freePort(t, host)
	if err := os.WriteFile(filepath.Join(dir, "task-definition.json"), taskDefinition(t, fmt.Sprintf(script, waits)), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		program(t, "spotbatch"), "local", "up", "--executor", "process", "--task-definitions", "task-definition.json",
		"--ecs-listen", net.JoinHostPort(host, port), "--events-to", eventsQueue,
		"--time-scale", timeScale, "--max-tasks", "16",
	}, flags...)
	if !net.ParseIP(host).IsLoopback() {
		args = append(args, "--ecs-listen-anyone")
	}
	return begin(t, &process{name: "ecs", dir: dir, url: "http://" + net.JoinHostPort(host, port), args: args, env: env})
}

// taskDefinition is task-definition.json with another program.
func taskDefinition(t *testing.T, program string) []byte {
	t.Helper()
	text, err := os.ReadFile("task-definition.json")
	if err != nil {
		t.Fatal(err)
	}
	var definition map[string]any
	if err := json.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	container := definition["containerDefinitions"].([]any)[0].(map[string]any)
	container["command"] = []string{"sh", "-c", program}
	if text, err = json.Marshal(definition); err != nil {
		t.Fatal(err)
	}
	return text
}

// timeScale makes the two minutes between Spot's notice and SIGKILL one second.
const timeScale = "120"

// openStandIn opens the data of the stand-in for ECS beside the process that executes: ECS itself takes no order to reclaim a
// task. When the test ends, what still runs is stopped.
func (d *deployment) openStandIn(t *testing.T) {
	t.Helper()
	system, err := local.Open(t.Context(), local.Options{DataDir: filepath.Join(d.ecs.dir, ".spotbatch"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d.cluster = system.Cluster
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		for d.stopTasks(ctx) > 0 && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
		_ = system.Close() // nothing was begun and not committed
	})
}

// stopTasks stops every task and returns how many have not ended yet.
func (d *deployment) stopTasks(ctx context.Context) (live int) {
	running, _ := tasksOf(ctx, d.cluster, types.DesiredStatusRunning) // where the data cannot be read there is nothing to stop
	for _, task := range running {
		_, _ = d.cluster.StopTask(ctx, &ecs.StopTaskInput{Cluster: task.ClusterArn, Task: task.TaskArn}) // it may have ended
	}
	stopping, _ := tasksOf(ctx, d.cluster, types.DesiredStatusStopped)
	for _, task := range stopping {
		if aws.ToString(task.LastStatus) != "STOPPED" {
			live++
		}
	}
	return live
}

// tasksOf lists and describes the stand-in's tasks.
func tasksOf(ctx context.Context, cluster *fargate.Cluster, status types.DesiredStatus) ([]types.Task, error) {
	var tasks []types.Task
	pages := ecs.NewListTasksPaginator(cluster, &ecs.ListTasksInput{Cluster: aws.String("local"), DesiredStatus: status})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil || len(page.TaskArns) == 0 {
			return tasks, err
		}
		out, err := cluster.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String("local"), Tasks: page.TaskArns})
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, out.Tasks...)
	}
	return tasks, nil
}

// runs are the lines that the tasks wrote, each "start|end jobId attempt provider".
func (d *deployment) runs(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(d.ecs.dir, "runs"))
	if err != nil && !os.IsNotExist(err) {
		t.Error(err) // also called beside the test
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
