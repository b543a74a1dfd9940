package spot

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Task is one ECS task as it was observed, by an "ECS Task State Change" event or by DescribeTasks. Both carry the same
// facts; zero values mean "not told".
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
type Task struct {
	ARN           string
	StartedBy     string // "<runner>/<jobId>/<attempt>"
	Version       int64  // rises with every state change; comparable between events and DescribeTasks
	LastStatus    string
	DesiredStatus string
	StopCode      string
	StoppedReason string
	Containers    []Container

	CreatedAt, StartedAt, StoppingAt, ExecutionStoppedAt, StoppedAt time.Time
	// SeenAt is when it was observed: the event's own time.
	SeenAt time.Time
}

// Container is one container of a task.
type Container struct {
	Name     string
	ExitCode *int // nil: it did not exit, or never started
	Reason   string
}

// The task states and stop codes that decisions rest on. Both are open sets: anything else is carried along.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
const (
	taskRunning = "RUNNING"
	taskStopped = "STOPPED"
	taskDeleted = "DELETED" // what DescribeTasks may show of a task after STOPPED; no event tells of it

	stopTaskFailedToStart = "TaskFailedToStart"
	stopEssentialExited   = "EssentialContainerExited"
	stopUserInitiated     = "UserInitiated"
	stopSpot              = "SpotInterruption"
	stopSpotUntil2023     = "TerminationNotice" // what the same notice carried in 2023
)

// taskDetail mirrors the part of the event's detail that is read. Unknown members are AWS's to add.
type taskDetail struct {
	TaskARN       string `json:"taskArn"`
	StartedBy     string `json:"startedBy"`
	Version       int64  `json:"version"`
	LastStatus    string `json:"lastStatus"`
	DesiredStatus string `json:"desiredStatus"`
	StopCode      string `json:"stopCode"`
	StoppedReason string `json:"stoppedReason"`
	Containers    []struct {
		Name     string `json:"name"`
		ExitCode *int   `json:"exitCode"`
		Reason   string `json:"reason"`
	} `json:"containers"`
	CreatedAt          time.Time `json:"createdAt"`
	StartedAt          time.Time `json:"startedAt"`
	StoppingAt         time.Time `json:"stoppingAt"`
	ExecutionStoppedAt time.Time `json:"executionStoppedAt"`
	StoppedAt          time.Time `json:"stoppedAt"`
}

// ParseTask reads the detail of an "ECS Task State Change" event; seenAt is the envelope's time. An error means that the
// detail is malformed and belongs in a dead-letter queue.
func ParseTask(detail []byte, seenAt time.Time) (Task, error) {
	var d taskDetail
	if err := json.Unmarshal(detail, &d); err != nil {
		return Task{}, malformed(err)
	}
	if d.TaskARN == "" || d.LastStatus == "" {
		return Task{}, errors.New("task event: detail has no taskArn or no lastStatus")
	}
	for _, told := range []time.Time{d.CreatedAt, d.StartedAt, d.StoppingAt, d.ExecutionStoppedAt, d.StoppedAt} {
		if year := told.UTC().Year(); year < 0 || year > 9999 { // by its offset alone; the job would be stored and never read again
			return Task{}, errNoTime
		}
	}
	t := Task{
		ARN: d.TaskARN, StartedBy: d.StartedBy, Version: d.Version, LastStatus: d.LastStatus, DesiredStatus: d.DesiredStatus,
		StopCode: d.StopCode, StoppedReason: d.StoppedReason, CreatedAt: d.CreatedAt, StartedAt: d.StartedAt,
		StoppingAt: d.StoppingAt, ExecutionStoppedAt: d.ExecutionStoppedAt, StoppedAt: d.StoppedAt, SeenAt: seenAt,
	}
	for _, c := range d.Containers {
		t.Containers = append(t.Containers, Container{Name: c.Name, ExitCode: c.ExitCode, Reason: c.Reason})
	}
	return t, nil
}

var errNoTime = errors.New("task event: a time is not RFC 3339")

// malformed keeps the place and the kind of a JSON error but never the value: overrides echo the job's environment.
func malformed(err error) error {
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("task event: %s is a JSON %s", wrongType.Field, strings.Fields(wrongType.Value)[0])
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("task event: no JSON at byte %d", syntax.Offset)
	}
	return errNoTime
}

// Owner reads a startedBy of this runner's. ok is false for anything else: a service's, another runner's, none.
func Owner(runner, startedBy string) (jobID string, attempt int, ok bool) {
	rest, ours := strings.CutPrefix(startedBy, runner+"/")
	jobID, number, two := strings.Cut(rest, "/")
	attempt, err := strconv.Atoi(number)
	if !ours || !two || jobID == "" || err != nil || attempt < 1 {
		return "", 0, false
	}
	return jobID, attempt, true
}

// Stopped reports whether the task has ended for good.
func (t Task) Stopped() bool { return t.LastStatus == taskStopped || t.LastStatus == taskDeleted }

// live reports whether the task runs or will run unless somebody stops it.
func (t Task) live() bool { return !t.Stopped() && t.DesiredStatus != taskStopped }

// interrupted reports whether Spot takes or took the task. The stop code alone is not enough: it changed its name once and
// was missing in events that users reported, so the reason counts as well.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html#fargate-capacity-providers-termination
func (t Task) interrupted() bool {
	return t.StopCode == stopSpot || t.StopCode == stopSpotUntil2023 ||
		strings.HasPrefix(t.StoppedReason, "Your Spot Task was interrupted") ||
		strings.HasPrefix(t.StoppedReason, "SpotInterruptionError")
}

// retired reports whether AWS took the task for maintenance of what it ran on, of which no stop code is documented.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-maintenance.html
func (t Task) retired() bool {
	return strings.Contains(t.StoppedReason, "performing maintenance on the underlying infrastructure")
}

// container finds the job's container by name: the order of containers[] is not documented. With a single container the
// name does not matter.
func (t Task) container(name string) Container {
	for _, c := range t.Containers {
		if c.Name == name {
			return c
		}
	}
	if len(t.Containers) == 1 {
		return t.Containers[0]
	}
	return Container{}
}

// reason is the sentence that tells most about a stopped task: the job's container's own where ECS's is generic.
func (t Task) reason(container string) string {
	c := t.container(container)
	switch {
	case c.Reason == "" || strings.Contains(t.StoppedReason, c.Reason):
		return t.StoppedReason
	case t.StoppedReason == "" || t.StopCode == stopEssentialExited:
		return c.Reason
	}
	return t.StoppedReason + ": " + c.Reason
}

// Meaning says in a few words what the task's state tells, for people.
func (t Task) Meaning() string {
	switch {
	case t.Stopped():
		return strings.TrimSuffix("stopped: "+t.StopCode+" "+t.reason(""), " ")
	case t.interrupted():
		return "Spot's notice: the container may still finish"
	case t.DesiredStatus == taskStopped:
		return "is being stopped: " + t.StoppedReason
	case t.LastStatus == taskRunning:
		return "runs"
	}
	return "does not run yet"
}
