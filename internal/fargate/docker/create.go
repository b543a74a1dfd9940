package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// Labels that every container carries.
const (
	labelScope     = "spotbatch.executor" // the directory of the executor that it belongs to
	labelTask      = "spotbatch.task"
	labelContainer = "spotbatch.container"
	labelLogOffset = "spotbatch.log-offset" // the length of the log file before the container's first line
)

func containerName(taskID, name string) string { return "spotbatch-" + taskID + "-" + name }

// validName is what task ids and container names must be to form a container's name; ECS's own are.
var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// check refuses what Docker would refuse in words that quote a value.
func check(task fargate.TaskSpec) error {
	if !validName.MatchString(task.TaskID) {
		return fmt.Errorf("task id %q is not valid", task.TaskID)
	}
	if len(task.Containers) == 0 {
		return fmt.Errorf("task %s has no container", task.TaskID)
	}
	for _, c := range task.Containers {
		if !validName.MatchString(c.Name) {
			return fmt.Errorf("container name %q is not valid", c.Name)
		}
		for i, entry := range c.Environment {
			if name, _, found := strings.Cut(entry, "="); !found || name == "" {
				return &fargate.StartError{Reason: fmt.Sprintf(
					"CannotCreateContainerError: environment entry %d of container %s has no name", i, c.Name)}
			}
		}
	}
	return nil
}

// create makes a container, or finds the one of its name that is there already. It tells whether the container has yet to
// be started: one that ran before must not run again.
func (e *Executor) create(ctx context.Context, task fargate.TaskSpec, c fargate.ContainerSpec) (*member, bool, error) {
	offset, err := lengthOf(c.LogFile)
	if err != nil {
		return nil, false, err
	}
	config, host := e.describe(task, c, offset)
	made, err := e.api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: containerName(task.TaskID, c.Name), Config: config, HostConfig: host,
	})
	if err == nil {
		m := &member{taskID: task.TaskID, name: c.Name, id: made.ID, logFile: c.LogFile, logOffset: offset}
		return m, true, nil
	}
	if !cerrdefs.IsConflict(err) {
		return nil, false, refusal("CannotCreateContainerError", err, task)
	}
	m, state, err := e.find(ctx, task.TaskID, c)
	if err != nil {
		return nil, false, err
	}
	return m, state == neverStarted, nil
}

// describe puts a container into Docker's words.
func (e *Executor) describe(
	task fargate.TaskSpec, c fargate.ContainerSpec, offset int64,
) (*container.Config, *container.HostConfig) {
	config := &container.Config{
		Image:      c.Image,
		Entrypoint: c.EntryPoint,
		Cmd:        c.Command,
		Env:        c.Environment,
		WorkingDir: c.WorkingDirectory,
		User:       c.User,
		Labels: map[string]string{
			labelScope: e.scope, labelTask: task.TaskID, labelContainer: c.Name, labelLogOffset: strconv.FormatInt(offset, 10),
		},
	}
	if c.StopTimeout > 0 { // for whoever says `docker stop`; the stand-in times its own signals
		seconds := int((c.StopTimeout + time.Second - 1) / time.Second)
		config.StopTimeout = &seconds
	}
	host := &container.HostConfig{
		ReadonlyRootfs: c.ReadonlyRoot,
		Resources:      e.limits(task, c),
		// Whatever the engine's default is: a log that can be read back whole. Rotation would lose its beginning.
		LogConfig: container.LogConfig{Type: "json-file", Config: map[string]string{
			"max-size": "1t", "max-file": "1", "compress": "false",
		}},
	}
	if c.Init {
		host.Init = &c.Init
	}
	return config, host
}

// limits are Fargate's as far as one machine can keep them: a container's own memory or the task's, without swap, so that
// too much is killed and not slowed down; the task's CPU at most, shared as the containers say.
func (e *Executor) limits(task fargate.TaskSpec, c fargate.ContainerSpec) container.Resources {
	memory := c.MemoryMiB
	if memory == 0 {
		memory = task.MemoryMiB
	}
	cpu := min(task.CPU, e.cpus*1024) // Docker refuses more than there is
	return container.Resources{
		Memory: int64(memory) << 20, MemorySwap: int64(memory) << 20,
		NanoCPUs:  int64(cpu) * 1e9 / 1024,
		CPUShares: int64(c.CPU),
	}
}

func lengthOf(file string) (int64, error) {
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look at log: %w", err)
	}
	return info.Size(), nil
}

// refusal words Docker's error as ECS does where a task cannot be started. An engine that does not answer, or a caller
// that gave up, is trouble of the executor and not the task's.
func refusal(category string, err error, task fargate.TaskSpec) error {
	if unanswered(err) {
		return fmt.Errorf("%s: %w", category, err)
	}
	return &fargate.StartError{Reason: category + ": " + scrub(err.Error(), task)}
}

func unanswered(err error) bool {
	return client.IsErrConnectionFailed(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// scrub takes the values of the environment out of a text, and the arguments after the program: they may be secrets.
// A value of less than four characters is too common to be told from the text around it, unless its name is there too.
func scrub(text string, task fargate.TaskSpec) string {
	const tellable = 4
	for _, c := range task.Containers {
		for _, entry := range c.Environment {
			name, value, _ := strings.Cut(entry, "=")
			if value == "" {
				continue
			}
			text = strings.ReplaceAll(text, entry, name+"=***")
			if len(value) >= tellable {
				text = strings.ReplaceAll(text, value, "***")
			}
		}
		args := append(c.EntryPoint[:len(c.EntryPoint):len(c.EntryPoint)], c.Command...)
		for i, arg := range args {
			if i > 0 && len(arg) >= tellable {
				text = strings.ReplaceAll(text, arg, "***")
			}
		}
	}
	return text
}
