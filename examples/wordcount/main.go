// Command wordcount is an example of a batch job that Spot may take away at any moment: it counts lines, words, bytes and
// the most frequent identifiers of every package in a tree of Go source, file by file.
//
//	wordcount [-checkpoints DIR] [-pace 8s] [-fail-times 1] [DIR]
//
// Without DIR it counts the Go source tree itself, which is on every machine that has Go.
//
// At SIGTERM it saves how far it has come and ends; the next attempt goes on from there, and its totals are exactly those
// of a run that nobody interrupted. The checkpoint is a file, so its folder must outlive the task: on Fargate that is an
// EFS volume (or write the same bytes to S3); on one machine any folder will do.
//
// It then exits with 143, as a shell has it for a program that SIGTERM ended. After Spot's notice spotbatch would take an
// exit code of 0 just as well: by default it is not success then (exitZeroOnInterruption). But SIGTERM may come from
// elsewhere, and a program that has not done its work should not say that it has.
//
// It uses the standard library alone, and of spotbatch only the four environment variables that every attempt gets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The exit codes.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitTerminated = 128 + 15 // SIGTERM
)

func main() {
	// To the very end: SIGTERM must not end a process whose work is done and whose exit code is about to say so.
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	dir         string
	checkpoints string
	pace        time.Duration
	failTimes   int
}

func parse(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("wordcount", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.checkpoints, "checkpoints", getenv("CHECKPOINT_DIR"), "save checkpoints in this `DIR` (CHECKPOINT_DIR); none: nothing is saved")
	flags.DurationVar(&o.pace, "pace", 0, "take at least so `long` for all files, to have something to watch")
	flags.IntVar(&o.failTimes, "fail-times", 0, "fail in the first `N` attempts")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 1 {
		return o, errors.New("one DIR at most")
	}
	o.dir = flags.Arg(0)
	return o, nil
}

// run is the whole program but for the process around it.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "wordcount:", err)
		}
		return exitUsage
	}
	attempt, _ := strconv.Atoi(getenv("SPOTBATCH_ATTEMPT"))
	fmt.Fprintln(stdout, introduction(getenv))
	if err := count(ctx, o, checkpointFile(o, getenv), attempt, stdout); err != nil {
		if errors.Is(err, errTerminated) {
			return exitTerminated
		}
		fmt.Fprintln(stdout, "wordcount:", err)
		return exitFailed
	}
	return 0
}

// introduction says which attempt this is, in what the environment tells of it.
func introduction(getenv func(string) string) string {
	job := getenv("SPOTBATCH_JOB_ID")
	if job == "" {
		return "wordcount, not as a job"
	}
	text := fmt.Sprintf("job %s, attempt %s on %s", job, getenv("SPOTBATCH_ATTEMPT"), getenv("SPOTBATCH_CAPACITY_PROVIDER"))
	if cause := getenv("SPOTBATCH_PREVIOUS_CAUSE"); cause != "" {
		text += ", after " + cause
	}
	return text
}

// checkpointFile is this job's, so that many jobs may share the folder; "" where nothing is to be saved.
func checkpointFile(o options, getenv func(string) string) string {
	if o.checkpoints == "" {
		return ""
	}
	name := getenv("SPOTBATCH_JOB_ID")
	if name == "" {
		name = "wordcount"
	}
	return filepath.Join(o.checkpoints, name+".checkpoint")
}

// errTerminated: SIGTERM came before the end.
var errTerminated = errors.New("terminated")

// count counts from the checkpoint, if there is one, to the end or to SIGTERM.
func count(ctx context.Context, o options, file string, attempt int, stdout io.Writer) error {
	files, err := openFiles(ctx, o.dir)
	if err != nil {
		return err
	}
	work := newTally(files)
	if file != "" {
		// Made first: better to fail now than in the two minutes that Spot leaves.
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return fmt.Errorf("make checkpoint folder: %w", err)
		}
		work, err = loadTally(file, files)
		if errors.Is(err, errCheckpoint) {
			fmt.Fprintln(stdout, err, "- counting from the start")
		} else if err != nil {
			return err
		}
	}
	of := grouped(len(files.files))
	if work.Done > 0 {
		fmt.Fprintf(stdout, "resumed from checkpoint at file %s of %s\n", grouped(work.Done), of)
	} else {
		fmt.Fprintf(stdout, "%s Go files in %s\n", of, files.root)
	}
	show := progress{files: len(files.files), from: work.Done, pace: o.pace, began: time.Now(), stdout: stdout}
	fail := attempt > 0 && attempt <= o.failTimes
	err = work.run(ctx, files, func(ctx context.Context, done int) error {
		if fail && done-show.from >= len(files.files)/10 {
			return fmt.Errorf("told to fail in attempt %d, at file %s of %s", attempt, grouped(done), of)
		}
		return show.step(ctx, done)
	})
	switch {
	case err == nil:
	case ctx.Err() == nil:
		return err
	case file == "":
		fmt.Fprintf(stdout, "terminated at file %s of %s; nothing is saved without -checkpoints\n", grouped(work.Done), of)
		return errTerminated
	default:
		if err := work.save(file); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "terminated: checkpoint saved at file %s of %s\n", grouped(work.Done), of)
		return errTerminated
	}
	fmt.Fprint(stdout, work.report())
	if file != "" {
		// It has served; one that stays costs the next run nothing either: there is nothing left to count then.
		_ = os.Remove(file)
	}
	return nil
}

// openFiles lists a folder's files, or those of the Go source tree.
func openFiles(ctx context.Context, dir string) (*tree, error) {
	if dir == "" {
		root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return nil, fmt.Errorf("find the Go source tree: go env GOROOT: %w; name a folder to count instead", err)
		}
		dir = filepath.Join(strings.TrimSpace(string(root)), "src")
	}
	return openTree(dir)
}

// progress prints a line each tenth of the way, and keeps the pace.
type progress struct {
	files, from int
	pace        time.Duration
	began       time.Time
	stdout      io.Writer
	tenths      int
}

// step is called before each file. It waits where that is due.
func (p *progress) step(ctx context.Context, done int) error {
	if tenths := 10 * done / p.files; tenths > p.tenths {
		if p.tenths = tenths; done > p.from {
			fmt.Fprintf(p.stdout, "%3d %%  %s of %s files\n", 10*tenths, grouped(done), grouped(p.files))
		}
	}
	due := p.began.Add(time.Duration(float64(p.pace) * float64(done-p.from) / float64(p.files)))
	if wait := time.Until(due); wait > 0 {
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return context.Cause(ctx)
}
