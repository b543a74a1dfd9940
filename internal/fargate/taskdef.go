package fargate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// definition is a registered revision.
type definition struct {
	ecs.RegisterTaskDefinitionInput // with ECS's defaults filled in

	revision     int
	active       bool
	registeredAt time.Time
	size         spot.Size
}

func (d *definition) arn() string {
	return fmt.Sprintf("%stask-definition/%s:%d", arnBase, *d.Family, d.revision)
}

func (d *definition) container(name string) *types.ContainerDefinition {
	for i := range d.ContainerDefinitions {
		if *d.ContainerDefinitions[i].Name == name {
			return &d.ContainerDefinitions[i]
		}
	}
	return nil
}

// RegisterTaskDefinition stores a new revision, as ECS always does, whether it differs or not.
func (c *Cluster) RegisterTaskDefinition(ctx context.Context, in *ecs.RegisterTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error) {
	if problems := checkTaskDefinition(in); len(problems) > 0 {
		return nil, clientError("%s", strings.Join(problems, "; "))
	}
	d, _, err := c.register(ctx, in, false)
	if err != nil {
		return nil, err
	}
	return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: d.api(), Tags: d.Tags}, nil
}

// register stores a checked definition as the next revision; where onlyChanged, it leaves an equal newest one alone.
func (c *Cluster) register(ctx context.Context, in *ecs.RegisterTaskDefinitionInput, onlyChanged bool) (d *definition, registered bool, err error) {
	content := string(encodeShape(withDefaults(in)))
	now := c.opts.Now()
	err = c.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		d, registered = nil, false
		newest, err := selectDefinition(tx, *in.Family, 0)
		if err != nil {
			return err
		}
		revision := 1
		if newest != nil {
			if onlyChanged && newest.active && string(encodeShape(newest.RegisterTaskDefinitionInput)) == content {
				d = newest
				return nil
			}
			revision = newest.revision + 1
		}
		_, err = tx.Exec(`INSERT INTO fargate_task_definitions (family, revision, status, content, registered_at) VALUES (?, ?, ?, ?, ?)`,
			*in.Family, revision, types.TaskDefinitionStatusActive, content, now.UnixMilli())
		if err != nil {
			return err
		}
		registered = true
		d, err = newDefinition(revision, true, content, now)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("register task definition %s: %w", *in.Family, err)
	}
	if registered {
		for _, feature := range unsupported(d) {
			c.opts.Logger.Warn("the task definition has a setting that is ignored on this machine",
				"task_definition", fmt.Sprintf("%s:%d", *d.Family, d.revision), "setting", feature)
		}
	}
	return d, registered, nil
}

// DescribeTaskDefinition shows a revision by family (the latest active one), family:revision or ARN.
func (c *Cluster) DescribeTaskDefinition(ctx context.Context, in *ecs.DescribeTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	var d *definition
	err := c.db.View(ctx, func(tx *sqlitedb.Tx) (err error) {
		d, err = c.definition(tx, deref(in.TaskDefinition))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("describe task definition: %w", err)
	}
	if d == nil {
		return nil, clientError("Unable to describe task definition.")
	}
	out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: d.api()}
	if len(in.Include) > 0 { // TAGS is all there is
		out.Tags = d.Tags
	}
	return out, nil
}

// DeregisterTaskDefinition makes a revision INACTIVE: RunTask refuses it from then on.
func (c *Cluster) DeregisterTaskDefinition(ctx context.Context, in *ecs.DeregisterTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.DeregisterTaskDefinitionOutput, error) {
	family, revision := splitRevision(deref(in.TaskDefinition))
	if revision == 0 {
		return nil, clientError("Invalid revision number. Specify the family name with revision number (family:revision).")
	}
	var d *definition
	err := c.db.Update(ctx, func(tx *sqlitedb.Tx) (err error) {
		d = nil
		changed, err := tx.Exec(`UPDATE fargate_task_definitions SET status = ? WHERE family = ? AND revision = ?`,
			types.TaskDefinitionStatusInactive, family, revision)
		if err != nil || changed == 0 {
			return err
		}
		d, err = selectDefinition(tx, family, revision)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("deregister task definition: %w", err)
	}
	if d == nil {
		return nil, clientError("The specified task definition does not exist. Specify a valid account, family, revision and try again.")
	}
	return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: d.api()}, nil
}

// definition finds a revision by whatever name ECS takes; nil where there is none. Only what may have changed is read.
func (c *Cluster) definition(tx *sqlitedb.Tx, name string) (*definition, error) {
	family, revision := splitRevision(name)
	if family == "" || revision < 0 {
		return nil, nil
	}
	where, args := `family = ? AND status = 'ACTIVE' ORDER BY revision DESC LIMIT 1`, []any{family}
	if revision > 0 {
		where, args = `family = ? AND revision = ?`, []any{family, revision}
	}
	var status string
	err := tx.QueryRow(`SELECT revision, status FROM fargate_task_definitions WHERE `+where, args...).Scan(&revision, &status)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return nil, err
	}
	key := family + ":" + strconv.Itoa(revision)
	if cached, ok := c.revisions.Load(key); ok && cached.(*definition).active == (status == string(types.TaskDefinitionStatusActive)) {
		return cached.(*definition), nil
	}
	d, err := selectDefinition(tx, family, revision)
	if err == nil && d != nil {
		c.revisions.Store(key, d)
	}
	return d, err
}

// splitRevision takes family, family:revision or an ARN apart. Revision 0: none was given; -1: it is none.
func splitRevision(name string) (family string, revision int) {
	if strings.HasPrefix(name, "arn:") {
		if !strings.HasPrefix(name, arnBase+"task-definition/") {
			return "", -1
		}
		name = lastPart(name)
	}
	family, text, given := strings.Cut(name, ":")
	if !given {
		return family, 0
	}
	revision, err := strconv.Atoi(text)
	if err != nil || revision < 1 {
		return family, -1
	}
	return family, revision
}

// selectDefinition reads one revision, or the newest of all where revision is 0; nil where there is none.
func selectDefinition(tx *sqlitedb.Tx, family string, revision int) (*definition, error) {
	var status, content string
	var registeredAt int64
	err := tx.QueryRow(`SELECT revision, status, content, registered_at FROM fargate_task_definitions
		WHERE family = ? AND (? = 0 OR revision = ?) ORDER BY revision DESC LIMIT 1`, family, revision, revision).
		Scan(&revision, &status, &content, &registeredAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return newDefinition(revision, status == string(types.TaskDefinitionStatusActive), content, time.UnixMilli(registeredAt).UTC())
}

func newDefinition(revision int, active bool, content string, registeredAt time.Time) (*definition, error) {
	d := &definition{revision: revision, active: active, registeredAt: registeredAt}
	if err := decodeShape([]byte(content), &d.RegisterTaskDefinitionInput); err != nil {
		return nil, err
	}
	size, err := spot.ParseSize(*d.Cpu, *d.Memory)
	if err != nil {
		return nil, err
	}
	d.size = size
	return d, nil
}

// withDefaults fills in what ECS fills in, so that two ways to write the same definition are equal.
func withDefaults(in *ecs.RegisterTaskDefinitionInput) *ecs.RegisterTaskDefinitionInput {
	filled := *in
	if size, err := spot.ParseSize(*in.Cpu, *in.Memory); err == nil {
		filled.Cpu, filled.Memory = new(strconv.Itoa(size.CPU)), new(strconv.Itoa(size.MemoryMiB))
	}
	filled.ContainerDefinitions = append([]types.ContainerDefinition(nil), in.ContainerDefinitions...)
	for i := range filled.ContainerDefinitions {
		if c := &filled.ContainerDefinitions[i]; c.Essential == nil {
			c.Essential = new(true)
		}
	}
	return &filled
}

// api is the revision as the API shows it.
func (d *definition) api() *types.TaskDefinition {
	status := types.TaskDefinitionStatusActive
	if !d.active {
		status = types.TaskDefinitionStatusInactive
	}
	return &types.TaskDefinition{
		Compatibilities:         []types.Compatibility{types.CompatibilityEc2, types.CompatibilityFargate},
		ContainerDefinitions:    d.ContainerDefinitions,
		Cpu:                     d.Cpu,
		EnableFaultInjection:    d.EnableFaultInjection,
		EphemeralStorage:        d.EphemeralStorage,
		ExecutionRoleArn:        d.ExecutionRoleArn,
		Family:                  d.Family,
		Memory:                  d.Memory,
		NetworkMode:             d.NetworkMode,
		PidMode:                 d.PidMode,
		ProxyConfiguration:      d.ProxyConfiguration,
		RegisteredAt:            new(d.registeredAt),
		RequiresCompatibilities: d.RequiresCompatibilities,
		Revision:                int32(d.revision),
		RuntimePlatform:         d.RuntimePlatform,
		Status:                  status,
		TaskDefinitionArn:       new(d.arn()),
		TaskRoleArn:             d.TaskRoleArn,
		Volumes:                 d.Volumes,
	}
}

func clientError(format string, args ...any) error {
	return &types.ClientException{Message: new(fmt.Sprintf(format, args...))}
}

func parameterError(format string, args ...any) error {
	return &types.InvalidParameterException{Message: new(fmt.Sprintf(format, args...))}
}
