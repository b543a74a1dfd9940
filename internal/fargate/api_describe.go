package fargate

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

const (
	// describeMax is how many tasks one call may describe.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
	describeMax = 100
	// listMax is how many tasks a page lists, and the default.
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
	listMax = 100
)

// DescribeTasks shows tasks by ARN or id, those that stopped for an hour.
func (c *Cluster) DescribeTasks(ctx context.Context, in *ecs.DescribeTasksInput, _ ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error) {
	if err := c.checkCluster(in.Cluster); err != nil {
		return nil, err
	}
	switch {
	case len(in.Tasks) == 0:
		return nil, parameterError("Tasks cannot be empty.")
	case len(in.Tasks) > describeMax:
		return nil, parameterError("Tasks cannot have more than %d entries.", describeMax)
	}
	withTags := slices.Contains(in.Include, types.TaskFieldTags)
	var out *ecs.DescribeTasksOutput
	err := c.db.View(ctx, func(tx *sqlitedb.Tx) error {
		out = &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
		now := c.opts.Now()
		for _, arn := range in.Tasks {
			t, err := loadTask(tx, c.taskID(arn), now)
			if err != nil {
				return err
			}
			if t == nil {
				out.Failures = append(out.Failures, types.Failure{Arn: new(c.missingARN(arn)), Reason: new("MISSING")})
				continue
			}
			shown := t.api()
			if withTags {
				shown.Tags = t.apiTags()
			}
			out.Tasks = append(out.Tasks, shown)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("describe tasks: %w", err)
	}
	return out, nil
}

func (c *Cluster) missingARN(arn string) string {
	if lastPart(arn) == arn {
		return c.taskARN(arn)
	}
	return arn
}

// ListTasks lists tasks by what ECS calls filters, in the order of RunTask. Without desiredStatus it hides those that
// are to stop; with PENDING it finds none, as in ECS.
func (c *Cluster) ListTasks(ctx context.Context, in *ecs.ListTasksInput, _ ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	if err := c.checkCluster(in.Cluster); err != nil {
		return nil, err
	}
	query, err := c.listQuery(in)
	if err != nil {
		return nil, err
	}
	out := &ecs.ListTasksOutput{TaskArns: []string{}}
	if query.none {
		return out, nil
	}
	err = c.db.View(ctx, func(tx *sqlitedb.Tx) error {
		out = &ecs.ListTasksOutput{TaskArns: []string{}}
		rows, err := query.run(tx)
		if err != nil {
			return err
		}
		defer rows.Close()
		var last int64
		for rows.Next() {
			if len(out.TaskArns) == query.limit {
				out.NextToken = new(pageToken(last))
				break
			}
			var id string
			if err := rows.Scan(&last, &id); err != nil {
				return err
			}
			out.TaskArns = append(out.TaskArns, c.taskARN(id))
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return out, nil
}

type listQuery struct {
	in      *ecs.ListTasksInput
	desired types.DesiredStatus
	limit   int
	after   int64
	since   int64 // stopped tasks that ended before are hidden
	none    bool  // no task can match
}

func (c *Cluster) listQuery(in *ecs.ListTasksInput) (*listQuery, error) {
	q := &listQuery{in: in, desired: in.DesiredStatus, limit: listMax, since: c.opts.Now().Add(-stoppedTasksKept).UnixMilli()}
	if q.desired == "" {
		q.desired = types.DesiredStatusRunning
	}
	if in.MaxResults != nil {
		q.limit = int(*in.MaxResults)
	}
	var err error
	if in.NextToken != nil {
		q.after, err = fromPageToken(*in.NextToken)
	}
	switch {
	case err != nil:
		return nil, parameterError("Invalid token")
	case q.limit < 1 || q.limit > listMax:
		return nil, parameterError("maxResults must be between 1 and %d.", listMax)
	case !slices.Contains(q.desired.Values(), q.desired):
		return nil, parameterError("desiredStatus must be RUNNING, PENDING or STOPPED.")
	case in.StartedBy != nil && (in.Family != nil || in.ServiceName != nil || in.ContainerInstance != nil):
		// "When you specify startedBy as the filter, it must be the only filter that you use." (API_ListTasks)
		return nil, parameterError("startedBy must be the only filter.")
	}
	q.none = q.desired == types.DesiredStatusPending || in.ServiceName != nil || in.ContainerInstance != nil ||
		(in.LaunchType != "" && in.LaunchType != types.LaunchTypeFargate)
	return q, nil
}

// run reads seq and id of one task more than the page has.
func (q *listQuery) run(tx *sqlitedb.Tx) (*sql.Rows, error) {
	const what = `SELECT seq, id FROM fargate_tasks WHERE `
	const rest = ` seq > ? AND desired = ? AND (stopped_at IS NULL OR stopped_at >= ?) ORDER BY seq LIMIT ?`
	common := []any{q.after, q.desired, q.since, q.limit + 1}
	switch {
	case q.in.StartedBy != nil:
		return tx.Query(what+`started_by = ? AND`+rest, append([]any{*q.in.StartedBy}, common...)...)
	case q.in.Family != nil:
		return tx.Query(what+`family = ? AND`+rest, append([]any{*q.in.Family}, common...)...)
	case q.desired == types.DesiredStatusRunning:
		// Each half has an index of its own, so that an hour's stopped tasks are not walked through.
		const half = `SELECT seq, id FROM fargate_tasks WHERE desired = 'RUNNING' AND seq > ? AND phase = `
		return tx.Query(half+`'waiting' UNION ALL `+half+`'handed' ORDER BY seq LIMIT ?`, q.after, q.after, q.limit+1)
	default:
		return tx.Query(what+rest, common...)
	}
}

func pageToken(last int64) string {
	return base64.URLEncoding.EncodeToString([]byte(strconv.FormatInt(last, 10)))
}

func fromPageToken(token string) (int64, error) {
	text, err := base64.URLEncoding.DecodeString(token)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}
