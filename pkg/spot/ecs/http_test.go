package ecs_test

import (
	"errors"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// standIn is the local stand-in for ECS behind HTTP, with the faults of a list, and the configuration to reach it by.
func standIn(t *testing.T, faults string) aws.Config {
	t.Helper()
	db, err := sqlitedb.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cluster, err := fargate.Open(t.Context(), db, fargate.Options{Name: "local", LogDirectory: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	injected, err := fargate.ParseFaults(faults)
	if err == nil {
		err = cluster.SetFaults(t.Context(), injected)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = cluster.RegisterTaskDefinition(t.Context(), &sdk.RegisterTaskDefinitionInput{
		Family: aws.String("job"), Cpu: aws.String("256"), Memory: aws.String("512"), NetworkMode: types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ContainerDefinitions:    []types.ContainerDefinition{{Name: aws.String("main"), Image: aws.String("none")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(cluster.Handler(false))
	t.Cleanup(server.Close)
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, HTTPClient: server.Client(),
		Credentials: aws.AnonymousCredentials{},
	}
}

func overHTTP(cfg aws.Config, cluster string) *ecs.Launcher {
	return ecs.NewFromConfig(cfg, ecs.Config{Cluster: cluster, Subnets: []string{"subnet-1"}}, time.Now)
}

var launch = spot.Launch{
	TaskDefinition: "job:1", Container: "main", Command: []string{"run"}, CapacityProvider: jobs.FargateSpot, EphemeralStorageGiB: 30,
	StartedBy: "spotbatch/job-1/1", ClientToken: "token", Tags: []spot.Tag{{Key: "team", Value: "data"}},
}

func TestALaunchOverHTTPFromItsDefinitionToItsEnd(t *testing.T) {
	t.Parallel()
	cfg := standIn(t, "")
	l := overHTTP(cfg, "local")
	td, err := l.TaskDefinition(t.Context(), "job")
	if err != nil || td.Revision != 1 || !td.Active || !td.Fargate || td.CPU != "256" {
		t.Fatalf("%+v, %v", td, err)
	}
	if _, err := l.TaskDefinition(t.Context(), "nothing"); !errors.Is(err, spot.ErrNoTaskDefinition) {
		t.Errorf("an unknown family: %v", err)
	}
	answer := l.Run(t.Context(), launch)
	if answer.Kind != spot.AnswerTask || answer.TaskARN == "" {
		t.Fatalf("%+v", answer)
	}
	if again := l.Run(t.Context(), launch); again.TaskARN != answer.TaskARN {
		t.Errorf("the same launch again made %s, not %s", again.TaskARN, answer.TaskARN)
	}
	other := launch
	other.Command = []string{"other"}
	if adopted := l.Run(t.Context(), other); adopted.TaskARN != answer.TaskARN {
		t.Errorf("another launch with the same token: %+v", adopted)
	}
	if info, err := ecs.DescribeCluster(t.Context(), cfg, "local"); err != nil || info.Status != "ACTIVE" || info.PendingTasks != 1 {
		t.Errorf("cluster %+v, %v", info, err)
	}
	if err := l.Stop(t.Context(), answer.TaskARN, "enough"); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(t.Context(), answer.TaskARN+"0", "enough"); err != nil {
		t.Errorf("stopping what is not there: %v", err)
	}
	found, err := l.Find(t.Context(), launch.StartedBy, launch.TaskDefinition)
	if err != nil || len(found) != 1 || !found[0].Stopped() || found[0].StoppedReason != "enough" {
		t.Errorf("found %+v, %v", found, err)
	}
	if _, missing, err := l.Describe(t.Context(), []string{answer.TaskARN + "0"}); err != nil || len(missing) != 1 {
		t.Errorf("missing %v, %v", missing, err)
	}
	if replayed := l.Run(t.Context(), launch); !replayed.Stopped || replayed.TaskARN != answer.TaskARN {
		t.Errorf("the launch of a stopped task again: %+v", replayed)
	}
}

func TestEveryKindOfAnswerOverHTTP(t *testing.T) {
	t.Parallel()
	for faults, want := range map[string]spot.Answer{
		"throttle":      {Kind: spot.AnswerThrottled},
		"no-capacity":   {Kind: spot.AnswerRefused, Cause: jobs.CauseNoCapacity, Firm: true},
		"lost-answer:1": {Kind: spot.AnswerNone},
	} {
		l := overHTTP(standIn(t, faults), "local")
		got := l.Run(t.Context(), launch)
		if got.Kind != want.Kind || got.Cause != want.Cause || got.Firm != want.Firm {
			t.Errorf("%s: %+v, want %+v", faults, got, want)
		}
		if want.Kind != spot.AnswerNone {
			continue
		}
		if again := l.Run(t.Context(), launch); again.Kind != spot.AnswerTask { // it had taken effect
			t.Errorf("%s, then: %+v", faults, again)
		}
	}
	answer := overHTTP(standIn(t, ""), "other").Run(t.Context(), launch)
	if answer.Kind != spot.AnswerRefused || answer.Cause != jobs.CauseDeploymentFault {
		t.Errorf("an unknown cluster: %+v", answer)
	}
	if _, err := ecs.DescribeCluster(t.Context(), standIn(t, ""), "other"); !errors.Is(err, ecs.ErrNoCluster) {
		t.Errorf("an unknown cluster: %v", err)
	}
}
