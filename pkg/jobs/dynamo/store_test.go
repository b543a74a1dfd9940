package dynamo_test

import (
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

func TestTheStoreOnAFakeDynamoDB(t *testing.T) {
	t.Parallel()
	jobstest.Exercise(t, func(t *testing.T) jobs.Store {
		_, cfg := fakeDynamo(t)
		return dynamo.New(cfg, "jobs")
	})
}
