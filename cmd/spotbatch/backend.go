package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// backend is where jobs live, as far as a verb needs to know.
type backend interface {
	Submit(ctx context.Context, submission engine.Submission) (*jobs.Job, error)
	Retry(ctx context.Context, jobID string) (*jobs.Job, error)
	Cancel(ctx context.Context, jobID, reason string) (*jobs.Job, error)
	Get(ctx context.Context, jobID string) (*jobs.Job, error)
	List(ctx context.Context, query jobs.Query) (jobs.Page, error)
	// Watch's channel gets a value when jobs may have changed, and closes with ctx.
	Watch(ctx context.Context) <-chan struct{}
	// Log opens what the job's container wrote in an attempt. A reader at its end may have more later. An error that wraps
	// fs.ErrNotExist means that there is nothing yet.
	Log(ctx context.Context, job *jobs.Job, attempt *jobs.Attempt) (io.ReadCloser, error)
	// Size is the size of a job's tasks.
	Size(ctx context.Context, job *jobs.Job) (spot.Size, error)
	Close() error
	manners() manners
}

// manners are how a backend is to be treated: what costs nothing on one machine is a request with a price on AWS.
type manners struct {
	submitsAtOnce int           // requests that are being submitted at the same time
	pace          time.Duration // the shortest time between two looks at the jobs
	logPace       time.Duration // how often a log that is followed is read on: nothing announces that a container wrote
	scans         bool          // looking for the jobs that run among all that there are costs next to nothing
}

func localManners() manners {
	return manners{submitsAtOnce: 64, logPace: 200 * time.Millisecond, scans: true}
}

// machine is a backend that is this machine: it can execute, too.
type machine interface {
	backend
	Up(ctx context.Context, ready func(local.Status)) error
	Interrupt(ctx context.Context, jobID string) error
	// Running reports whether any process executes.
	Running() bool
}

// errNowhere: nothing says which jobs are meant.
var errNowhere = errors.New("say where the jobs are: --stack NAME (or SPOTBATCH_STACK) for a deployment on AWS, " +
	"--local (or SPOTBATCH_LOCAL=1) for this machine")

// connect opens the backend for a verb that calls it.
func (c *cli) connect(ctx context.Context) (backend, error) {
	if err := c.choose(); err != nil {
		return nil, err
	}
	if c.onLocal {
		return c.openMachine(ctx)
	}
	return c.openCloud(ctx)
}

// choose decides between this machine and AWS. A flag goes before the environment.
func (c *cli) choose() error {
	if !c.given("local") && !c.given("stack") {
		if err := c.checkEnvironment(); err != nil {
			return err
		}
	}
	if c.onLocal && c.given("stack") {
		if c.given("local") {
			return notWithStack("--local")
		}
		c.onLocal = false
	}
	return nil
}

// chooseLocal is choose for a verb that is this machine's whatever is given.
func (c *cli) chooseLocal(verb string) error {
	if c.given("stack") {
		return notWithStack(verb)
	}
	c.onLocal = true
	return nil
}

func notWithStack(what string) error {
	return usageError(fmt.Errorf("%s does not go with --stack: one is this machine, the other is AWS", what))
}

func (c *cli) openMachine(ctx context.Context) (machine, error) {
	return c.open(ctx, local.Options{DataDir: c.data, Log: slog.New(c.journal(slog.LevelWarn))}, false)
}

// with opens the backend for the length of one verb.
func (c *cli) with(ctx context.Context, verb func(backend) error) error {
	b, err := c.connect(ctx)
	if err != nil {
		return err
	}
	return errors.Join(verb(b), b.Close())
}

// noteIdle says that nothing will happen to live jobs as things stand, which can be on this machine alone.
func (c *cli) noteIdle(b backend) {
	if m, ok := b.(machine); ok && !m.Running() {
		c.say("Nothing executes jobs of %s now: start '%s'.", c.data, c.command("local up"))
	}
}
