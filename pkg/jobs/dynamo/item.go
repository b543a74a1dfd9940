package dynamo

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// itemMax is the most that DynamoDB keeps as one item: 400 KB, names and values.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html#limits-items
const itemMax = 400 << 10

// item is a job as the table has it.
type item map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// itemOf makes the item of a job.
func (s *Store) itemOf(job *jobs.Job) (item, error) {
	document, err := s.codec.encode(job)
	if err != nil {
		return nil, err
	}
	i := item{
		attrID: text(job.JobID), attrName: text(job.JobName), attrStatus: text(string(job.Status)), attrVersion: number(job.Version),
		attrListShard: text(listIndex().shardOf(job.JobID)), attrCreatedAt: number(job.CreatedAt.UnixMilli()),
		attrDocument: &types.AttributeValueMemberB{Value: document},
	}
	if id := job.Internal.WriteID; id != "" {
		i[attrWriteID] = text(id)
	}
	if due := job.Internal.DueAt; !due.IsZero() {
		i[attrDueShard], i[attrDueAt] = text(dueIndex().shardOf(job.JobID)), number(due.UnixMilli())
	}
	if expires := job.Internal.ExpiresAt; !expires.IsZero() {
		i[TTLAttribute] = number(expires.Add(time.Second - time.Millisecond).Unix()) // rounded up: no job goes too soon
	}
	if size := i.size(); size > itemMax {
		return nil, fmt.Errorf("the job takes %d bytes, and DynamoDB keeps no item of more than %d", size, itemMax)
	}
	return i, nil
}

// jobOf reads the job of an item.
func (s *Store) jobOf(i item) (*jobs.Job, error) {
	document, _ := i[attrDocument].(*types.AttributeValueMemberB)
	if document == nil {
		return nil, errDamaged
	}
	job, err := s.codec.decode(document.Value)
	if err != nil {
		return nil, err
	}
	if job.JobID != i.text(attrID) || job.Version != i.number(attrVersion) {
		return nil, errDamaged // somebody changed an attribute by hand: conditions would ask for another job than is read
	}
	return job, nil
}

// text is the attribute's text, or "".
func (i item) text(name string) string {
	if value, ok := i[name].(*types.AttributeValueMemberS); ok {
		return value.Value
	}
	return ""
}

// number is the attribute's whole number, or 0.
func (i item) number(name string) int64 {
	if value, ok := i[name].(*types.AttributeValueMemberN); ok {
		if n, err := strconv.ParseInt(value.Value, 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// size is what DynamoDB counts, for its limit and for its prices.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func (i item) size() int {
	size := 0
	for name, value := range i {
		size += len(name)
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			size += len(value.Value)
		case *types.AttributeValueMemberB:
			size += len(value.Value)
		case *types.AttributeValueMemberN: // a byte for two significant digits, one more, and one for a sign
			digits := len(strings.TrimRight(strings.TrimPrefix(value.Value, "-"), "0"))
			size += (digits+1)/2 + 1 + strings.Count(value.Value, "-")
		}
	}
	return size
}
