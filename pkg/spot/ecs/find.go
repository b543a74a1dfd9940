package ecs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// describeMax is how many tasks one DescribeTasks takes.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
const describeMax = 100

// Describe asks ECS for tasks by ARN, 100 a call. missing are those that ECS does not know (any more, or yet). What it tells
// beside an error holds; of the others nothing is known.
func (l *Launcher) Describe(ctx context.Context, arns []string) (tasks []spot.Task, missing []string, failed error) {
	for cluster, arns := range l.byCluster(arns) {
		for chunk := range slices.Chunk(arns, describeMax) {
			some, unknown, err := l.describe(ctx, cluster, chunk)
			tasks, missing, failed = append(tasks, some...), append(missing, unknown...), errors.Join(failed, err)
		}
	}
	return tasks, missing, failed
}

// byCluster parts tasks by their clusters: a call that names one of another cluster fails as a whole.
func (l *Launcher) byCluster(arns []string) map[string][]string {
	clusters := map[string][]string{}
	for _, arn := range arns {
		cluster := l.clusterOf(arn)
		clusters[cluster] = append(clusters[cluster], arn)
	}
	return clusters
}

// clusterOf is the cluster that a task's ARN names, arn:aws:ecs:region:account:task/cluster/id; the launcher's own by the name
// that it was given. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html#ecs-resource-ids
func (l *Launcher) clusterOf(arn string) string {
	parts := strings.Split(arn, "/")
	own := l.config.Cluster
	if len(parts) != 3 || parts[1] == own || strings.HasSuffix(own, "/"+parts[1]) {
		return own
	}
	return parts[1]
}

// describe is one DescribeTasks, or several where ECS takes offence at one of the tasks: the others must not wait for it.
func (l *Launcher) describe(ctx context.Context, cluster string, arns []string) (tasks []spot.Task, missing []string, failed error) {
	out, err := l.api.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: arns})
	if n := len(arns); invalidParameter(err) && n > 1 {
		tasks, missing, err = l.describe(ctx, cluster, arns[:n/2])
		some, unknown, failed := l.describe(ctx, cluster, arns[n/2:])
		return append(tasks, some...), append(missing, unknown...), errors.Join(err, failed)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("describe tasks: %w", err)
	}
	for i := range out.Tasks {
		tasks = append(tasks, l.task(&out.Tasks[i]))
	}
	for _, f := range out.Failures {
		arn, reason := aws.ToString(f.Arn), aws.ToString(f.Reason)
		if reason == "MISSING" {
			missing = append(missing, arn)
		} else {
			failed = errors.Join(failed, fmt.Errorf("describe task %s: %s %s", arn, reason, aws.ToString(f.Detail)))
		}
	}
	return tasks, missing, failed
}

// Find lists the tasks that one launch made, running and stopped.
func (l *Launcher) Find(ctx context.Context, startedBy, taskDefinition string) ([]spot.Task, error) {
	// Those that are to run are what is listed without a desiredStatus. ECS's documents have startedBy as the only filter.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
	running, err := l.list(ctx, &ecs.ListTasksInput{StartedBy: aws.String(startedBy)})
	if err != nil {
		return nil, err
	}
	stopped, err := l.list(ctx, &ecs.ListTasksInput{StartedBy: aws.String(startedBy), DesiredStatus: types.DesiredStatusStopped})
	var ofFamily []spot.Task
	if invalidParameter(err) {
		ofFamily, err = l.stoppedOf(ctx, family(taskDefinition))
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
	if n := len(without(listed, tasks)); n > 0 { // the one that is looked for may be among them: no answer proves that there is none
		return nil, fmt.Errorf("find tasks of %s: ECS lists %d tasks that it does not describe", startedBy, n)
	}
	for _, t := range ofFamily {
		if t.StartedBy == startedBy && !slices.Contains(listed, t.ARN) {
			tasks = append(tasks, t)
		}
	}
	return tasks, nil
}

const (
	// stoppedKept is how long the stopped tasks of a family are kept, so that an outage that leaves many launches of one family to
	// be settled costs one look and not one for each. Settling is so much shorter by it.
	stoppedKept = 15 * time.Second
	// stoppedMax is how many stopped tasks of a family are looked at, in 100 to 150 calls: ECS takes 100 at once and 20 a second. It
	// shows a stopped task for an hour: a family that ends more in that time has its launches settled by events, or once it is calmer.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
	stoppedMax = 5000
)

// errTooMany says that there are more than stoppedMax.
var errTooMany = fmt.Errorf("list tasks: there are more than %d", stoppedMax)

// familyLook is what a look at a family's stopped tasks told. That there are too many is an answer: to ask again costs as much.
type familyLook struct {
	tasks   []spot.Task
	tooMany bool
}

// stoppedOf are the stopped tasks of a family, for where ECS refuses startedBy together with STOPPED.
func (l *Launcher) stoppedOf(ctx context.Context, family string) ([]spot.Task, error) {
	look, err := l.stopped.get(ctx, family, l.now, stoppedKept, func() (familyLook, error) {
		tasks, err := l.lookAt(ctx, family)
		if errors.Is(err, errTooMany) {
			return familyLook{tooMany: true}, nil
		}
		return familyLook{tasks: tasks}, err
	})
	if look.tooMany {
		return nil, errTooMany
	}
	return look.tasks, err
}

// lookAt lists and describes the stopped tasks of a family.
func (l *Launcher) lookAt(ctx context.Context, family string) ([]spot.Task, error) {
	in := &ecs.ListTasksInput{Family: aws.String(family), DesiredStatus: types.DesiredStatusStopped}
	listed, err := l.list(ctx, in)
	if err != nil {
		return nil, err
	}
	tasks, _, err := l.Describe(ctx, listed)
	if err != nil {
		return nil, err
	}
	undescribed := without(listed, tasks)
	if len(undescribed) > 0 { // of a busy family there is always one that ECS has just forgotten
		if listed, err = l.list(ctx, in); err != nil {
			return nil, err
		}
		undescribed = slices.DeleteFunc(undescribed, func(arn string) bool { return !slices.Contains(listed, arn) })
	}
	if n := len(undescribed); n > 0 {
		return nil, fmt.Errorf("find stopped tasks of family %s: ECS lists %d that it does not describe", family, n)
	}
	return tasks, nil
}

// without are the ARNs of which no task is told.
func without(arns []string, tasks []spot.Task) []string {
	told := map[string]bool{}
	for _, t := range tasks {
		told[t.ARN] = true
	}
	return slices.DeleteFunc(slices.Clone(arns), func(arn string) bool { return told[arn] })
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
		if arns = append(arns, page.TaskArns...); len(arns) > stoppedMax {
			return nil, errTooMany
		}
	}
	return arns, nil
}

// task reads a task as DescribeTasks shows it.
func (l *Launcher) task(in *types.Task) spot.Task {
	t := spot.Task{
		ARN: aws.ToString(in.TaskArn), StartedBy: aws.ToString(in.StartedBy), Version: in.Version,
		LastStatus: aws.ToString(in.LastStatus), DesiredStatus: aws.ToString(in.DesiredStatus),
		StopCode: string(in.StopCode), StoppedReason: aws.ToString(in.StoppedReason),
		CreatedAt: aws.ToTime(in.CreatedAt), StartedAt: aws.ToTime(in.StartedAt), StoppingAt: aws.ToTime(in.StoppingAt),
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
