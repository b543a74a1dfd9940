// Command watch is the Lambda function that follows tasks: ECS task-state events move jobs on, wake-ups end backoffs, and
// once a minute the sweep finds what events did not tell.
//
// main.go wires, handler.go calls the engine and answers, dryrun.go tells what a payload would have been taken for. It is
// invoked by SQS and, for the sweep, by EventBridge Scheduler. Outside Lambda it reads one payload from standard input.
//
// The invariant it keeps: an event is acknowledged only once what it tells is stored.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spotbatch/spotbatch/internal/function"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		os.Exit(1)
	}
}

func run() error {
	// Set inside Lambda alone: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		runner := os.Getenv("SPOTBATCH_RUNNER")
		if runner == "" {
			runner = "spotbatch"
		}
		return function.Once(context.Background(), dryRun(runner), os.Stdin, os.Stdout)
	}
	f, err := function.New(os.Getenv, 0) // events do not wait behind launches
	if err != nil {
		return err
	}
	h := &handler{engine: f.Engine, meter: f.Meter, log: f.Log}
	f.Serve(h.handle, f.WarmStore)
	return nil
}
