package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	awsadapter "github.com/spotbatch/spotbatch/internal/aws"
	"github.com/spotbatch/spotbatch/internal/aws/direct"
	"github.com/spotbatch/spotbatch/internal/aws/logs"
	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// awsManners: a read is a fraction of a cent each thousand, and Lambda runs few invocations at once in a new account.
func awsManners() manners {
	return manners{submitsAtOnce: 8, pace: time.Second, logPace: time.Second}
}

// watchEvery is how often jobs on AWS are looked at: nothing announces there that they changed.
const watchEvery = 2 * time.Second

// cloud is a deployment on AWS: jobs are read from its table, and moved by its submit function alone.
type cloud struct {
	store  func() (jobs.Store, error)
	caller func() (*direct.Caller, error)
	queue  func() (*awsadapter.Queue, error)
	logs   *logs.Logs
	sizes  *sizes
	newID  func() string
}

var _ backend = (*cloud)(nil)

// loadAWS reads the SDK's configuration as every AWS tool does: flags, environment, shared files, the machine's role.
func loadAWS(ctx context.Context, region, profile string) (aws.Config, error) {
	// What the SDK would log beside its errors is for whoever debugs it.
	options := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	return config.LoadDefaultConfig(ctx, options...)
}

// findDeployment finds the deployment that a verb is about.
func (c *cli) findDeployment(ctx context.Context) (deployment, aws.Config, error) {
	d, ok := deploymentOf(c.getenv)
	if c.stack == "" && !ok {
		return d, aws.Config{}, usageError(errNowhere)
	}
	cfg, err := c.loadAWS(ctx, c.region, c.profile)
	if err != nil {
		return d, cfg, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return d, cfg, usageError(errors.New("say in which AWS Region the deployment is: --region, or AWS_REGION"))
	}
	if c.stack != "" {
		d, err = deploymentOfStack(ctx, cloudformation.NewFromConfig(cfg), c.stack, cfg.Region)
	}
	return d, cfg, err
}

// openCloud connects to the deployment. What a verb does not use need not be known, nor be allowed.
func (c *cli) openCloud(ctx context.Context) (*cloud, error) {
	d, cfg, err := c.findDeployment(ctx)
	if err != nil {
		return nil, err
	}
	return &cloud{
		store: sync.OnceValues(func() (jobs.Store, error) {
			table, err := d.need(partTable)
			return dynamo.New(cfg, table, dynamo.WithClock(c.now)), err
		}),
		caller: sync.OnceValues(func() (*direct.Caller, error) {
			function, err := d.need(partSubmit)
			return direct.New(cfg, function), err
		}),
		queue: sync.OnceValues(func() (*awsadapter.Queue, error) {
			url, err := d.need(partJobsQueue)
			return awsadapter.NewQueue(cfg, url), err
		}),
		logs:  logs.New(cfg),
		sizes: newSizes(ecs.NewFromConfig(cfg, ecs.Config{}, c.now)),
		newID: c.newID,
	}, nil
}

func (b *cloud) manners() manners { return awsManners() }

// Submit calls the submit function. What is wrong with the request itself is told without a call, which also sees to it
// that nothing but a request is ever sent: the function takes other payloads, too.
func (b *cloud) Submit(ctx context.Context, s engine.Submission) (*jobs.Job, error) {
	request, jobID, err := b.identified(s)
	if err != nil {
		return nil, err
	}
	caller, err := b.caller()
	if err != nil {
		return nil, err
	}
	j, err := caller.Submit(ctx, request)
	if err != nil && s.JobID == "" && !refusedForSure(err) {
		err = fmt.Errorf("%w\nif it was stored all the same, it is job %s: look before you submit it anew", err, jobID)
	}
	return j, err
}

// refusedForSure reports whether a call that failed cannot have stored a job. Of an error that the SDK has no type for, such
// as AccessDeniedException, the HTTP status alone says whose fault it is.
// https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
func refusedForSure(err error) bool {
	_, invalid := errors.AsType[*jobs.InvalidRequest](err)
	failure, ok := errors.AsType[smithy.APIError](err)
	answer, answered := errors.AsType[*smithyhttp.ResponseError](err)
	return invalid || ok && failure.ErrorFault() == smithy.FaultClient || answered && answer.HTTPStatusCode()/100 == 4
}

// Send puts the request into the jobs queue and returns the id that its job will have.
func (b *cloud) Send(ctx context.Context, s engine.Submission) (jobID string, err error) {
	request, jobID, err := b.identified(s)
	if err != nil {
		return "", err
	}
	queue, err := b.queue()
	if err != nil {
		return "", err
	}
	_, err = queue.Send(ctx, string(request))
	return jobID, err
}

// identified checks a request and, where it has no identity of its own, gives it one: then sending it twice, because an
// answer was lost, cannot make two jobs.
func (b *cloud) identified(s engine.Submission) (request []byte, jobID string, err error) {
	if _, err := jobs.ParseRequest(s.Body); err != nil {
		return nil, "", err
	}
	if s.JobID != "" {
		return s.Body, s.JobID, nil
	}
	jobID = b.newID()
	name, err := json.Marshal(jobID)
	if err != nil {
		return nil, "", err
	}
	object := strings.TrimSpace(string(s.Body)) // an object that is not empty, or it would have been refused
	return []byte(`{"jobId":` + string(name) + "," + object[1:]), jobID, nil
}

func (b *cloud) Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error) {
	caller, err := b.caller()
	if err != nil {
		return nil, err
	}
	return caller.Cancel(ctx, jobID, reason)
}

func (b *cloud) Retry(ctx context.Context, jobID string) (*jobs.Job, error) {
	caller, err := b.caller()
	if err != nil {
		return nil, err
	}
	j, err := caller.Retry(ctx, jobID)
	// The function has three types of errors alone, so a live job is a request that cannot be.
	if invalid, ok := errors.AsType[*jobs.InvalidRequest](err); ok && strings.HasSuffix(invalid.Error(), engine.ErrLive.Error()) {
		return nil, fmt.Errorf("retry job %s: %w", jobID, engine.ErrLive)
	}
	return j, err
}

func (b *cloud) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	store, err := b.store()
	if err != nil {
		return nil, err
	}
	return store.Get(ctx, jobID)
}

func (b *cloud) List(ctx context.Context, query jobs.Query) (jobs.Page, error) {
	store, err := b.store()
	if err != nil {
		return jobs.Page{}, err
	}
	return store.List(ctx, query)
}

// Watch polls: its channel gets a value every watchEvery.
func (b *cloud) Watch(ctx context.Context) <-chan struct{} {
	look := make(chan struct{}, 1)
	go func() {
		defer close(look)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			select {
			case look <- struct{}{}:
			default:
			}
		}
	}()
	return look
}

func (b *cloud) Log(ctx context.Context, _ *jobs.Job, attempt *jobs.Attempt) (io.ReadCloser, error) {
	switch {
	case attempt.TaskARN == "":
		return nil, fs.ErrNotExist
	case attempt.LogGroup == "" || attempt.LogStream == "":
		return nil, errors.New("the task definition sends the container's output elsewhere: its logConfiguration must have the driver " +
			"awslogs with awslogs-group and awslogs-stream-prefix")
	}
	return b.logs.Open(ctx, attempt.LogGroup, attempt.LogStream)
}

func (b *cloud) Size(ctx context.Context, job *jobs.Job) (spot.Size, error) {
	return b.sizes.of(ctx, job)
}

// Close lets go of nothing: the SDK's connections end with the process.
func (b *cloud) Close() error { return nil }
