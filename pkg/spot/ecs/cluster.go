package ecs

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// ErrNoCluster says that ECS knows no cluster of that name.
var ErrNoCluster = errors.New("no such cluster")

// ClusterInfo is what there is to know about a cluster before jobs run on it.
type ClusterInfo struct {
	Status            string // ACTIVE; INACTIVE for a while after it was deleted
	CapacityProviders []string
	RunningTasks      int
	PendingTasks      int
}

// DescribeCluster asks for a cluster by name or ARN. An error that wraps ErrNoCluster says that there is none.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html
func DescribeCluster(ctx context.Context, cfg aws.Config, cluster string) (ClusterInfo, error) {
	out, err := ecs.NewFromConfig(cfg).DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{cluster}})
	if err != nil {
		return ClusterInfo{}, fmt.Errorf("describe cluster %s: %w", cluster, err)
	}
	if len(out.Clusters) == 0 { // a cluster that is not there is a failure in a 200 answer
		return ClusterInfo{}, fmt.Errorf("%w: %s", ErrNoCluster, cluster)
	}
	c := out.Clusters[0]
	return ClusterInfo{
		Status: aws.ToString(c.Status), CapacityProviders: c.CapacityProviders,
		RunningTasks: int(c.RunningTasksCount), PendingTasks: int(c.PendingTasksCount),
	}, nil
}
