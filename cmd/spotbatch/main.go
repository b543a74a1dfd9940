// Command spotbatch submits batch jobs to Fargate Spot, follows them and tells what became of them; and runs the whole
// system on one machine.
//
// It is responsible for reading requests, for printing job documents, tables and plain sentences, and for exit codes. It
// refuses to decide anything about a job: the engine does, and a backend is all it knows of where jobs live. Environment
// and terminal are read here alone.
//
// The invariant it keeps: data goes to standard output and all else to standard error, so that its output can be piped.
package main

import (
	"context"
	"os"
	_ "time/tzdata" // schedules name time zones, and a machine may know none

	"github.com/spotbatch/spotbatch/internal/fargate/process"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == process.Verb {
		os.Exit(process.Supervise(os.Args[2:]))
	}
	ctx := interruptible(context.Background())
	c := newCLI(os.Stdin, os.Stdout, os.Stderr)
	c.program = quoted(os.Args[:1])
	os.Exit(c.execute(ctx, os.Args[1:]))
}
