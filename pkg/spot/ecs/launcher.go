// Package ecs is the launcher: RunTask, StopTask, DescribeTasks, ListTasks and DescribeTaskDefinition on the ECS SDK, and
// what their answers and errors mean for a job.
//
// It is responsible for building each request, for reading all three ways in which RunTask says no (an error, failures[],
// nothing at all), for adopting tasks from a ConflictException, for finding the tasks of an old launch, and for keeping task
// definitions and a family's stopped tasks for a while. It refuses to decide anything about a job or to retry RunTask: an answer goes back to
// internal/engine, its caller, as an observation. DescribeCluster is for whoever examines a deployment.
//
// The invariant it keeps: an answer that does not prove that no task exists is never reported as a refusal.
package ecs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// API is the part of ECS that the launcher calls: the SDK's client, or a stand-in.
type API interface {
	RunTask(context.Context, *ecs.RunTaskInput, ...func(*ecs.Options)) (*ecs.RunTaskOutput, error)
	StopTask(context.Context, *ecs.StopTaskInput, ...func(*ecs.Options)) (*ecs.StopTaskOutput, error)
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
}

// Config is where tasks run; it belongs to the deployment and never comes from a request.
type Config struct {
	Cluster        string // name or ARN
	Subnets        []string
	SecurityGroups []string
	AssignPublicIP bool
	// PlatformVersion is Fargate's; empty is not sent, and ECS takes LATEST.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/platform-fargate.html
	PlatformVersion string
	// EnableExecuteCommand lets people into running containers. Each task definition then needs a task role.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
	EnableExecuteCommand bool
}

// Launcher calls ECS for the engine. It may be called from many goroutines.
type Launcher struct {
	api         API
	config      Config
	now         func() time.Time
	definitions cache[spot.TaskDefinition]
	stopped     cache[familyLook] // by family
}

// New makes a launcher. now is when an answer is said to have been observed.
func New(api API, config Config, now func() time.Time) *Launcher {
	return &Launcher{api: api, config: config, now: now}
}

// NewFromConfig makes a launcher on the SDK's own client.
func NewFromConfig(cfg aws.Config, config Config, now func() time.Time) *Launcher {
	return New(ecs.NewFromConfig(cfg), config, now)
}

// Run calls RunTask once. Whatever happens is an answer; see spot.Answer.
func (l *Launcher) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	out, err := l.api.RunTask(ctx, l.runTaskInput(launch), once)
	if err != nil {
		return answerOfError(err)
	}
	// err == nil is not success: a task that could not be placed is a failure in a 200 answer.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
	if len(out.Tasks) > 0 && aws.ToString(out.Tasks[0].TaskArn) != "" {
		t := l.task(&out.Tasks[0])
		return spot.Answer{Kind: spot.AnswerTask, TaskARN: t.ARN, Stopped: t.Stopped(), Firm: true}
	}
	if len(out.Failures) > 0 {
		f := out.Failures[0]
		reason := joinReason(aws.ToString(f.Reason), aws.ToString(f.Detail))
		return spot.Answer{Kind: spot.AnswerRefused, Cause: spot.ClassifyFailure(reason), Reason: reason, Firm: true}
	}
	return spot.Answer{Kind: spot.AnswerNone, Reason: "RunTask answered with neither a task nor a failure."}
}

// once keeps the SDK from repeating a call by itself: the refusal of a repeat would hide that the first call may have made a
// task.
func once(o *ecs.Options) { o.Retryer = aws.NopRetryer{} }

func joinReason(reason, detail string) string {
	if detail == "" || strings.Contains(reason, detail) {
		return reason
	}
	return reason + ": " + detail
}

// runTaskInput says one launch in ECS's words. capacityProviderStrategy and launchType exclude each other, and only the
// strategy can ask for Spot.
func (l *Launcher) runTaskInput(launch spot.Launch) *ecs.RunTaskInput {
	override := types.ContainerOverride{Name: aws.String(launch.Container), Command: launch.Command}
	for _, e := range launch.Environment {
		override.Environment = append(override.Environment, types.KeyValuePair{Name: aws.String(e.Name), Value: aws.String(e.Value)})
	}
	overrides := &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{override}}
	if launch.CPU != "" {
		overrides.Cpu = aws.String(launch.CPU)
	}
	if launch.Memory != "" {
		overrides.Memory = aws.String(launch.Memory)
	}
	if launch.EphemeralStorageGiB > 0 {
		overrides.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: int32(launch.EphemeralStorageGiB)}
	}
	in := &ecs.RunTaskInput{
		Cluster:        aws.String(l.config.Cluster),
		TaskDefinition: aws.String(launch.TaskDefinition),
		Count:          aws.Int32(1), // idempotency and failures are per call
		CapacityProviderStrategy: []types.CapacityProviderStrategyItem{
			{CapacityProvider: aws.String(string(launch.CapacityProvider)), Weight: 1}, // the API's default weight is 0
		},
		NetworkConfiguration: l.network(),
		Overrides:            overrides,
		StartedBy:            aws.String(launch.StartedBy),
		ClientToken:          aws.String(launch.ClientToken),
		PropagateTags:        types.PropagateTagsTaskDefinition,
		EnableExecuteCommand: l.config.EnableExecuteCommand,
	}
	if l.config.PlatformVersion != "" {
		in.PlatformVersion = aws.String(l.config.PlatformVersion)
	}
	for _, tag := range launch.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(tag.Key), Value: aws.String(tag.Value)})
	}
	return in
}

func (l *Launcher) network() *types.NetworkConfiguration {
	public := types.AssignPublicIpDisabled
	if l.config.AssignPublicIP {
		public = types.AssignPublicIpEnabled
	}
	return &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: l.config.Subnets, SecurityGroups: l.config.SecurityGroups, AssignPublicIp: public,
	}}
}

// reasonMax is how much of a reason StopTask takes.
const reasonMax = 255

// Stop calls StopTask. Stopping a task that ECS has forgotten is no error: it does not run.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
func (l *Launcher) Stop(ctx context.Context, arn, reason string) error {
	if runes := []rune(reason); len(runes) > reasonMax {
		reason = string(runes[:reasonMax])
	}
	_, err := l.api.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String(l.clusterOf(arn)), Task: aws.String(arn), Reason: aws.String(reason)})
	if err != nil && !taskUnknown(err) {
		return fmt.Errorf("stop task %s: %w", arn, err)
	}
	return nil
}
