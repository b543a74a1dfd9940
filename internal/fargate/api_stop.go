package fargate

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// StopTask asks a task to stop: SIGTERM, its containers' stopTimeout, SIGKILL. A task that nobody has begun to start
// is stopped when StopTask returns.
func (c *Cluster) StopTask(ctx context.Context, in *ecs.StopTaskInput, _ ...func(*ecs.Options)) (*ecs.StopTaskOutput, error) {
	if err := c.checkCluster(in.Cluster); err != nil {
		return nil, err
	}
	if deref(in.Task) == "" {
		return nil, parameterError("Task identifier is empty")
	}
	t, err := c.change(ctx, *in.Task, func(t *task) error {
		t.stopRequested(c.opts.Now(), deref(in.Reason))
		return nil
	})
	if err != nil {
		return nil, err
	}
	shown := t.api()
	shown.Tags = t.apiTags()
	return &ecs.StopTaskOutput{Task: &shown}, nil
}

// Interrupt has Spot take a task away, by ARN or id: the notice, SIGTERM, up to stopTimeout, SIGKILL. There is no such
// call in ECS. Only a Spot task that runs can be interrupted.
func (c *Cluster) Interrupt(ctx context.Context, taskARN string) error {
	_, err := c.change(ctx, taskARN, func(t *task) error {
		switch {
		case !t.spot():
			return fmt.Errorf("task %s does not run on %s, so nothing can interrupt it", t.id, providerSpot)
		case t.LastStatus == statusStopped:
			return fmt.Errorf("task %s has stopped already: %s", t.id, t.StoppedReason)
		case t.DesiredStatus == statusStopped:
			return fmt.Errorf("task %s is being stopped already: %s", t.id, t.StoppedReason)
		case t.LastStatus != statusRunning:
			return fmt.Errorf("task %s does not run yet: it is %s", t.id, t.LastStatus)
		}
		t.reclaimed(c.opts.Now())
		return nil
	})
	return err
}

// change applies a call to one task, stores it, and has whoever executes look at it. An error of apply is the answer.
func (c *Cluster) change(ctx context.Context, arn string, apply func(*task) error) (t *task, err error) {
	grown := false
	err = c.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		now := c.opts.Now()
		if t, err = loadTask(tx, c.taskID(arn), now); err != nil {
			return err
		}
		if t == nil {
			return parameterError("The referenced task was not found.")
		}
		faults, err := loadFaults(tx)
		if err != nil {
			return err
		}
		if err := apply(t); err != nil {
			return err
		}
		t.attention = t.attention || (t.changed && t.phase == phaseHanded)
		if grown, err = t.save(tx, faults, now); err != nil {
			return err
		}
		return faults.store(tx)
	})
	if err != nil {
		return nil, err
	}
	rouse(c.work)
	if grown {
		rouse(c.outbox)
	}
	return t, nil
}

// taskID is the id in an ARN of this cluster, or the id itself. What is neither finds nothing.
func (c *Cluster) taskID(arn string) string {
	if id := lastPart(arn); arn == id || arn == c.taskARN(id) {
		return id
	}
	return ""
}
