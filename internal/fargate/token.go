package fargate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// tokenLife is how long a token is known at most; a task's token goes stoppedTasksKept after its end.
const tokenLife = 24 * time.Hour

const reasonConflict = "The provided clientToken is already in use with a different RunTask request."

// replay answers a request whose token is known and alive, with what the first one came to.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
func (c *Cluster) replay(tx *sqlitedb.Tx, request *runRequest, now time.Time) (answer runAnswer, found bool, err error) {
	token, tasks, err := loadToken(tx, request.token, now)
	if err != nil || token == nil {
		return answer, false, err
	}
	if token.fingerprint != request.fingerprint {
		conflict := &types.ConflictException{Message: new(reasonConflict)}
		for _, id := range token.taskIDs {
			conflict.ResourceIds = append(conflict.ResourceIds, c.taskARN(id))
		}
		return runAnswer{err: conflict}, true, nil
	}
	answer.failures = token.failures
	for _, t := range tasks {
		if t.phase == phaseStopped {
			// ECS knows no more of these here: no exit code, no reason.
			answer.tasks = append(answer.tasks, types.Task{TaskArn: &t.TaskArn, LastStatus: &t.LastStatus, DesiredStatus: &t.DesiredStatus})
			continue
		}
		shown := t.api()
		shown.Tags = t.apiTags()
		answer.tasks = append(answer.tasks, shown)
	}
	return answer, true, nil
}

type storedToken struct {
	fingerprint string
	taskIDs     []string
	failures    []types.Failure
}

// loadToken returns a token that is alive, with those of its tasks that ECS still shows; nil where there is none.
func loadToken(tx *sqlitedb.Tx, name string, now time.Time) (*storedToken, []*task, error) {
	rows, err := tx.Query(`SELECT fingerprint, task_ids, failures FROM fargate_tokens WHERE token = ? AND created_at > ?`,
		name, now.Add(-tokenLife).UnixMilli())
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, nil, rows.Err()
	}
	token := &storedToken{}
	var ids, failures []byte
	if err := rows.Scan(&token.fingerprint, &ids, &failures); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(ids, &token.taskIDs); err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(failures, &token.failures); err != nil {
		return nil, nil, err
	}
	var tasks []*task
	for _, id := range token.taskIDs {
		t, err := loadTask(tx, id, now)
		if err != nil {
			return nil, nil, err
		}
		if t != nil {
			tasks = append(tasks, t)
		}
	}
	if len(token.taskIDs) > 0 && len(tasks) == 0 {
		return nil, nil, nil // all ended more than an hour ago
	}
	return token, tasks, nil
}

func storeToken(tx *sqlitedb.Tx, request *runRequest, answer runAnswer, now time.Time) error {
	if request.token == "" {
		return nil
	}
	ids := []string{}
	if len(answer.tasks) > 0 {
		ids = request.ids
	}
	_, err := tx.Exec(`INSERT OR REPLACE INTO fargate_tokens (token, fingerprint, task_ids, failures, created_at) VALUES (?, ?, ?, ?, ?)`,
		request.token, request.fingerprint, string(encodeJSON(ids)), string(encodeShapes(answer.failures)), now.UnixMilli())
	if err != nil {
		return fmt.Errorf("store token: %w", err)
	}
	return nil
}

// fingerprint is of every parameter but the token itself.
func fingerprint(in *ecs.RunTaskInput) string {
	rest := *in
	rest.ClientToken = nil
	sum := sha256.Sum256(encodeShape(rest))
	return hex.EncodeToString(sum[:])
}

// isToken tells whether the text is a clientToken as ECS takes it: up to 64 printable ASCII characters.
func isToken(text string) bool {
	return len(text) <= 64 && !strings.ContainsFunc(text, func(r rune) bool { return r < 33 || r > 126 })
}
