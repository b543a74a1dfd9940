package docker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// Config is what the Docker executor needs to know. Dir and Logger are required.
type Config struct {
	// Dir holds the executor's notes and tells its containers from those of others. One engine at a time may use it.
	Dir string
	// Client reaches the engine and stays the caller's. Nil: as the docker command would.
	Client *client.Client
	Logger *slog.Logger
}

// Executor runs tasks on a Docker engine.
type Executor struct {
	api    *client.Client
	ownAPI bool
	log    *slog.Logger
	scope  string // the value of labelScope
	notes  notes
	cpus   int // of the machine
	exits  chan fargate.ContainerExit
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	work   sync.WaitGroup

	logSilence time.Duration

	mu    sync.Mutex
	tasks map[string][]*member
}

var _ fargate.Executor = (*Executor)(nil)

// member is one container of a task.
type member struct {
	taskID    string
	name      string // in the task definition
	id        string // Docker's; its name where Docker has it no more
	logFile   string
	logOffset int64 // the length of the log file before the container's first line

	// furthest is how far Docker's log was ever read. To read the same again and again is no progress.
	furthest atomic.Int64
	killed   atomic.Bool // by Signal
}

// New reaches the engine and prepares the directory. It starts nothing.
func New(ctx context.Context, config Config) (*Executor, error) {
	dir, err := prepare(config.Dir)
	if err != nil {
		return nil, err
	}
	api := config.Client
	if api == nil {
		if api, err = client.New(client.FromEnv); err != nil {
			return nil, fmt.Errorf("configure Docker client: %w", err)
		}
	}
	info, err := api.Info(ctx, client.InfoOptions{})
	if err != nil {
		if config.Client == nil {
			api.Close()
		}
		return nil, fmt.Errorf("reach Docker engine: %w", err)
	}
	e := &Executor{
		api: api, ownAPI: config.Client == nil, log: config.Logger, scope: dir, notes: notes(filepath.Join(dir, "begun")),
		cpus: info.Info.NCPU, exits: make(chan fargate.ContainerExit), tasks: map[string][]*member{}, logSilence: logSilence,
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// prepare makes the directory and gives it one name however it is reached: labels are compared with it.
func prepare(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find executor directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "begun"), 0o700); err != nil {
		return "", fmt.Errorf("create executor directory: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", fmt.Errorf("find executor directory: %w", err)
	}
	return dir, nil
}

// Exits implements fargate.Executor. The exit of a short container may come before its Start has returned. The channel
// stays open after Close, and silent.
func (e *Executor) Exits() <-chan fargate.ContainerExit { return e.exits }

// Start implements fargate.Executor. All containers are created before the first is started; a failure removes them all.
func (e *Executor) Start(ctx context.Context, task fargate.TaskSpec) error {
	if err := check(task); err != nil {
		return err
	}
	for _, c := range task.Containers {
		if err := e.ensureImage(ctx, c.Image); err != nil {
			return err
		}
	}
	if err := e.notes.add(task.TaskID); err != nil {
		return err
	}
	var members, fresh []*member
	for _, c := range task.Containers {
		m, created, err := e.create(ctx, task, c)
		if err != nil {
			e.undo(ctx, task)
			return err
		}
		members = append(members, m)
		if created {
			fresh = append(fresh, m)
		}
	}
	for _, m := range fresh {
		if _, err := e.api.ContainerStart(ctx, m.id, client.ContainerStartOptions{}); err != nil {
			e.undo(ctx, task)
			return refusal("CannotStartContainerError", err, task)
		}
	}
	e.watch(members)
	return nil
}

// undo removes what a failed Start has made, even if the failure was that its caller gave up. What stays because the engine
// does not answer is removed by the next Adopt, which does not find the task in its list.
func (e *Executor) undo(ctx context.Context, task fargate.TaskSpec) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeMax)
	defer cancel()
	for _, c := range task.Containers {
		m, _, err := e.find(ctx, task.TaskID, c) // a container of the name that is not ours is an error and stays
		if err == nil {
			err = e.remove(ctx, m.id)
		}
		if err != nil {
			e.log.Warn("container of a task that was not started stays", "task_id", task.TaskID, "err", err)
			return
		}
	}
	if err := e.notes.remove(task.TaskID); err != nil {
		e.log.Warn("note of a task that was not started stays", "task_id", task.TaskID, "err", err)
	}
}

// Signal implements fargate.Executor. As on ECS, it is the container's first process that gets the signal.
func (e *Executor) Signal(ctx context.Context, taskID, container string, signal syscall.Signal) error {
	e.mu.Lock()
	members := e.tasks[taskID]
	e.mu.Unlock()
	var failed []error
	for _, m := range members {
		if container != "" && container != m.name {
			continue
		}
		if signal == syscall.SIGKILL {
			m.killed.Store(true)
		}
		_, err := e.api.ContainerKill(ctx, m.id, client.ContainerKillOptions{Signal: unix.SignalName(signal)})
		if err != nil && !cerrdefs.IsNotFound(err) && !cerrdefs.IsConflict(err) { // gone, or not running
			failed = append(failed, fmt.Errorf("signal container %s: %w", m.name, err))
		}
	}
	return errors.Join(failed...)
}

// removeMax bounds the removal of containers that nobody waits for.
const removeMax = 30 * time.Second

// Forget implements fargate.Executor. The containers are removed in the background; what does not get so far is removed by
// the next Adopt, which no longer finds the task in its list.
func (e *Executor) Forget(taskID string) {
	e.mu.Lock()
	members := e.tasks[taskID]
	delete(e.tasks, taskID)
	e.mu.Unlock()
	e.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), removeMax)
		defer cancel()
		for _, m := range members {
			if err := e.remove(ctx, m.id); err != nil {
				e.log.Warn("container of a stopped task stays", "task_id", taskID, "err", err)
				return
			}
		}
		if err := e.notes.remove(taskID); err != nil {
			e.log.Warn("note of a stopped task stays", "task_id", taskID, "err", err)
		}
	})
}

// remove kills and removes a container, if it is there.
func (e *Executor) remove(ctx context.Context, container string) error {
	_, err := e.api.ContainerRemove(ctx, container, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("remove container: %w", err)
	}
	return nil
}

// Close implements fargate.Executor.
func (e *Executor) Close() error {
	e.stop()
	e.work.Wait()
	if e.ownAPI {
		return e.api.Close()
	}
	return nil
}
