// Command submit is the Lambda function that takes job requests in: it stores the job and starts its task.
//
// main.go wires, handler.go calls the engine and answers, dryrun.go tells what a payload would have been taken for. It is
// invoked by SQS, EventBridge, EventBridge Scheduler and directly. Outside Lambda it reads one payload from standard input.
//
// The invariant it keeps: a message is acknowledged only once its job is stored or its rejection is.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spotbatch/spotbatch/internal/function"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "submit:", err)
		os.Exit(1)
	}
}

func run() error {
	// Set inside Lambda alone: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		return function.Once(context.Background(), dryRun, os.Stdin, os.Stdout)
	}
	f, err := function.New(os.Getenv, function.Patience)
	if err != nil {
		return err
	}
	h := &handler{engine: f.Engine, rejected: f.Rejected, meter: f.Meter, log: f.Log}
	f.Serve(h.handle, f.WarmStore, f.WarmDefinitions)
	return nil
}
