package fargate

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// spec is the task as the executor needs it: the task definition with the overrides applied, and stopTimeout scaled.
func (c *Cluster) spec(t *task, d *definition) (TaskSpec, error) {
	overrides := types.TaskOverride{}
	if err := json.Unmarshal(t.Overrides, &overrides); err != nil {
		return TaskSpec{}, fmt.Errorf("overrides of task %s: %w", t.id, err)
	}
	cpu, cpuErr := strconv.Atoi(t.CPU)
	memory, memoryErr := strconv.Atoi(t.Memory)
	if cpuErr != nil || memoryErr != nil {
		return TaskSpec{}, fmt.Errorf("size of task %s: %s CPU, %s memory", t.id, t.CPU, t.Memory)
	}
	spec := TaskSpec{TaskID: t.id, CPU: cpu, MemoryMiB: memory}
	for i := range d.ContainerDefinitions {
		of := &d.ContainerDefinitions[i]
		override := types.ContainerOverride{}
		for _, candidate := range overrides.ContainerOverrides {
			if deref(candidate.Name) == *of.Name {
				override = candidate
			}
		}
		spec.Containers = append(spec.Containers, c.containerSpec(t.id, of, &override))
	}
	return spec, nil
}

func (c *Cluster) containerSpec(taskID string, of *types.ContainerDefinition, override *types.ContainerOverride) ContainerSpec {
	spec := ContainerSpec{
		Name:             *of.Name,
		Image:            deref(of.Image),
		EntryPoint:       of.EntryPoint,
		Command:          of.Command,
		Environment:      environment(of.Environment, override.Environment),
		WorkingDirectory: deref(of.WorkingDirectory),
		User:             deref(of.User),
		Essential:        of.Essential == nil || *of.Essential,
		ReadonlyRoot:     deref(of.ReadonlyRootFilesystem),
		Init:             of.LinuxParameters != nil && deref(of.LinuxParameters.InitProcessEnabled),
		MemoryMiB:        int(deref(first(override.Memory, of.Memory))),
		CPU:              int(deref(first(override.Cpu, &of.Cpu))),
		StopTimeout:      stopTimeoutDefault,
		LogFile:          c.LogFile(taskID, *of.Name),
	}
	if override.Command != nil {
		spec.Command = override.Command
	}
	if of.StopTimeout != nil {
		spec.StopTimeout = time.Duration(*of.StopTimeout) * time.Second
	}
	spec.StopTimeout = c.opts.scaled(spec.StopTimeout)
	return spec
}

// environment joins the definition's with the override's, which wins, in the order of first mention.
func environment(defined, overridden []types.KeyValuePair) []string {
	var variables []string
	position := map[string]int{}
	for _, list := range [][]types.KeyValuePair{defined, overridden} {
		for _, pair := range list {
			name := deref(pair.Name)
			variable := name + "=" + deref(pair.Value)
			if at, ok := position[name]; ok {
				variables[at] = variable
				continue
			}
			position[name] = len(variables)
			variables = append(variables, variable)
		}
	}
	return variables
}
