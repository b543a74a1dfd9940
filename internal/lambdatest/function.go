// Package lambdatest runs a built Lambda function on this machine, as Lambda would: it starts the program, speaks Lambda's
// Runtime API with it, and answers Lambda's Invoke API for whoever wants to call it.
//
// Start, Invoke, Stop run one instance. New makes a Lambda of several functions with several instances each; its Handler
// answers the Invoke API: give its address to the SDK or the command line as AWS_ENDPOINT_URL_LAMBDA. Build builds functions
// as the template does, and AWS is a stand-in for the services that a function calls, where nothing more real is to be had.
//
// It refuses to know what the functions do, to check signatures, and to be an event source: who polls a queue calls Invoke.
// Tests, benchmarks and the integration tests are its only callers.
//
// The invariant it keeps: an instance has one invocation at a time, and one that died or ran out of time never answers again.
package lambdatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Config is one function.
type Config struct {
	// Name is the function's; "function" if empty.
	Name string
	// Binary is the path of the program that Lambda knows as bootstrap.
	Binary string
	// Env is its environment, over what Lambda sets itself: the region, credentials (which no one checks) and so on.
	Env map[string]string
	// Timeout is that of an invocation; 60 s if zero, as in template.yaml.
	Timeout time.Duration
}

// Error is what a function answered instead of a result.
type Error struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

var (
	// ErrExited says that the program ended by itself, before its first invocation or in one.
	ErrExited = errors.New("the program exited")
	// ErrTimedOut says that the program was killed because it took too long.
	ErrTimedOut = errors.New("the program was killed when its time was over")
)

// Function is one instance.
type Function struct {
	ctx    context.Context // ends the program
	config Config
	log    *os.File // all that the program writes; it holds the descriptor itself, so nothing lies in between

	mu        sync.Mutex // held during an invocation
	live      *process   // nil: the next invocation starts one
	last      time.Duration
	processor time.Duration // of those that Stop has ended
}

// Start starts a function's program and waits until it asks for its first invocation. The program lives until Stop or until
// ctx ends.
func Start(ctx context.Context, config Config) (*Function, error) {
	if config.Name == "" {
		config.Name = "function"
	}
	if config.Timeout == 0 {
		config.Timeout = time.Minute
	}
	binary, err := filepath.Abs(config.Binary) // the program runs in its own folder
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", config.Name, err)
	}
	config.Binary = binary
	log, err := os.CreateTemp("", "lambdatest-*.log")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", config.Name, err)
	}
	_ = os.Remove(log.Name()) // gone with the last descriptor; where that cannot be, the temporary folder keeps it
	f := &Function{ctx: ctx, config: config, log: log}
	if err := f.start(); err != nil {
		_ = log.Close()
		return nil, err
	}
	return f, nil
}

// Invoke gives the function a payload and waits for its answer, or for the error that it answers instead. A program that
// dies or takes too long is an error that wraps ErrExited or ErrTimedOut and ends with what it wrote last; the next
// invocation starts another. When ctx ends the program is killed.
func (f *Function) Invoke(ctx context.Context, payload []byte) (answer []byte, failed *Error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := newInvocation(f.config, payload)
	err = errNotTaken
	for errors.Is(err, errNotTaken) { // a program that exited while it had nothing to do is no invocation's trouble
		if f.live == nil {
			if err := f.start(); err != nil {
				return nil, nil, err
			}
		}
		if err = f.live.invoke(ctx, i); err != nil {
			f.live.kill()
			f.live = nil
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("invoke %s: %w%s", f.config.Name, err, f.tail())
	}
	f.last = i.took
	return i.answer, i.failed, nil
}

// start makes the live process. Whoever calls it holds mu, or is alone.
func (f *Function) start() error {
	p, err := startProcess(f.ctx, f.config, f.log)
	if err != nil {
		return fmt.Errorf("start %s: %w%s", f.config.Name, err, f.tail())
	}
	f.live = p
	return nil
}

// Stop kills the program, as Lambda does: it says no word before.
func (f *Function) Stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live != nil {
		f.live.kill()
		f.processor += f.live.cmd.ProcessState.UserTime() + f.live.cmd.ProcessState.SystemTime()
		f.live = nil
	}
	_ = f.log.Close()
}

// Processor is the time of a processor that the program had in its life, its start included. It is known once Stop has ended it,
// and no more on a busy machine than on an idle one.
func (f *Function) Processor() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processor
}

// Log is all that the program, and those before it, have written to both outputs.
func (f *Function) Log() string {
	text, _ := io.ReadAll(io.NewSectionReader(f.log, 0, 1<<40)) // a file of our own; after Stop there is nothing
	return string(text)
}

// tail is the end of the log, for an error.
func (f *Function) tail() string {
	text := strings.TrimSpace(f.Log())
	if text == "" {
		return "; it wrote nothing"
	}
	return "; it wrote last:\n" + text[max(0, len(text)-4096):]
}

// Stats are what an instance took, of its present program.
type Stats struct {
	Start        time.Duration // from the program's start until it asked for its first invocation
	Last         time.Duration // the last invocation, from when the program had it until its answer
	Resident     int64         // bytes of memory, at present and at most; 0 where there is no /proc
	PeakResident int64
}

// Stats measures the program that runs.
func (f *Function) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live == nil {
		return Stats{}
	}
	s := Stats{Start: f.live.took, Last: f.last}
	s.Resident, s.PeakResident = memory(f.live.cmd.Process.Pid)
	return s
}

// memory reads a process's resident memory. https://man7.org/linux/man-pages/man5/proc_pid_status.5.html
func memory(pid int) (now, peak int64) {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		var kB int64
		if _, err := fmt.Sscanf(value, "%d kB", &kB); err != nil {
			continue
		}
		switch name {
		case "VmRSS":
			now = kB << 10
		case "VmHWM":
			peak = kB << 10
		}
	}
	return now, peak
}
