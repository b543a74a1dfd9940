package fargate

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// phase is where a task is for the stand-in; ECS's lastStatus says what one may see of it.
type phase string

const (
	// phaseWaiting: in the table alone. Whoever writes first, Run or StopTask, decides what becomes of it.
	phaseWaiting phase = "waiting"
	// phaseHanded: the executing process has taken it; it, and nobody else, brings it to its end.
	phaseHanded phase = "handed"
	// phaseStopped: lastStatus is STOPPED. Final.
	phaseStopped phase = "stopped"
)

// task is one row. Its state moves only through the methods in lifecycle.go.
type task struct {
	detail

	seq       int64
	id        string
	family    string
	token     string
	phase     phase
	attention bool
	reclaimAt time.Time // zero: not before somebody asks for it
	termAt    time.Time // zero: SIGTERM was not sent yet
	tags      string

	changed bool
	began   bool     // has entered RUNNING since it was loaded
	emitted [][]byte // details of the events that a rule would match, in order
}

// detail is the detail of an "ECS Task State Change" event: what ECS shows of a task, in the order of AWS's samples.
type detail struct {
	Attachments          []struct{}       `json:"attachments"` // the stand-in has no network interfaces
	Attributes           []attribute      `json:"attributes"`
	AvailabilityZone     string           `json:"availabilityZone"`
	CapacityProviderName string           `json:"capacityProviderName,omitempty"` // absent after launchType FARGATE
	ClusterArn           string           `json:"clusterArn"`
	Connectivity         string           `json:"connectivity,omitempty"`
	ConnectivityAt       *time.Time       `json:"connectivityAt,omitempty"`
	Containers           []container      `json:"containers"`
	CPU                  string           `json:"cpu"`
	CreatedAt            time.Time        `json:"createdAt"`
	DesiredStatus        string           `json:"desiredStatus"`
	EnableExecuteCommand bool             `json:"enableExecuteCommand"`
	EphemeralStorage     ephemeralStorage `json:"ephemeralStorage"`
	ExecutionStoppedAt   *time.Time       `json:"executionStoppedAt,omitempty"`
	Group                string           `json:"group"`
	LaunchType           string           `json:"launchType"` // FARGATE for Spot, too
	LastStatus           string           `json:"lastStatus"`
	Memory               string           `json:"memory"`
	Overrides            json.RawMessage  `json:"overrides"`
	PlatformVersion      string           `json:"platformVersion"`
	PullStartedAt        *time.Time       `json:"pullStartedAt,omitempty"`
	PullStoppedAt        *time.Time       `json:"pullStoppedAt,omitempty"`
	StartedAt            *time.Time       `json:"startedAt,omitempty"`
	StartedBy            string           `json:"startedBy,omitempty"`
	StopCode             string           `json:"stopCode,omitempty"`
	StoppedAt            *time.Time       `json:"stoppedAt,omitempty"`
	StoppedReason        string           `json:"stoppedReason,omitempty"`
	StoppingAt           *time.Time       `json:"stoppingAt,omitempty"`
	TaskArn              string           `json:"taskArn"`
	TaskDefinitionArn    string           `json:"taskDefinitionArn"`
	UpdatedAt            time.Time        `json:"updatedAt"`
	Version              int64            `json:"version"`
}

type attribute struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type ephemeralStorage struct {
	SizeInGiB int32 `json:"sizeInGiB"`
}

// container is one container as an event shows it.
type container struct {
	ContainerArn      string     `json:"containerArn"`
	ExitCode          *int32     `json:"exitCode,omitempty"` // absent, not 0, where it never ran
	LastStatus        string     `json:"lastStatus"`
	Name              string     `json:"name"`
	Image             string     `json:"image"`
	Reason            string     `json:"reason,omitempty"`
	RuntimeID         string     `json:"runtimeId,omitempty"`
	TaskArn           string     `json:"taskArn"`
	NetworkInterfaces []struct{} `json:"networkInterfaces"`
	CPU               string     `json:"cpu"`
}

// platformFamily is shown by the API; events have it for Windows only.
const platformFamily = "Linux"

func (t *task) spot() bool { return t.CapacityProviderName == providerSpot }

// container returns the container of that name, or nil.
func (t *task) container(name string) *container {
	for i := range t.Containers {
		if t.Containers[i].Name == name {
			return &t.Containers[i]
		}
	}
	return nil
}

const taskColumns = `seq, id, family, token, phase, attention, reclaim_at, term_at, tags, detail`

type scanner interface{ Scan(dest ...any) error }

func scanTask(row scanner) (*task, error) {
	t := &task{}
	var token, tags sql.NullString
	var reclaimAt, termAt sql.NullInt64
	var detail []byte
	err := row.Scan(&t.seq, &t.id, &t.family, &token, &t.phase, &t.attention, &reclaimAt, &termAt, &tags, &detail)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(detail, &t.detail); err != nil {
		return nil, fmt.Errorf("task %s in the database: %w", t.id, err)
	}
	t.token, t.tags = token.String, tags.String
	t.reclaimAt, t.termAt = fromMillis(reclaimAt), fromMillis(termAt)
	return t, nil
}

// loadTask returns the task, or nil where there is none, as for one that stopped more than an hour ago.
func loadTask(tx *sqlitedb.Tx, id string, now time.Time) (*task, error) {
	t, err := scanTask(tx.QueryRow(`SELECT `+taskColumns+` FROM fargate_tasks WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) || (err == nil && t.expired(now)) {
		return nil, nil
	}
	return t, err
}

// loadTasks returns the tasks that a condition, ORDER BY and LIMIT select.
func loadTasks(tx *sqlitedb.Tx, where string, args ...any) ([]*task, error) {
	rows, err := tx.Query(`SELECT `+taskColumns+` FROM fargate_tasks WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tasks []*task
	for rows.Next() {
		t, err := scanTask(rows)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, rows.Err()
}

func (t *task) insert(tx *sqlitedb.Tx) error {
	_, err := tx.Exec(`INSERT INTO fargate_tasks (id, family, started_by, token, phase, desired, version, attention, tags, detail)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)`,
		t.id, t.family, nullString(t.StartedBy), nullString(t.token), t.phase, t.DesiredStatus, t.Version, nullString(t.tags), string(encodeJSON(t.detail)))
	return err
}

// save stores what the transitions have changed, and their events. It reports whether the outbox has grown.
func (t *task) save(tx *sqlitedb.Tx, faults *faultSet, now time.Time) (grown bool, err error) {
	if !t.changed {
		return false, nil
	}
	var document []byte
	if n := len(t.emitted); n > 0 && t.phase == phaseStopped {
		document = t.emitted[n-1] // the end is the last event
	} else {
		document = encodeJSON(t.detail)
	}
	_, err = tx.Exec(`UPDATE fargate_tasks SET phase = ?, desired = ?, version = ?, attention = ?, reclaim_at = ?, term_at = ?,
		stopped_at = ?, tags = ?, detail = ? WHERE seq = ?`,
		t.phase, t.DesiredStatus, t.Version, t.attention, toMillis(t.reclaimAt), toMillis(t.termAt),
		toMillis(deref(t.StoppedAt)), nullString(t.tags), string(document), t.seq)
	if err != nil {
		return false, fmt.Errorf("save task %s: %w", t.id, err)
	}
	for _, detail := range t.emitted {
		delivered, err := emit(tx, faults, t, detail, now)
		if err != nil {
			return false, fmt.Errorf("store event of task %s: %w", t.id, err)
		}
		grown = grown || delivered
	}
	return grown, nil
}

// api is the task as the API shows it.
func (t *task) api() types.Task {
	out := types.Task{
		Attachments:          []types.Attachment{},
		AvailabilityZone:     &t.AvailabilityZone,
		CapacityProviderName: optional(t.CapacityProviderName),
		ClusterArn:           &t.ClusterArn,
		Connectivity:         types.Connectivity(t.Connectivity),
		ConnectivityAt:       t.ConnectivityAt,
		Cpu:                  &t.CPU,
		CreatedAt:            &t.CreatedAt,
		DesiredStatus:        &t.DesiredStatus,
		EnableExecuteCommand: t.EnableExecuteCommand,
		EphemeralStorage:     &types.EphemeralStorage{SizeInGiB: t.EphemeralStorage.SizeInGiB},
		ExecutionStoppedAt:   t.ExecutionStoppedAt,
		Group:                &t.Group,
		LastStatus:           &t.LastStatus,
		LaunchType:           types.LaunchType(t.LaunchType),
		Memory:               &t.Memory,
		Overrides:            &types.TaskOverride{},
		PlatformFamily:       new(platformFamily),
		PlatformVersion:      &t.PlatformVersion,
		PullStartedAt:        t.PullStartedAt,
		PullStoppedAt:        t.PullStoppedAt,
		StartedAt:            t.StartedAt,
		StartedBy:            optional(t.StartedBy),
		StopCode:             types.TaskStopCode(t.StopCode),
		StoppedAt:            t.StoppedAt,
		StoppedReason:        optional(t.StoppedReason),
		StoppingAt:           t.StoppingAt,
		TaskArn:              &t.TaskArn,
		TaskDefinitionArn:    &t.TaskDefinitionArn,
		Version:              t.Version,
	}
	for _, a := range t.Attributes {
		out.Attributes = append(out.Attributes, types.Attribute{Name: new(a.Name), Value: new(a.Value)})
	}
	for _, c := range t.Containers {
		out.Containers = append(out.Containers, c.api())
	}
	// It was written by encodeShape; encoding/json finds the fields whatever their case.
	_ = json.Unmarshal(t.Overrides, out.Overrides)
	return out
}

func (c *container) api() types.Container {
	return types.Container{
		ContainerArn:      new(c.ContainerArn),
		Cpu:               new(c.CPU),
		ExitCode:          c.ExitCode,
		Image:             new(c.Image),
		LastStatus:        new(c.LastStatus),
		Name:              new(c.Name),
		NetworkInterfaces: []types.NetworkInterface{},
		Reason:            optional(c.Reason),
		RuntimeId:         optional(c.RuntimeID),
		TaskArn:           new(c.TaskArn),
	}
}

// apiTags are the task's tags as the API shows them where they are asked for.
func (t *task) apiTags() []types.Tag {
	tags := []types.Tag{}
	if t.tags != "" {
		_ = json.Unmarshal([]byte(t.tags), &tags) // written by encodeShape
	}
	return tags
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func nullString(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

func toMillis(at time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: at.UnixMilli(), Valid: !at.IsZero()}
}

func fromMillis(at sql.NullInt64) time.Time {
	if !at.Valid {
		return time.Time{}
	}
	return time.UnixMilli(at.Int64).UTC()
}

// deref is what a pointer points to, or the zero value.
func deref[T any](pointer *T) (value T) {
	if pointer != nil {
		value = *pointer
	}
	return value
}
