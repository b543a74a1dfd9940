package ecs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// describeMax is how many tasks one DescribeTasks takes.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
const describeMax = 100

// Describe asks ECS for tasks by ARN, 100 a call. missing are those that ECS does not know (any more, or yet).
func (l *Launcher) Describe(ctx context.Context, arns []string) (tasks []spot.Task, missing []string, err error) {
	for chunk := range slices.Chunk(arns, describeMax) {
		out, err := l.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(l.config.Cluster), Tasks: chunk})
		if err != nil {
			return nil, nil, fmt.Errorf("describe tasks: %w", err)
		}
		for i := range out.Tasks {
			tasks = append(tasks, l.task(&out.Tasks[i]))
		}
		for _, f := range out.Failures {
			if aws.ToString(f.Reason) == "MISSING" {
				missing = append(missing, aws.ToString(f.Arn))
			}
		}
	}
	return tasks, missing, nil
}

// Find lists the tasks that one launch made, running and stopped. Where ECS refuses startedBy together with STOPPED, the
// stopped tasks of the family are described and matched instead.
func (l *Launcher) Find(ctx context.Context, startedBy, taskDefinition string) ([]spot.Task, error) {
	running, err := l.list(ctx, &ecs.ListTasksInput{StartedBy: aws.String(startedBy), DesiredStatus: types.DesiredStatusRunning})
	if err != nil {
		return nil, err
	}
	stopped, err := l.list(ctx, &ecs.ListTasksInput{StartedBy: aws.String(startedBy), DesiredStatus: types.DesiredStatusStopped})
	if invalidParameter(err) {
		stopped, err = l.list(ctx, &ecs.ListTasksInput{Family: aws.String(family(taskDefinition)), DesiredStatus: types.DesiredStatusStopped})
	}
	if err != nil {
		return nil, err
	}
	listed := append(running, stopped...)
	slices.Sort(listed)
	listed = slices.Compact(listed) // a task that ended between the two lists is in both
	tasks, _, err := l.Describe(ctx, listed)
	if err != nil {
		return nil, err
	}
	if n := len(listed) - len(tasks); n > 0 { // the one that is looked for may be among them: no answer proves that there is none
		return nil, fmt.Errorf("find tasks of %s: ECS lists %d tasks that it does not describe", startedBy, n)
	}
	return slices.DeleteFunc(tasks, func(t spot.Task) bool { return t.StartedBy != startedBy }), nil
}

// family is the family of a task definition given as family, family:revision or ARN.
func family(taskDefinition string) string {
	_, name, isARN := strings.Cut(taskDefinition, "/")
	if !isARN {
		name = taskDefinition
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

func (l *Launcher) list(ctx context.Context, in *ecs.ListTasksInput) ([]string, error) {
	in.Cluster = aws.String(l.config.Cluster)
	var arns []string
	pages := ecs.NewListTasksPaginator(l.api, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list tasks: %w", err)
		}
		arns = append(arns, page.TaskArns...)
	}
	return arns, nil
}

// task reads a task as DescribeTasks shows it.
func (l *Launcher) task(in *types.Task) spot.Task {
	t := spot.Task{
		ARN: aws.ToString(in.TaskArn), StartedBy: aws.ToString(in.StartedBy), Version: in.Version,
		LastStatus: aws.ToString(in.LastStatus), DesiredStatus: aws.ToString(in.DesiredStatus),
		StopCode: string(in.StopCode), StoppedReason: aws.ToString(in.StoppedReason),
		StartedAt: aws.ToTime(in.StartedAt), StoppingAt: aws.ToTime(in.StoppingAt),
		ExecutionStoppedAt: aws.ToTime(in.ExecutionStoppedAt), StoppedAt: aws.ToTime(in.StoppedAt), SeenAt: l.now(),
	}
	for _, c := range in.Containers {
		container := spot.Container{Name: aws.ToString(c.Name), Reason: aws.ToString(c.Reason)}
		if c.ExitCode != nil {
			container.ExitCode = aws.Int(int(*c.ExitCode))
		}
		t.Containers = append(t.Containers, container)
	}
	return t
}
