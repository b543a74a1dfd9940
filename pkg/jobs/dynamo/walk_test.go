package dynamo_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

func TestDueIsOrderedByDueTimeThroughAllShards(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	var want, got []string
	for n := range 40 {
		create(t, store, job((n*7)%40))
		want = append(want, job(n).JobID)
	}
	for cursor := ""; ; {
		ids, next, err := store.Due(t.Context(), start.Add(time.Hour).Time, cursor, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ids...)
		if cursor = next; cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Due (-want +got):\n%s", diff)
	}
}

// What comes while a walk goes on is no part of it, also in shards that it has not begun.
func TestAWalkIsOfWhatWasThereWhenItBegan(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, job(1), job(2), job(3))
	page, err := store.List(t.Context(), jobs.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	due, cursor, err := store.Due(t.Context(), job(3).Internal.DueAt.Time, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		create(t, store, job(100+n))
	}
	rest, err := store.List(t.Context(), jobs.Query{Cursor: page.Next})
	if err != nil || len(page.Jobs)+len(rest.Jobs) != 3 {
		t.Errorf("List = %d and %d jobs, %v, want 3 in all", len(page.Jobs), len(rest.Jobs), err)
	}
	dueLater, _, err := store.Due(t.Context(), start.Add(time.Hour).Time, cursor, 100)
	if err != nil || len(due)+len(dueLater) != 3 {
		t.Errorf("Due = %v and %v, %v, want 3 in all", due, dueLater, err)
	}
}

// One job of a name that few have is the oldest. Every page has its limit of reads, so the first ones hold nothing.
func TestEmptyPagesLeadOnToTheOneJobThatMatches(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	fake.pageMax = 2
	store := dynamo.New(cfg, "jobs")
	for n := range 300 {
		j := job(n)
		if j.Status = jobs.StatusSucceeded; n == 0 {
			j.JobName, j.Status = "rare", jobs.StatusRunning
		}
		create(t, store, j)
	}
	for _, query := range []jobs.Query{
		{Name: "rare"}, {Name: "rare", Status: jobs.StatusRunning}, {Status: jobs.StatusRunning, Limit: 1},
	} {
		var found []string
		pages := 1
		for ; ; pages++ {
			page, err := store.List(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range page.Jobs {
				found = append(found, j.JobID)
			}
			if query.Cursor = page.Next; query.Cursor == "" {
				break
			}
		}
		if diff := cmp.Diff([]string{"job-000"}, found); diff != "" || pages < 2 {
			t.Errorf("%d pages (-want +got):\n%s", pages, diff)
		}
	}
}

func TestOfAStatusThatFewHaveOnePageReadsAThousandJobs(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	for n := range 1100 {
		create(t, store, job(n))
	}
	page, err := store.List(t.Context(), jobs.Query{Status: jobs.StatusFailed})
	if err != nil || len(page.Jobs) > 0 || page.Next == "" || fake.calls["BatchGetItem"] != 10 {
		t.Errorf("List = %d jobs, next %q, %v, after %d batches; want none, a next page and 10 batches",
			len(page.Jobs), page.Next, err, fake.calls["BatchGetItem"])
	}
}

// An id that was free again leaves its old entry in an index that lags.
func TestAJobThatTheIndexShowsTwiceIsListedOnce(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, job(1), job(2), job(3))
	ghost, earlier := maps.Clone(fake.items["job-002"]), strconv.FormatInt(start.UnixMilli(), 10)
	ghost["createdAt"] = attribute{N: &earlier}
	fake.ghosts = []attributes{ghost}
	page, err := store.List(t.Context(), jobs.Query{})
	if err != nil || len(page.Jobs) != 3 || page.Jobs[1].JobID != "job-002" {
		t.Errorf("List = %d jobs, %v, want 3", len(page.Jobs), err)
	}
}

func TestWhatABatchLeavesOutIsAskedForAgain(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	for n := range 30 {
		create(t, store, job(n))
	}
	fake.readMax = func(_, n int) int { return []int{7, 0, 0, 0, 0}[n%5] } // nothing four times, then some
	page, err := store.List(t.Context(), jobs.Query{})
	if err != nil || len(page.Jobs) != 30 || page.Jobs[0].JobID != "job-029" {
		t.Errorf("List = %d jobs, %v, want 30", len(page.Jobs), err)
	}

	fake.calls = map[string]int{}
	fake.readMax = func(int, int) int { return 0 }
	_, err = store.List(t.Context(), jobs.Query{})
	if err == nil || !strings.Contains(err.Error(), "unread") || fake.calls["BatchGetItem"] != 5 {
		t.Errorf("List = %v after %d batches, want an error after 5", err, fake.calls["BatchGetItem"])
	}
}

// A caller may come back with another query. DynamoDB refuses a start outside of the times that are asked for.
func TestACursorOutsideOfTheTimesAskedForEnds(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	for n := range 100 {
		create(t, store, job(n))
	}
	_, cursor, err := store.Due(t.Context(), start.Add(time.Hour).Time, "", 50)
	if err != nil {
		t.Fatal(err)
	}
	if ids, next, err := store.Due(t.Context(), start.Time, cursor, 50); err != nil || len(ids) > 0 || next != "" {
		t.Errorf("Due = %v, %q, %v, want nothing", ids, next, err)
	}
	page, err := store.List(t.Context(), jobs.Query{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	page, err = store.List(t.Context(), jobs.Query{Cursor: page.Next, Since: start.Add(time.Hour).Time})
	if err != nil || len(page.Jobs) > 0 || page.Next != "" {
		t.Errorf("List = %d jobs, %q, %v, want none", len(page.Jobs), page.Next, err)
	}
}

func TestACursorOfListIsNoneOfDue(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	create(t, store, job(1), job(2))
	page, err := store.List(t.Context(), jobs.Query{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Due(t.Context(), start.Time, page.Next, 1); err == nil || !strings.Contains(err.Error(), "cursor") {
		t.Errorf("Due = %v, want an error about the cursor", err)
	}
}

func TestPagesOutsideTheirLimitsAreRefused(t *testing.T) {
	t.Parallel()
	_, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	for _, limit := range []int{-1, 1001} {
		if _, err := store.List(t.Context(), jobs.Query{Limit: limit}); err == nil {
			t.Errorf("List with limit %d = nil, want an error", limit)
		}
	}
	if _, _, err := store.Due(t.Context(), start.Time, "", 0); err == nil {
		t.Error("Due with limit 0 = nil, want an error")
	}
}

// A job stays in the shards in which it was stored: another hash or number of shards would hide it.
func TestTheShardsNeverChangeAndShareTheJobs(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	store := dynamo.New(cfg, "jobs")
	due, list := map[string]int{}, map[string]int{}
	for n := range 200 {
		create(t, store, job(n))
		item := fake.items[job(n).JobID]
		due[item["dueShard"].text()]++
		list[item["listShard"].text()]++
	}
	want := "map[0:25 1:26 2:24 3:25 4:25 5:24 6:26 7:25] map[0:50 1:50 2:50 3:50]"
	if got := fmt.Sprint(due, " ", list); got != want {
		t.Errorf("200 jobs are in shards %s, want %s", got, want)
	}
}
