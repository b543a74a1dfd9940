package ecs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

const (
	// revisionKept is how long a revision is kept. Nothing of it ever changes but its status; RunTask refuses one that has
	// become INACTIVE meanwhile.
	revisionKept = 5 * time.Minute
	// familyKept is how long a family's latest revision is kept. Who registers a revision and then submits a job expects that
	// revision, so it is no longer than such a person or script takes; it is still enough to keep a burst of jobs of one family
	// from ECS's read quota, at one call in two seconds and process. Who must be certain names the revision.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/request-throttling.html
	familyKept = 2 * time.Second
)

// TaskDefinition resolves a family (its latest ACTIVE revision), family:revision or ARN; what it answers may be as old as
// familyKept or revisionKept say. An error that wraps ErrNoTaskDefinition is the request's fault.
func (l *Launcher) TaskDefinition(ctx context.Context, name string) (spot.TaskDefinition, error) {
	while := familyKept
	if namesRevision(name) {
		while = revisionKept
	}
	return l.definitions.get(ctx, name, l.now, while, func() (spot.TaskDefinition, error) { return l.describeDefinition(ctx, name) })
}

func (l *Launcher) describeDefinition(ctx context.Context, name string) (spot.TaskDefinition, error) {
	out, err := l.api.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(name)})
	if err != nil {
		if definitionUnknown(err) {
			return spot.TaskDefinition{}, fmt.Errorf("%w: %s", spot.ErrNoTaskDefinition, name)
		}
		return spot.TaskDefinition{}, fmt.Errorf("describe task definition %s: %w", name, err)
	}
	if out.TaskDefinition == nil {
		return spot.TaskDefinition{}, errors.New("describe task definition: ECS answered without one")
	}
	return taskDefinition(out.TaskDefinition), nil
}

// namesRevision reports whether a task definition is given with its revision, as family:revision or in an ARN.
func namesRevision(name string) bool {
	if _, resource, isARN := strings.Cut(name, "/"); isARN {
		name = resource
	}
	return strings.Contains(name, ":")
}

func taskDefinition(in *types.TaskDefinition) spot.TaskDefinition {
	td := spot.TaskDefinition{
		ARN: aws.ToString(in.TaskDefinitionArn), Family: aws.ToString(in.Family), Revision: int(in.Revision),
		Active: in.Status == types.TaskDefinitionStatusActive, CPU: aws.ToString(in.Cpu), Memory: aws.ToString(in.Memory),
	}
	for _, c := range in.RequiresCompatibilities {
		td.Fargate = td.Fargate || c == types.CompatibilityFargate
	}
	for _, c := range in.ContainerDefinitions {
		def := spot.ContainerDef{Name: aws.ToString(c.Name), Essential: c.Essential == nil || *c.Essential}
		if c.LogConfiguration != nil && c.LogConfiguration.LogDriver == types.LogDriverAwslogs {
			def.LogGroup = c.LogConfiguration.Options["awslogs-group"]
			def.LogStreamPrefix = c.LogConfiguration.Options["awslogs-stream-prefix"]
		}
		td.ContainerDefs = append(td.ContainerDefs, def)
	}
	return td
}
