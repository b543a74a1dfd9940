package lambdatest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// initTimeout is how long a program may take to ask for its first invocation.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
const initTimeout = 10 * time.Second

// process is one run of a function's program, and the Runtime API that it alone speaks to.
type process struct {
	cmd    *exec.Cmd
	server *http.Server
	began  time.Time
	took   time.Duration // until it was ready

	once   sync.Once
	ready  chan struct{}    // closed when it asks for its first invocation
	failed chan Error       // what it says instead: init/error
	work   chan *invocation // taken by the program's next
	gone   chan struct{}    // closed when it has ended

	mu      sync.Mutex
	current *invocation // what the program is at
}

// startProcess starts the program and waits until it is ready.
func startProcess(ctx context.Context, config Config, log *os.File) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &process{
		cmd:   exec.CommandContext(ctx, config.Binary),
		ready: make(chan struct{}), failed: make(chan Error, 1), work: make(chan *invocation), gone: make(chan struct{}),
	}
	p.server = &http.Server{Handler: p.runtimeAPI(), ReadHeaderTimeout: time.Minute}
	p.cmd.Dir = filepath.Dir(config.Binary)
	p.cmd.Env = environment(config, listener.Addr().String())
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.began = time.Now()
	go func() { _ = p.server.Serve(listener) }() // it ends when it is closed
	if err := p.cmd.Start(); err != nil {
		_ = p.server.Close()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its state tells how it ended
		_ = p.server.Close()
		close(p.gone)
	}()
	select {
	case <-p.ready:
		return p, nil
	case e := <-p.failed:
		p.kill()
		return nil, fmt.Errorf("%w: %s: %s", ErrExited, e.Type, e.Message)
	case <-p.gone:
		return nil, p.exited(ctx)
	case <-time.After(initTimeout):
		p.kill()
		return nil, fmt.Errorf("%w: %v for its start", ErrTimedOut, initTimeout)
	}
}

// environment is what Lambda sets, and the function's own over it.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
func environment(config Config, runtimeAPI string) []string {
	all := map[string]string{
		"AWS_LAMBDA_RUNTIME_API": runtimeAPI, "AWS_LAMBDA_FUNCTION_NAME": config.Name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO",
		"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "stand-in", "AWS_SECRET_ACCESS_KEY": "stand-in", "AWS_SESSION_TOKEN": "stand-in",
		"LAMBDA_TASK_ROOT": filepath.Dir(config.Binary), "_HANDLER": "bootstrap", "TZ": ":UTC", "LANG": "en_US.UTF-8",
	}
	maps.Copy(all, config.Env)
	var list []string
	for name, value := range all {
		list = append(list, name+"="+value)
	}
	return list
}

// invoke hands an invocation to the program and waits until it is answered.
func (p *process) invoke(ctx context.Context, i *invocation) error {
	select {
	case <-p.gone: // its last question may still be open for a moment, and would take the invocation along
		return errNotTaken
	default:
	}
	timer := time.NewTimer(i.timeout)
	defer timer.Stop()
	handOver := p.work
	for {
		select {
		case handOver <- i:
			handOver = nil
		case <-i.done:
			return nil
		case <-p.gone:
			return p.left(ctx, i, handOver == nil)
		case <-timer.C:
			return fmt.Errorf("%w: %v", ErrTimedOut, i.timeout)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errNotTaken says that the program had gone before it took the invocation.
var errNotTaken = errors.New("the program had gone")

// left tells what the program's end means for an invocation.
func (p *process) left(ctx context.Context, i *invocation, taken bool) error {
	select {
	case <-i.done: // a panic, for one, is told before the program exits
		return nil
	default:
	}
	if !taken {
		return errNotTaken
	}
	return p.exited(ctx)
}

func (p *process) exited(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %v", ErrExited, p.cmd.ProcessState)
}

// kill ends the program and waits until it has gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails if it has gone
	<-p.gone
}
