package docker

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// existence is what Docker knows of one container.
type existence int

const (
	missing      existence = iota // there is none
	neverStarted                  // created and no more
	started                       // it runs, or has ended with an exit code
)

// Adopt implements fargate.Executor.
func (e *Executor) Adopt(ctx context.Context, tasks []fargate.TaskSpec) (map[string]fargate.Adopted, error) {
	fates := make(map[string]fargate.Adopted, len(tasks))
	for _, task := range tasks {
		fate, err := e.adoptTask(ctx, task)
		if err != nil {
			return nil, fmt.Errorf("adopt task %s: %w", task.TaskID, err)
		}
		fates[task.TaskID] = fate
	}
	return fates, e.dropUnlisted(ctx, fates)
}

func (e *Executor) adoptTask(ctx context.Context, task fargate.TaskSpec) (fargate.Adopted, error) {
	var members []*member
	var states []existence
	for _, c := range task.Containers {
		m, state, err := e.find(ctx, task.TaskID, c)
		if err != nil {
			return 0, err
		}
		members, states = append(members, m), append(states, state)
	}
	switch {
	case slices.Contains(states, started) && !slices.Contains(states, neverStarted):
		e.watch(members) // one that is missing was removed by somebody; its exit says so
		return fargate.AdoptedRunning, nil
	case slices.Contains(states, started):
		// Its Start was cut off in the middle. Containers of a task start together or not at all.
		return fargate.AdoptedLost, e.removeAll(ctx, members, true)
	case slices.Contains(states, neverStarted):
		// Not by force: should the last word of the dead engine start one just now, the removal fails, and it is lost.
		if err := e.removeAll(ctx, members, false); err != nil {
			return fargate.AdoptedLost, e.removeAll(ctx, members, true)
		}
		return fargate.AdoptedNotStarted, e.notes.remove(task.TaskID)
	}
	begun, err := e.notes.has(task.TaskID)
	if begun {
		return fargate.AdoptedLost, err
	}
	return fargate.AdoptedNotStarted, err
}

// find looks for a task's container by its name.
func (e *Executor) find(ctx context.Context, taskID string, c fargate.ContainerSpec) (*member, existence, error) {
	name := containerName(taskID, c.Name)
	m := &member{taskID: taskID, name: c.Name, id: name, logFile: c.LogFile}
	found, err := e.api.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return m, missing, nil
	}
	if err != nil {
		return nil, missing, fmt.Errorf("look at container: %w", err)
	}
	labels := found.Container.Config.Labels
	if labels[labelScope] != e.scope || labels[labelTask] != taskID || labels[labelContainer] != c.Name {
		return nil, missing, fmt.Errorf("container %s belongs to somebody else", name)
	}
	m.id = found.Container.ID
	if m.logOffset, err = strconv.ParseInt(labels[labelLogOffset], 10, 64); err != nil {
		return nil, missing, fmt.Errorf("container %s: label %s: %w", name, labelLogOffset, err)
	}
	if found.Container.State.Status == container.StateCreated {
		return m, neverStarted, nil
	}
	return m, started, nil
}

func (e *Executor) removeAll(ctx context.Context, members []*member, force bool) error {
	for _, m := range members {
		_, err := e.api.ContainerRemove(ctx, m.id, client.ContainerRemoveOptions{Force: force, RemoveVolumes: true})
		if err != nil && !cerrdefs.IsNotFound(err) {
			return fmt.Errorf("remove container: %w", err)
		}
	}
	return nil
}

// dropUnlisted removes what is left of tasks that the state says have stopped: their engine died before it forgot them.
func (e *Executor) dropUnlisted(ctx context.Context, listed map[string]fargate.Adopted) error {
	ours, err := e.api.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelScope+"="+e.scope),
	})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	for _, c := range ours.Items {
		if _, ok := listed[c.Labels[labelTask]]; ok {
			continue
		}
		if err := e.remove(ctx, c.ID); err != nil {
			return err
		}
	}
	begun, err := e.notes.taskIDs()
	if err != nil {
		return err
	}
	for _, id := range begun {
		if _, ok := listed[id]; ok {
			continue
		}
		if err := e.notes.remove(id); err != nil {
			return err
		}
	}
	return nil
}
