package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
)

// part is one part of a deployment, as template.yaml's outputs and as the environment call it.
type part struct{ output, variable string }

// parts are all that the command line needs to know of a deployment.
func parts() []part {
	return []part{
		partRunner, partTable, partSubmit, partWatch, partCluster, partJobsQueue, partEventsQueue, partRejectedQueue,
	}
}

var (
	partRunner        = part{"Runner", "SPOTBATCH_RUNNER"}
	partTable         = part{"Table", "SPOTBATCH_TABLE"}
	partSubmit        = part{"SubmitFunction", "SPOTBATCH_SUBMIT_FUNCTION"}
	partWatch         = part{"WatchFunction", "SPOTBATCH_WATCH_FUNCTION"}
	partCluster       = part{"Cluster", "SPOTBATCH_CLUSTER"}
	partJobsQueue     = part{"JobsQueueUrl", "SPOTBATCH_JOBS_QUEUE_URL"}
	partEventsQueue   = part{"EventsQueueUrl", "SPOTBATCH_EVENTS_QUEUE_URL"}
	partRejectedQueue = part{"RejectedQueueUrl", "SPOTBATCH_REJECTED_QUEUE_URL"}
)

// deployment is one deployment on AWS: a stack's outputs, or without a stack what the environment says.
type deployment struct {
	stack string
	names map[part]string
}

// need returns a part's name, or an error that says where it is missing.
func (d deployment) need(p part) (string, error) {
	if name := d.names[p]; name != "" {
		return name, nil
	}
	if d.stack != "" {
		return "", fmt.Errorf("stack %s has no output %s: is it spotbatch's, and of this version?", d.stack, p.output)
	}
	return "", usageError(fmt.Errorf("%s is not set; --stack NAME finds all parts of a deployment", p.variable))
}

// complete is an error where a stack lacks an output: it is something else's, or its creation was rolled back. What the
// environment leaves out is for the caller to find.
func (d deployment) complete() error {
	if d.stack == "" {
		return nil
	}
	for _, p := range parts() {
		if _, err := d.need(p); err != nil {
			return err
		}
	}
	return nil
}

// deploymentOf reads the environment; ok is false where it names no deployment.
func deploymentOf(getenv func(string) string) (d deployment, ok bool) {
	d.names = map[part]string{}
	for _, p := range parts() {
		d.names[p] = getenv(p.variable)
	}
	return d, d.names[partTable] != "" || d.names[partSubmit] != "" || d.names[partJobsQueue] != ""
}

// describer is the part of CloudFormation that finds a deployment.
type describer interface {
	DescribeStacks(
		context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options),
	) (*cloudformation.DescribeStacksOutput, error)
}

// deploymentOfStack reads a stack's outputs.
func deploymentOfStack(ctx context.Context, api describer, stack, region string) (deployment, error) {
	d := deployment{stack: stack, names: map[part]string{}}
	out, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(stack)})
	// Of a stack that is not there CloudFormation says that the request is not valid.
	// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
	if failure, ok := errors.AsType[smithy.APIError](err); ok &&
		failure.ErrorCode() == "ValidationError" && strings.Contains(failure.ErrorMessage(), "does not exist") {
		return d, &exitError{exitNotFound, fmt.Errorf("there is no stack %s in %s", stack, region)}
	}
	if err != nil {
		return d, fmt.Errorf("describe stack %s: %w", stack, err)
	}
	for _, s := range out.Stacks {
		for _, o := range s.Outputs {
			for _, p := range parts() {
				if p.output == aws.ToString(o.OutputKey) {
					d.names[p] = aws.ToString(o.OutputValue)
				}
			}
		}
	}
	return d, nil
}
