package spot

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// TaskDefinition is the part of an ECS task definition that a job rests on.
type TaskDefinition struct {
	ARN           string
	Family        string
	Revision      int
	Active        bool
	Fargate       bool // requiresCompatibilities names FARGATE
	CPU, Memory   string
	ContainerDefs []ContainerDef
}

// SizeWith is the size of a task: the override's where it has one, else the task definition's.
func (td TaskDefinition) SizeWith(overrides jobs.ContainerOverrides) (Size, error) {
	return ParseSize(cmp.Or(overrides.CPU, td.CPU), cmp.Or(overrides.Memory, td.Memory))
}

// ContainerDef is one container of a task definition.
type ContainerDef struct {
	Name            string
	Essential       bool
	LogGroup        string // awslogs-group
	LogStreamPrefix string // awslogs-stream-prefix
}

// Pin validates a request against the task definition that its name resolved to, pins the name to the revision and names
// the container. The problems are in the form of jobs.InvalidRequest.
func Pin(jobID string, r jobs.Request, td TaskDefinition, allowedFamilies []string) (jobs.Acceptance, []string) {
	var problems []string
	report := func(field, format string, args ...any) {
		problems = append(problems, field+": "+fmt.Sprintf(format, args...))
	}
	if len(allowedFamilies) > 0 && !slices.Contains(allowedFamilies, td.Family) {
		report("taskDefinition", "family %s is not allowed; allowed are %s", td.Family, strings.Join(allowedFamilies, ", "))
	}
	if !td.Active {
		report("taskDefinition", "%s:%d is not active", td.Family, td.Revision)
	}
	if !td.Fargate {
		report("taskDefinition", "%s:%d does not have FARGATE in requiresCompatibilities", td.Family, td.Revision)
	}
	container, problem := jobContainer(r.ContainerOverrides.Name, td)
	if problem != "" {
		report("containerOverrides.name", "%s", problem)
	}
	size := r.ContainerOverrides
	if size.CPU != "" || size.Memory != "" {
		if _, err := td.SizeWith(size); err != nil {
			beside := ""
			if size.CPU == "" || size.Memory == "" {
				beside = " (together with the task definition's)"
			}
			report("containerOverrides", "%v%s", err, beside)
		}
	}
	if n := overridesSize(jobID, container.Name, r); n > overridesMax {
		report("containerOverrides", "%d characters as sent to ECS, which takes %d; pass large input by reference", n, overridesMax)
	}
	if strings.HasPrefix(r.TaskDefinition, "arn:") {
		r.TaskDefinition = td.ARN
	} else {
		r.TaskDefinition = td.Family + ":" + strconv.Itoa(td.Revision)
	}
	r.ContainerOverrides.Name = container.Name
	return jobs.Acceptance{
		JobID: jobID, Request: r, Container: container.Name, LogGroup: container.LogGroup, LogStreamPrefix: container.LogStreamPrefix,
	}, problems
}

// jobContainer finds the container whose exit code is the job's.
func jobContainer(name string, td TaskDefinition) (ContainerDef, string) {
	var names []string
	var essential []ContainerDef
	for _, c := range td.ContainerDefs {
		if c.Name == name {
			return c, ""
		}
		names = append(names, c.Name)
		if c.Essential {
			essential = append(essential, c)
		}
	}
	switch {
	case name != "":
		return ContainerDef{}, fmt.Sprintf("%s:%d has no such container; it has %s", td.Family, td.Revision, strings.Join(names, ", "))
	case len(essential) != 1:
		return ContainerDef{}, fmt.Sprintf("required, because %s:%d has %d essential containers", td.Family, td.Revision, len(essential))
	}
	return essential[0], ""
}

// ErrNoTaskDefinition says that ECS knows no task definition of that name.
var ErrNoTaskDefinition = errors.New("no such task definition")
