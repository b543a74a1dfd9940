package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// demo is one play: the command line that it drives and where.
type demo struct {
	spotbatch, executor, data string
	stdout, stderr            io.Writer
	terminal                  bool // standard error is one: wait shows a live view there, and nothing else may write to it
}

// say prints lines that tell the story.
func (d *demo) say(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(d.stdout, line)
	}
}

// note prints what is done to the jobs, where no view is in the way; the view tells it itself.
func (d *demo) note(format string, args ...any) {
	if !d.terminal {
		fmt.Fprintf(d.stderr, "          "+format+"\n", args...)
	}
}

func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.spotbatch, append(args, "--data", d.data)...)
	cmd.Env = append(os.Environ(), "SPOTBATCH_LOCAL=1")
	// An end that was asked for is one: its own error says less than the context's.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// call runs one command to its end and returns what it printed.
func (d *demo) call(ctx context.Context, input string, args ...string) (string, error) {
	cmd := d.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		return "", fmt.Errorf("spotbatch %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// describe reads a job's document.
func (d *demo) describe(ctx context.Context, id string) (*jobs.Job, error) {
	text, err := d.call(ctx, "", "describe", "-o", "json", id)
	if err != nil {
		return nil, err
	}
	j := &jobs.Job{}
	if err := json.Unmarshal([]byte(text), j); err != nil {
		return nil, fmt.Errorf("document of job %s: %w", id, err)
	}
	return j, nil
}

// until waits for a job to be as it should.
func (d *demo) until(ctx context.Context, id, what string, is func(*jobs.Job) bool) error {
	for {
		j, err := d.describe(ctx, id)
		if err != nil {
			return err
		}
		if is(j) {
			return nil
		}
		if j.Ended() {
			return fmt.Errorf("job %s ended as %s before it was %s", id, j.Status, what)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("job %s is not %s: %w", id, what, context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func running(j *jobs.Job) bool { return j.Status == jobs.StatusRunning }

// untilLogged follows the log of a job's first attempt up to a line with that text.
func (d *demo) untilLogged(ctx context.Context, id, text string) error {
	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := d.command(follow, "logs", "--attempt", "1", "--follow", id)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	found := false
	for lines := bufio.NewScanner(out); !found && lines.Scan(); {
		found = strings.Contains(lines.Text(), text)
	}
	cancel()
	_ = cmd.Wait() // it was told to end
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case !found:
		return fmt.Errorf("the log of job %s ended without %q", id, text)
	}
	return nil
}

// machine is a running `spotbatch local up`.
type machine struct {
	cmd   *exec.Cmd
	said  string        // what it said of itself when it was up
	ended chan struct{} // closed once it has
	wrote string        // all that it wrote, once it has ended
}

// up starts the engine and returns once it executes.
func (d *demo) up(ctx context.Context, args ...string) (*machine, error) {
	args = append([]string{
		"local", "up", "--quiet", "--executor", d.executor, "--task-definitions", "examples/task-definitions",
		"--time-scale", "20", "--max-tasks", "10",
	}, args...)
	// Whatever happens, it is ended by stop or kill, after the jobs: a Ctrl-C is not for it.
	cmd := d.command(context.WithoutCancel(ctx), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	e := &machine{cmd: cmd, ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(e.ended)
		var text strings.Builder
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&text, lines.Text())
			if e.said == "" && strings.HasPrefix(lines.Text(), "Ctrl-C ") { // the last line
				e.said = text.String()
				close(ready)
			}
		}
		if err := cmd.Wait(); err != nil {
			fmt.Fprintln(&text, err)
		}
		e.wrote = strings.TrimSpace(text.String())
	}()
	select {
	case <-ready:
		return e, nil
	case <-e.ended:
		return nil, fmt.Errorf("spotbatch local up: %s", e.wrote)
	}
}

// alive reports whether it has not ended.
func (e *machine) alive() bool {
	select {
	case <-e.ended:
		return false
	default:
		return true
	}
}

// stop ends the engine as Ctrl-C does.
func (e *machine) stop() error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-e.ended
	return nil
}

// kill ends the engine as a crash does.
func (e *machine) kill() error {
	err := e.cmd.Process.Kill()
	<-e.ended
	return err
}
