package dynamo_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
	"github.com/spotbatch/spotbatch/pkg/jobs/jobstest"
)

// local is the configuration for the DynamoDB Local that SPOTBATCH_TEST_DYNAMODB names; without one the test is skipped.
func local(t *testing.T) aws.Config {
	t.Helper()
	endpoint := os.Getenv("SPOTBATCH_TEST_DYNAMODB")
	if endpoint == "" {
		t.Skip("SPOTBATCH_TEST_DYNAMODB names no DynamoDB Local, as http://127.0.0.1:8000")
	}
	return config(endpoint)
}

// localTable makes a table of the test's own.
func localTable(t *testing.T, cfg aws.Config) string {
	t.Helper()
	table := "spotbatch-test-" + rand.Text()
	if err := dynamo.CreateTable(t.Context(), cfg, table); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := dynamodb.NewFromConfig(cfg).DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &table})
		if err != nil {
			t.Error(err)
		}
	})
	return table
}

func TestTheStoreOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	cfg := local(t)
	jobstest.Exercise(t, func(t *testing.T) jobs.Store { return dynamo.New(cfg, localTable(t, cfg)) })
}

func TestAJobKeepsWithinTheBudgetOfWritesOnDynamoDBLocal(t *testing.T) {
	t.Parallel()
	cfg := local(t)
	checkBudget(t, cfg, localTable(t, cfg))
}

// sweep walks all that is due as the engine's sweep does, and returns how many jobs that were.
func sweep(t *testing.T, store jobs.Store, before time.Time) (met int) {
	t.Helper()
	for cursor := ""; ; {
		ids, next, err := store.Due(t.Context(), before, cursor, 100)
		if err != nil {
			t.Fatal(err)
		}
		met += len(ids)
		if cursor = next; cursor == "" {
			return met
		}
	}
}

// The table holds 10,000 jobs. A sweep pays for those that are due, however many others there are.
func TestReadsGrowWithWhatIsDue(t *testing.T) {
	t.Parallel()
	cfg := local(t)
	const all, due = 10_000, 400
	meter := &meter{}
	cfg = meter.metered(cfg)
	store := dynamo.New(cfg, localTable(t, cfg))
	numbers := make(chan int)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for n := range numbers {
				j := job(n)
				j.JobID = fmt.Sprintf("job-%05d", n)
				if n >= due {
					j.Internal.DueAt = start.Add(24 * time.Hour)
				}
				if err := store.Create(t.Context(), j); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range all {
		numbers <- n
	}
	close(numbers)
	group.Wait()
	t.Logf("creating %d: %+v", all, meter.reset())

	for _, c := range []struct {
		due     int
		readMax float64
	}{{0, 4}, {10, 4}, {due, 20}} {
		met := sweep(t, store, start.Add(time.Duration(c.due)*time.Second-1).Time)
		spent := meter.reset()
		t.Logf("%d due: %+v", c.due, spent)
		if met != c.due || spent.reads > c.readMax {
			t.Errorf("the sweep met %d jobs for %g read units, want %d for at most %g", met, spent.reads, c.due, c.readMax)
		}
	}

	query, listed := jobs.Query{Limit: 1000}, all
	for {
		page, err := store.List(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range page.Jobs {
			if listed--; j.JobID != fmt.Sprintf("job-%05d", listed) {
				t.Fatalf("the walk meets %s, want job %d", j.JobID, listed)
			}
		}
		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}
	spent := meter.reset()
	t.Logf("listing %d: %+v", all, spent)
	if listed != 0 || spent.batches != all/100 || spent.reads > all {
		t.Errorf("%d jobs were not listed, for %+v; want none, and at most one read unit a job", listed, spent)
	}
}
