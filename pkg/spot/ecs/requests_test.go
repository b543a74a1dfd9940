package ecs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// requestsDir names the environment variable with a directory that gets every request of TestRequests as JSON, for
// integration/ecs, which holds them against AWS's own model of ECS.
const requestsDir = "SPOTBATCH_REQUESTS_DIR"

// launches are what RunTask can be asked for, least and most.
func launches() map[string]spot.Launch {
	least := spot.Launch{
		TaskDefinition: "job:7", Container: "main", CapacityProvider: jobs.FargateSpot, StartedBy: "spotbatch/job-1/1",
		ClientToken: strings.Repeat("0f", 32),
	}
	onDemand := least
	onDemand.CapacityProvider, onDemand.StartedBy = jobs.FargateOnDemand, "spotbatch/job-1/2"
	most := least
	most.TaskDefinition = "arn:aws:ecs:us-east-1:123456789012:task-definition/job:7"
	most.Command = []string{"run", "", "<é&>\n"}
	most.Environment = []jobs.EnvVar{{Name: "A", Value: "1"}, {Name: "EMPTY", Value: ""}}
	most.CPU, most.Memory, most.EphemeralStorageGiB = "512", "1024", 200
	most.StartedBy = strings.Repeat("r", 32) + "/" + strings.Repeat("j", 64) + "/" + "1234567890"
	for i := range 40 {
		most.Tags = append(most.Tags, spot.Tag{Key: fmt.Sprintf("key-%02d", i), Value: strings.Repeat("v", i)})
	}
	return map[string]spot.Launch{"least": least, "on-demand": onDemand, "most": most}
}

// TestRequests has every request that the launcher can send go through the real client.
func TestRequests(t *testing.T) {
	t.Parallel()
	configs := map[string]Config{
		"plain": {Cluster: "batch", Subnets: []string{"subnet-1"}},
		"full": {
			Cluster: "arn:aws:ecs:us-east-1:123456789012:cluster/batch", Subnets: []string{"subnet-1", "subnet-2"},
			SecurityGroups: []string{"sg-1", "sg-2"}, AssignPublicIP: true, PlatformVersion: "1.4.0", EnableExecuteCommand: true,
		},
	}
	sent := map[string]*wire{}
	for name, config := range configs {
		calls := map[string]func(*Launcher){
			"StopTask":               func(l *Launcher) { _ = l.Stop(t.Context(), conflictARN, strings.Repeat("é", 300)) },
			"DescribeTasks":          func(l *Launcher) { _, _, _ = l.Describe(t.Context(), []string{conflictARN}) },
			"ListTasks":              func(l *Launcher) { _, _ = l.Find(t.Context(), "spotbatch/job-1/1", "job:7") },
			"DescribeTaskDefinition": func(l *Launcher) { _, _ = l.TaskDefinition(t.Context(), "job") },
			"DescribeClusters": func(*Launcher) {
				w := &wire{answer: always(200, `{}`)}
				sent[name+"-DescribeClusters"] = w
				_, _ = DescribeCluster(t.Context(), aws.Config{Region: "us-east-1", HTTPClient: w, Credentials: someCredentials}, config.Cluster)
			},
		}
		for of, launch := range launches() {
			calls["RunTask-"+of] = func(l *Launcher) { l.Run(t.Context(), launch) }
		}
		for call, send := range calls {
			l, w := launcher(refuseStartedBy)
			l.config, sent[name+"-"+call] = config, w
			send(l)
		}
	}
	for name, w := range sent {
		if len(w.sent) == 0 {
			t.Errorf("%s: nothing was sent", name)
		}
		for i := range w.sent {
			writeRequest(t, fmt.Sprintf("%s-%d", name, i), w.sent[i], w.bodies[i])
		}
	}
}

// refuseStartedBy answers with nothing, but where a list of stopped tasks is asked for by startedBy.
func refuseStartedBy(operation string, body map[string]any) (int, string) {
	if operation == "ListTasks" && body["desiredStatus"] == "STOPPED" && body["startedBy"] != nil {
		return 400, `{"__type":"InvalidParameterException","message":"cannot specify startedBy"}`
	}
	return 200, `{}`
}

func writeRequest(t *testing.T, name, operation string, body map[string]any) {
	t.Helper()
	dir := os.Getenv(requestsDir)
	if dir == "" {
		return
	}
	text, err := json.Marshal(map[string]any{"operation": operation, "input": body})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhatTheDeploymentAddsToARequest compares a request of a deployment that sets everything with one that sets the least.
func TestWhatTheDeploymentAddsToARequest(t *testing.T) {
	t.Parallel()
	l, w := launcher(always(200, `{}`))
	l.Run(t.Context(), launches()["least"])
	l.config.PlatformVersion, l.config.EnableExecuteCommand = "1.4.0", true
	l.Run(t.Context(), launches()["least"])
	plain, full := w.bodies[0], w.bodies[1]
	if plain["launchType"] != nil || plain["platformVersion"] != nil || plain["enableExecuteCommand"] == true {
		t.Errorf("sent %v, %v, %v without being asked to", plain["launchType"], plain["platformVersion"], plain["enableExecuteCommand"])
	}
	plain["platformVersion"], plain["enableExecuteCommand"] = "1.4.0", true
	if diff := cmp.Diff(plain, full); diff != "" {
		t.Error(diff)
	}
}

func TestALauncherOnTheSDKsOwnClient(t *testing.T) {
	t.Parallel()
	w := &wire{answer: always(200, `{"tasks":[{"taskArn":"`+conflictARN+`","lastStatus":"PROVISIONING"}]}`)}
	l := NewFromConfig(aws.Config{Region: "us-east-1", HTTPClient: w, Credentials: someCredentials}, Config{Cluster: "batch", Subnets: []string{"subnet-1"}}, time.Now)
	if answer := l.Run(t.Context(), launches()["least"]); answer.TaskARN != conflictARN {
		t.Errorf("answer %+v", answer)
	}
}

// TestADeploymentWithoutSubnets has the SDK refuse to send: no task can come of that.
func TestADeploymentWithoutSubnets(t *testing.T) {
	t.Parallel()
	l, w := launcher(always(200, `{}`))
	l.config.Subnets = nil
	answer := l.Run(t.Context(), launches()["most"])
	if answer.Kind != spot.AnswerRefused || answer.Cause != jobs.CauseDeploymentFault || len(w.sent) != 0 {
		t.Errorf("%d requests, answer %+v", len(w.sent), answer)
	}
}
