package dynamo

import (
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Dictionary is what the golden test pins.
const Dictionary = dictionary

// Encode and Decode are the codec of a fresh Store, so that no state is shared.
func Encode(job *jobs.Job) ([]byte, error)      { return new(codec).encode(job) }
func Decode(document []byte) (*jobs.Job, error) { return new(codec).decode(document) }

// Items returns what makes the items of jobs, and tells their sizes as DynamoDB counts them. It is one Store.
func Items() func(job *jobs.Job) (map[string]types.AttributeValue, int, error) {
	s := new(Store)
	return func(job *jobs.Job) (map[string]types.AttributeValue, int, error) {
		i, err := s.itemOf(job)
		return i, i.size(), err
	}
}

// JobOf reads the job of an item.
func JobOf(i map[string]types.AttributeValue) (*jobs.Job, error) { return new(Store).jobOf(i) }
