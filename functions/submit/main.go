// Command submit is the Lambda function that takes job requests in: it stores the job and starts its task.
//
// main.go wires, handler.go calls the engine and answers, dryrun.go tells what a payload would have been taken for. It is
// invoked by SQS, EventBridge, EventBridge Scheduler and directly. Outside Lambda it reads one payload from standard input.
//
// The invariant it keeps: a message is acknowledged only once its job is stored or its rejection is.
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
		fail(errors.New("submit: this version does not run on AWS yet; without SPOTBATCH_TABLE it shows what it makes of an event"))
	}
	if err := function.Once(context.Background(), dryRun, os.Stdin, os.Stdout); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
