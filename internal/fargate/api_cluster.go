package fargate

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// DescribeClusters shows the one cluster that there is, by name or ARN. What else is asked for is MISSING.
func (c *Cluster) DescribeClusters(ctx context.Context, in *ecs.DescribeClustersInput, _ ...func(*ecs.Options)) (*ecs.DescribeClustersOutput, error) {
	asked := in.Clusters
	if len(asked) == 0 {
		asked = []string{"default"}
	}
	out := &ecs.DescribeClustersOutput{Clusters: []types.Cluster{}, Failures: []types.Failure{}}
	for _, name := range asked {
		if c.checkCluster(&name) != nil {
			arn := name
			if lastPart(name) == name {
				arn = arnBase + "cluster/" + name
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &arn, Reason: new("MISSING")})
			continue
		}
		shown, err := c.describe(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe cluster: %w", err)
		}
		out.Clusters = append(out.Clusters, shown)
	}
	return out, nil
}

func (c *Cluster) describe(ctx context.Context) (shown types.Cluster, err error) {
	shown = types.Cluster{
		CapacityProviders: []string{providerOnDemand, providerSpot},
		ClusterArn:        new(c.clusterARN()),
		ClusterName:       &c.opts.Name,
		DefaultCapacityProviderStrategy: []types.CapacityProviderStrategyItem{
			{CapacityProvider: new(providerOnDemand), Weight: 1},
		},
		Settings:   []types.ClusterSetting{},
		Statistics: []types.KeyValuePair{},
		Status:     new("ACTIVE"),
		Tags:       []types.Tag{},
	}
	err = c.db.View(ctx, func(tx *sqlitedb.Tx) error {
		return tx.QueryRow(`SELECT count(*) FILTER (WHERE status = 'RUNNING'), count(*) FILTER (WHERE status IN ('PROVISIONING', 'PENDING')) FROM (
			SELECT json_extract(detail, '$.lastStatus') AS status FROM fargate_tasks WHERE phase = 'waiting'
			UNION ALL SELECT json_extract(detail, '$.lastStatus') FROM fargate_tasks WHERE phase = 'handed')`).
			Scan(&shown.RunningTasksCount, &shown.PendingTasksCount)
	})
	return shown, err
}
