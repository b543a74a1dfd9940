// Package ecs is the launcher: RunTask, StopTask, DescribeTasks, ListTasks and DescribeTaskDefinition on the ECS SDK, and
// what their answers and errors mean for a job.
//
// It is responsible for building each request, for reading all three ways in which RunTask says no (an error, failures[],
// nothing at all), for adopting tasks from a ConflictException, and for finding the tasks of an old launch. It refuses to
// decide anything about a job or to retry: an answer goes back to internal/engine, its caller, as an observation.
//
// The invariant it keeps: an answer that does not prove that no task exists is never reported as a refusal.
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
	Cluster        string
	Subnets        []string
	SecurityGroups []string
	AssignPublicIP bool
}

// Launcher calls ECS for the engine.
type Launcher struct {
	api    API
	config Config
	now    func() time.Time
}

// New makes a launcher. now is when an answer is said to have been observed.
func New(api API, config Config, now func() time.Time) *Launcher {
	return &Launcher{api: api, config: config, now: now}
}

// Run calls RunTask once. Whatever happens is an answer; see spot.Answer.
func (l *Launcher) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	out, err := l.api.RunTask(ctx, l.runTaskInput(launch), once)
	if err != nil {
		return answerOfError(err)
	}
	// err == nil is not success: a task that could not be placed is a failure in a 200 answer.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
	if len(out.Tasks) > 0 {
		t := out.Tasks[0]
		return spot.Answer{
			Kind: spot.AnswerTask, TaskARN: aws.ToString(t.TaskArn), Stopped: aws.ToString(t.LastStatus) == "STOPPED", Firm: true,
		}
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
	_, err := l.api.StopTask(ctx, &ecs.StopTaskInput{Cluster: aws.String(l.config.Cluster), Task: aws.String(arn), Reason: aws.String(reason)})
	if err != nil && !taskUnknown(err) {
		return fmt.Errorf("stop task %s: %w", arn, err)
	}
	return nil
}

// TaskDefinition resolves a family, family:revision or ARN. An error that wraps ErrNoTaskDefinition is the request's fault.
func (l *Launcher) TaskDefinition(ctx context.Context, name string) (spot.TaskDefinition, error) {
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
