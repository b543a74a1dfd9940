package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

var _ jobs.Store = (*Store)(nil)

// Store keeps jobs in a DynamoDB table. It may be used by any number of goroutines.
type Store struct {
	client *dynamodb.Client
	table  string
	now    func() time.Time
	codec  codec
}

// Option changes how a Store behaves.
type Option func(*Store)

// WithClock hides a job from the second in which it expires; Due may still name it. Without a clock it is there until
// DynamoDB deletes it, which may take days.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
func WithClock(now func() time.Time) Option { return func(s *Store) { s.now = now } }

// New makes a Store on a table that exists. Throttling and trouble that passes are the configured retryer's affair.
func New(cfg aws.Config, table string, options ...Option) *Store {
	s := &Store{client: dynamodb.NewFromConfig(cfg), table: table}
	for _, option := range options {
		option(s)
	}
	return s
}

// Create stores a new job or answers jobs.ErrExists.
func (s *Store) Create(ctx context.Context, job *jobs.Job) error {
	if job.Version != 1 {
		return fmt.Errorf("create job %s: its version is %d, not 1", job.JobID, job.Version)
	}
	condition, values := "attribute_not_exists(id)", item(nil)
	if s.now != nil { // an expired job is not there any more, so its id is free
		condition, values = condition+" OR expiresAt <= :now", item{":now": number(s.now().Unix())}
	}
	_, err := s.put(ctx, job, condition, values)
	if errors.Is(err, errRefused) {
		err = jobs.ErrExists
	}
	if err != nil {
		return fmt.Errorf("create job %s: %w", job.JobID, err)
	}
	return nil
}

// Save stores the job over the version before it; see jobs.Store.
func (s *Store) Save(ctx context.Context, job *jobs.Job) error {
	condition, values := "version = :was", item{":was": number(job.Version - 1)}
	if s.now != nil {
		condition += " AND (attribute_not_exists(expiresAt) OR expiresAt > :now)"
		values[":now"] = number(s.now().Unix())
	}
	stored, err := s.put(ctx, job, condition, values)
	switch {
	case errors.Is(err, errRefused) && (len(stored) == 0 || s.expired(stored)):
		err = jobs.ErrNotFound
	case errors.Is(err, errRefused):
		err = jobs.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("save job %s: %w", job.JobID, err)
	}
	return nil
}

// errRefused says that a put's condition did not hold.
var errRefused = errors.New("the condition does not hold")

// put writes the job's item on a condition. Where that does not hold it answers errRefused and what is stored instead, which
// DynamoDB sends along, so that nobody has to read it.
//
// A put is as cheap as an update: both cost the size of the whole item, and an index is written only if what it holds changes.
func (s *Store) put(ctx context.Context, job *jobs.Job, condition string, values item) (stored item, err error) {
	i, err := s.itemOf(job)
	if err != nil {
		return nil, err
	}
	sent := 0
	_, err = s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &s.table, Item: i, ConditionExpression: &condition, ExpressionAttributeValues: values,
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	}, counting(&sent))
	refused, ok := errors.AsType[*types.ConditionalCheckFailedException](err)
	if !ok {
		return nil, err
	}
	stored = refused.Item
	if sent > 1 && job.Internal.WriteID != "" &&
		stored.text(attrWriteID) == job.Internal.WriteID && stored.number(attrVersion) == job.Version {
		return nil, nil // an earlier try of this very call was written, and only its answer was lost
	}
	return stored, errRefused
}

// Get reads a job or answers jobs.ErrNotFound.
func (s *Store) Get(ctx context.Context, jobID string) (*jobs.Job, error) {
	job, err := s.get(ctx, jobID)
	if err != nil {
		return nil, fmt.Errorf("get job %s: %w", jobID, err)
	}
	return job, nil
}

func (s *Store) get(ctx context.Context, jobID string) (*jobs.Job, error) {
	if jobID == "" {
		return nil, jobs.ErrNotFound // no key is empty, and DynamoDB refuses to look
	}
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &s.table, Key: item{attrID: text(jobID)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, err
	}
	if len(out.Item) == 0 || s.expired(out.Item) {
		return nil, jobs.ErrNotFound
	}
	return s.jobOf(out.Item)
}

// expired reports whether the item's time is over.
func (s *Store) expired(i item) bool {
	_, expires := i[TTLAttribute]
	return expires && s.now != nil && i.number(TTLAttribute) <= s.now().Unix()
}
