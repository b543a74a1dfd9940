// Command watch is the Lambda function that follows tasks: ECS task-state events move jobs on, wake-ups end backoffs, and
// once a minute the sweep finds what events did not tell.
//
// main.go wires, handler.go calls the engine and answers, dryrun.go tells what a payload would have been taken for. It is
// invoked by SQS and EventBridge. Outside Lambda it reads one payload from standard input.
//
// The invariant it keeps: an event is acknowledged only once what it tells is stored.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spotbatch/spotbatch/internal/function"
)

func main() {
	if os.Getenv("SPOTBATCH_TABLE") != "" || os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		// The DynamoDB store and the AWS clients are the next step; until then nothing is pretended.
		fail(errors.New("watch: this version does not run on AWS yet; without SPOTBATCH_TABLE it shows what it makes of an event"))
	}
	runner := os.Getenv("SPOTBATCH_RUNNER")
	if runner == "" {
		runner = "spotbatch"
	}
	if err := function.Once(context.Background(), dryRun(runner), os.Stdin, os.Stdout); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
