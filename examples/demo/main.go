// Command demo shows what spotbatch is for, on one machine and in a quarter of a minute: six jobs for real, in operating-
// system processes, and what befalls jobs on Spot befalls them.
//
//	go build -o bin/ ./cmd/spotbatch ./examples/wordcount
//	go run ./examples/demo
//
// It drives the built command line just as a person would, then reads the job documents and the logs, and compares every
// attempt, cause, exit code and total with what was to be expected. If anything went otherwise it says what and exits 1.
//
// It runs in the repository's root. It refuses to know anything that the command line does not tell it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"
)

// atMost is when the demo gives up. It takes a quarter of a minute; a machine that is busy may take its time.
const atMost = 3 * time.Minute

func main() {
	d := &demo{stdout: os.Stdout, stderr: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	flag.StringVar(&d.spotbatch, "spotbatch", filepath.Join("bin", "spotbatch"), "the command line to drive")
	flag.StringVar(&d.executor, "executor", "process", "run tasks with process or docker")
	flag.StringVar(&d.data, "data", "", "data `DIR`, new, to look at afterwards (default: a temporary one)")
	flag.Parse()
	asked, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithTimeoutCause(asked, atMost, fmt.Errorf("it took longer than %v", atMost))
	err := d.run(ctx)
	ended := asked.Err() != nil
	cancel()
	stop()
	switch {
	case ended:
		fmt.Fprintln(os.Stderr, "\nEnded before the end; its jobs are cancelled.")
		os.Exit(130)
	case err != nil:
		fmt.Fprintf(os.Stderr, "\nThe demo did not go as it should:\n%v\n", err)
		os.Exit(1)
	}
}

// run makes a data directory, plays in it and takes it away again.
func (d *demo) run(ctx context.Context) (err error) {
	for _, program := range []string{d.spotbatch, filepath.Join("bin", "wordcount"), filepath.Join("examples", "task-definitions")} {
		if _, err := os.Stat(program); err != nil {
			return fmt.Errorf("%s is missing: run this in the repository's root, after 'go build -o bin/ ./cmd/spotbatch ./examples/wordcount'", program)
		}
	}
	temporary := d.data == ""
	if temporary {
		if d.data, err = os.MkdirTemp("", "spotbatch-demo-"); err != nil {
			return err
		}
	} else if err := os.Mkdir(d.data, 0o700); err != nil {
		return fmt.Errorf("make a new data directory: %w", err)
	}
	err = d.play(ctx)
	if temporary && (err == nil || errors.Is(ctx.Err(), context.Canceled)) {
		return errors.Join(err, os.RemoveAll(d.data))
	}
	look := fmt.Sprintf("%s describe --local --data %s taken", d.spotbatch, d.data)
	if err != nil {
		return errors.Join(err, fmt.Errorf("what happened is kept in %s; look at it with '%s'", d.data, look))
	}
	d.say("", "Look around: "+look)
	return nil
}
