package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// expected is how every job must end: its attempts, and then the job.
var expected = []struct {
	id   string
	want string
}{
	{"steady", "1 FARGATE_SPOT SUCCEEDED 0; SUCCEEDED"},
	{"taken", "1 FARGATE_SPOT SPOT_INTERRUPTION 143, 2 FARGATE SUCCEEDED 0; SUCCEEDED"},
	{"no-room", "1 FARGATE_SPOT NO_CAPACITY, 2 FARGATE SUCCEEDED 0; SUCCEEDED"},
	{"buggy", "1 FARGATE_SPOT EXIT_NONZERO 1, 2 FARGATE_SPOT SUCCEEDED 0; SUCCEEDED"},
	{"polite", "1 FARGATE_SPOT SPOT_INTERRUPTION 0, 2 FARGATE SUCCEEDED 0; SUCCEEDED"},
	{"unwanted", "1 FARGATE_SPOT CANCELLED 143; CANCELLED"},
}

// ids are the jobs of the demo.
func ids() []string {
	var list []string
	for _, e := range expected {
		list = append(list, e.id)
	}
	return list
}

// check compares documents and logs with what was to be expected, and tells the result. found is what the second engine
// took over.
func (d *demo) check(ctx context.Context, began time.Time, found string) error {
	var problems []error
	var list []*jobs.Job
	for _, e := range expected {
		j, err := d.describe(ctx, e.id)
		if err != nil {
			return err
		}
		list = append(list, j)
		if got := story(j); got != e.want {
			problems = append(problems, fmt.Errorf("job %s went\n  %s\nand not\n  %s\n  (%s)", e.id, got, e.want, j.StatusReason))
		}
	}
	totals, err := d.checkTotals(ctx)
	problems = append(problems, err)
	resumed, err := d.checkResumed(ctx)
	if err := errors.Join(append(problems, err)...); err != nil {
		return err
	}
	d.say(
		"",
		fmt.Sprintf("All as it should be, after %.0f seconds: every attempt, cause and exit code.", time.Since(began).Seconds()),
		"The engine was killed while "+found+"; the next one took them over.",
		"taken was stopped, and went on where it had saved its work:",
	)
	d.say(resumed...)
	d.say("The totals of steady, taken, no-room and buggy are the same, to the last byte:", "  "+totals, "")
	d.say(costs(list, map[string]bool{"taken": true})...)
	return nil
}

// story is a job in one line.
func story(j *jobs.Job) string {
	var attempts []string
	for i := range j.Attempts {
		a := &j.Attempts[i]
		text := fmt.Sprintf("%d %s %s", a.Number, a.CapacityProvider, a.Cause)
		if a.ExitCode != nil {
			text += " " + strconv.Itoa(*a.ExitCode)
		}
		attempts = append(attempts, text)
	}
	return strings.Join(attempts, ", ") + "; " + string(j.Status)
}

var totalLine = regexp.MustCompile(`(?m)^total: (([0-9,]+) files, .* ([0-9,]+) bytes.*)$`)

// checkTotals compares the results of all jobs that counted with each other and, where they counted here, with the files.
func (d *demo) checkTotals(ctx context.Context) (string, error) {
	first := ""
	for _, id := range []string{"steady", "taken", "no-room", "buggy"} {
		log, err := d.call(ctx, "", "logs", id)
		if err != nil {
			return "", err
		}
		total := totalLine.FindStringSubmatch(log)
		switch {
		case total == nil:
			return "", fmt.Errorf("the log of job %s has no total:\n%s", id, log)
		case first == "":
			first = total[1]
			if err := d.checkFiles(ctx, total[2], total[3]); err != nil {
				return "", err
			}
		case total[1] != first:
			return "", fmt.Errorf("job %s counted\n  %s\nand steady, which nobody interrupted,\n  %s", id, total[1], first)
		}
	}
	return strings.Replace(first, "bytes in ", "bytes\n  in ", 1), nil
}

// checkFiles compares a result with what the file system says. In a container there are other files.
func (d *demo) checkFiles(ctx context.Context, files, bytes string) error {
	if d.executor != "process" {
		return nil
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	n, size := 0, int64(0)
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(name) != ".go" {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			n++
			size += info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	if ungrouped(files) != int64(n) || ungrouped(bytes) != size {
		return fmt.Errorf("the jobs counted %s files of %s bytes; there are %d of %d", files, bytes, n, size)
	}
	return nil
}

func ungrouped(text string) int64 {
	n, _ := strconv.ParseInt(strings.ReplaceAll(text, ",", ""), 10, 64)
	return n
}

var (
	savedLine   = regexp.MustCompile(`(?m)^terminated: checkpoint saved at file ([0-9,]+) of ([0-9,]+)$`)
	resumedLine = regexp.MustCompile(`(?m)^resumed from checkpoint at file ([0-9,]+) of ([0-9,]+)$`)
)

// checkResumed checks that the job which Spot took away went on exactly where its checkpoint was.
func (d *demo) checkResumed(ctx context.Context) ([]string, error) {
	before, err := d.call(ctx, "", "logs", "--attempt", "1", "taken")
	if err != nil {
		return nil, err
	}
	after, err := d.call(ctx, "", "logs", "--attempt", "2", "taken")
	if err != nil {
		return nil, err
	}
	saved, resumed := savedLine.FindStringSubmatch(before), resumedLine.FindStringSubmatch(after)
	switch {
	case saved == nil:
		return nil, fmt.Errorf("attempt 1 of job taken saved no checkpoint:\n%s", before)
	case d.executor != "process":
		return []string{"  " + saved[0], "  (a container's files end with it: on AWS, mount a volume; attempt 2 began anew)"}, nil
	case resumed == nil || resumed[1] != saved[1]:
		return nil, fmt.Errorf("attempt 2 of job taken did not resume at file %s:\n%s", saved[1], after)
	case !strings.Contains(after, "attempt 2 on FARGATE, after SPOT_INTERRUPTION"):
		return nil, fmt.Errorf("attempt 2 of job taken was not told why there was an attempt 1:\n%s", after)
	}
	return []string{"  attempt 1  " + saved[0], "  attempt 2  " + resumed[0]}, nil
}
