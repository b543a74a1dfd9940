package fargate

import (
	"context"
	"fmt"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

const (
	houseEvery = time.Minute
	// houseBatch is small, so that nobody waits for the housekeeping.
	houseBatch = 200
)

// keepHouse drops what has expired, now and every minute until ctx ends.
func (c *Cluster) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(houseEvery)
	defer ticker.Stop()
	for {
		if err := c.dropExpired(ctx); err != nil && ctx.Err() == nil {
			c.opts.Logger.Error("expired tasks were not dropped", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// dropExpired drops tasks that stopped more than an hour ago, with their tokens, and tokens that have run out.
func (c *Cluster) dropExpired(ctx context.Context) error {
	for {
		var tasks, tokens int64
		err := c.db.Update(ctx, func(tx *sqlitedb.Tx) (err error) {
			now := c.opts.Now()
			if tasks, err = dropTasks(tx, now.Add(-stoppedTasksKept).UnixMilli()); err != nil {
				return err
			}
			tokens, err = tx.Exec(`DELETE FROM fargate_tokens WHERE token IN
				(SELECT token FROM fargate_tokens WHERE created_at <= ? LIMIT ?)`, now.Add(-tokenLife).UnixMilli(), houseBatch)
			return err
		})
		if err != nil {
			return fmt.Errorf("drop what has expired: %w", err)
		}
		if tasks < houseBatch && tokens < houseBatch {
			return nil
		}
	}
}

// dropTasks drops a batch of tasks that stopped before. A token goes with the last of its tasks.
func dropTasks(tx *sqlitedb.Tx, before int64) (int64, error) {
	_, err := tx.Exec(`DELETE FROM fargate_tokens WHERE token IN
		(SELECT token FROM fargate_tasks WHERE phase = 'stopped' AND stopped_at < ?1 AND token IS NOT NULL ORDER BY stopped_at LIMIT ?2)
		AND NOT EXISTS (SELECT 1 FROM json_each(task_ids) AS member JOIN fargate_tasks ON fargate_tasks.id = member.value
			WHERE stopped_at IS NULL OR stopped_at >= ?1)`, before, houseBatch)
	if err != nil {
		return 0, err
	}
	return tx.Exec(`DELETE FROM fargate_tasks WHERE seq IN
		(SELECT seq FROM fargate_tasks WHERE phase = 'stopped' AND stopped_at < ? ORDER BY stopped_at LIMIT ?)`, before, houseBatch)
}
