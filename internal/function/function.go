// Package function is what both Lambda functions share: their settings, the engine on AWS, one invocation from beginning to
// end, the answer to an SQS batch item by item, pacing, and metrics.
//
// It refuses to know what the items are about and to read the environment itself; functions/submit and functions/watch are its
// callers.
//
// The invariant it keeps: a batch item is acknowledged only if its handler returned without an error, and one bad item
// never takes the others with it.
package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/spotbatch/spotbatch/internal/aws"
	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// Handler takes one payload, whatever its envelope, and returns its answer.
type Handler func(ctx context.Context, payload json.RawMessage) (any, error)

// Once runs the handler on the one payload that stdin holds and prints its answer.
func Once(ctx context.Context, handler Handler, stdin io.Reader, stdout io.Writer) error {
	payload, err := io.ReadAll(stdin)
	if err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	answer, err := handler(ctx, payload)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// sweepJobsAtOnce is how many jobs a sweep moves at the same time.
const sweepJobsAtOnce = 16

// Function is one instance of a function on Lambda.
type Function struct {
	Engine   *engine.Engine
	Rejected aws.RejectedQueue
	Meter    *Meter
	Log      *slog.Logger
	settings Settings
}

// wallClock is the time without Go's monotonic reading, which may stand still while Lambda keeps an instance frozen between two
// invocations: what is kept for seconds would be kept for hours, and no token would be earned.
// https://pkg.go.dev/time#hdr-Monotonic_Clocks
func wallClock() time.Time { return time.Now().Round(0) }

// New makes an instance's engine and its clients from the environment. A call that is paced waits for its token as long as
// patience allows. The error names every setting that is wrong.
func New(getenv func(string) string, patience time.Duration) (*Function, error) {
	settings, err := ReadSettings(getenv)
	config, noConfig := aws.LambdaConfig(getenv)
	if err = errors.Join(err, noConfig); err != nil {
		return nil, err
	}
	f := &Function{
		Rejected: aws.RejectedQueue{Queue: aws.NewQueue(config, settings.RejectedQueueURL)},
		Meter:    newMeter(settings.Runner, os.Stdout),
		Log:      slog.New(lambdacontext.NewLogHandler()),
		settings: settings,
	}
	times := spot.AWSTimes()
	times.Retention = settings.Retention
	made := engine.Config{
		Runner: settings.Runner, Store: dynamo.New(config, settings.Table, dynamo.WithClock(wallClock)),
		Launcher: ecs.NewFromConfig(config, ecs.Config{
			Cluster: settings.Cluster, Subnets: settings.Subnets, SecurityGroups: settings.SecurityGroups,
			AssignPublicIP: settings.AssignPublicIP, PlatformVersion: settings.PlatformVersion,
			EnableExecuteCommand: settings.ExecuteCommand,
		}, wallClock),
		Publisher: aws.NewBus(config, settings.EventBus),
		Waker:     aws.NewWaker(config, settings.EventsQueueURL, settings.JobsQueueURL, wallClock),
		Meter:     f.Meter, Times: times, Parallel: sweepJobsAtOnce, AllowedFamilies: settings.AllowedFamilies,
		Now: wallClock, Roll: rand.Float64, NewID: engine.RandomID, Log: f.Log,
	}
	if share := settings.LaunchesPerSecond; share > 0 {
		turns := share
		if settings.JobsQueueURL != "" {
			turns *= 2 // each is taken at this function or at the other one
		}
		made.Pacer = newPacer(share, turns, patience)
	}
	f.Engine = engine.New(made)
	return f, nil
}

// warmFor bounds the warming: a service that does not answer is the first invocation's trouble and not the start's.
const warmFor = time.Second

// warm runs calls whose answers do not matter side by side, so that the connections of the first invocation stand before
// it comes: while an instance starts it has more processor than later.
func (f *Function) warm(calls []func(context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), warmFor)
	defer cancel()
	var group sync.WaitGroup
	for _, call := range calls {
		group.Go(func() { call(ctx) })
	}
	group.Wait()
}

// WarmStore reads a job that is not there.
func (f *Function) WarmStore(ctx context.Context) { _, _ = f.Engine.Store.Get(ctx, "warm-up") }

// WarmDefinitions reads the task definition that requests most likely name; the launcher keeps it.
func (f *Function) WarmDefinitions(ctx context.Context) {
	if len(f.settings.AllowedFamilies) > 0 {
		_, _ = f.Engine.Launcher.TaskDefinition(ctx, f.settings.AllowedFamilies[0])
	}
}

// Serve warms the clients and takes invocations until Lambda ends the process.
func (f *Function) Serve(handler Handler, warm ...func(context.Context)) {
	log.SetFlags(0) // the runtime library's own lines are JSON too, without a time before them
	f.warm(warm)
	lambda.Start(f.metered(handler))
}

// answerReserve is what an invocation keeps for its answer: at its deadline Lambda kills the process, and what hangs in one
// item must not take the others' answers, and the metrics, with it.
const answerReserve = 2 * time.Second

// metered writes the invocation's metrics after the handler, whatever it returned.
func (f *Function) metered(handler Handler) Handler {
	return func(ctx context.Context, payload json.RawMessage) (any, error) {
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerReserve))
			defer cancel()
		}
		answer, err := handler(ctx, payload)
		if failed := f.Meter.Flush(time.Now()); failed != nil {
			f.Log.WarnContext(ctx, "metrics not written", slog.String("error", failed.Error()))
		}
		return answer, err
	}
}
