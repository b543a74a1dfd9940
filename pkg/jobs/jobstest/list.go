package jobstest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func exerciseList(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"an empty store lists nothing", func(t *testing.T, store jobs.Store) {
			wantListed(t, store, jobs.Query{}, nil)
		}},
		{"whole jobs come newest first, in whatever order they were created", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(2), simple(4), simple(1), simple(3))
			wantListed(t, store, jobs.Query{}, []string{"job-004", "job-003", "job-002", "job-001"})

			want := mustSave(t, store, "job-003", func(job *jobs.Job) { job.Attempts = Full("job-003").Attempts })
			eventually(t, func() string {
				page, err := store.List(t.Context(), jobs.Query{})
				if err != nil || len(page.Jobs) != 4 {
					return fmt.Sprintf("List = %d jobs, %v, want 4", len(page.Jobs), err)
				}
				return cmp.Diff(want, page.Jobs[1])
			})
		}},
		{"filters select alone and together", checkFilters},
		{"a job that moves on changes lists", checkStatusMoves},
		{"pages of any size hold every job once", checkPages},
		{"pages of one tell jobs of the same millisecond apart", func(t *testing.T, store jobs.Store) {
			var want []string
			for n := range 5 {
				job := simple(n)
				job.CreatedAt = epoch
				mustCreate(t, store, job)
				want = append(want, job.JobID)
			}
			eventually(t, func() string {
				got, wrong := walk(t, store, jobs.Query{Limit: 1})
				slices.Sort(got) // their order is the store's own
				return wrong + cmp.Diff(want, got)
			})
		}},
		{"jobs created during a walk do not disturb it", checkWalkWhileCreating},
		{"a page is at most 100 jobs unless asked for", func(t *testing.T, store jobs.Store) {
			var created []*jobs.Job
			for n := range 120 {
				created = append(created, simple(n))
			}
			createAtOnce(t, store, created)
			page, err := store.List(t.Context(), jobs.Query{})
			if err != nil || len(page.Jobs) > 100 || page.Next == "" {
				t.Errorf("List = %d jobs, next %q, %v; want at most 100, a cursor and no error", len(page.Jobs), page.Next, err)
			}
		}},
		{"a cursor that was not given out is an error", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			for _, cursor := range []string{"x", "job-001", "%%%", "AAAAAAAA", "eyJhIjoxfQ"} {
				if page, err := store.List(t.Context(), jobs.Query{Cursor: cursor}); err == nil {
					t.Errorf("List with cursor %q = %d jobs, want an error", cursor, len(page.Jobs))
				}
			}
		}},
		{"a context that has ended is an error", func(t *testing.T, store jobs.Store) {
			if _, err := store.List(ended(t), jobs.Query{}); err == nil {
				t.Error("List = nil, want an error")
			}
		}},
	})
}

// walk lists all pages and returns the ids, or what was wrong with a page.
func walk(t *testing.T, store jobs.Store, query jobs.Query) (ids []string, wrong string) {
	t.Helper()
	for pages := 0; ; pages++ {
		page, err := store.List(t.Context(), query)
		if err != nil {
			return nil, fmt.Sprintf("List(%+v): %v", query, err)
		}
		if query.Limit > 0 && len(page.Jobs) > query.Limit {
			return nil, fmt.Sprintf("List(%+v) = %d jobs, more than the limit", query, len(page.Jobs))
		}
		for _, job := range page.Jobs {
			ids = append(ids, job.JobID)
		}
		if page.Next == "" {
			return ids, ""
		}
		if pages > 10_000 {
			return nil, fmt.Sprintf("List(%+v) never ends", query)
		}
		query.Cursor = page.Next
	}
}

func wantListed(t *testing.T, store jobs.Store, query jobs.Query, want []string) {
	t.Helper()
	eventually(t, func() string {
		got, wrong := walk(t, store, query)
		if diff := cmp.Diff(want, got); wrong == "" && diff != "" {
			wrong = fmt.Sprintf("List(%+v) (-want +got):\n%s", query, diff)
		}
		return wrong
	})
}

func checkFilters(t *testing.T, store jobs.Store) {
	statuses := jobs.Statuses()
	names := []string{"render", "encode", "Render"}
	var created []*jobs.Job
	for n := range 2 * len(statuses) * len(names) {
		job := simple(n)
		job.Status = statuses[n%len(statuses)]
		job.JobName = names[n/len(statuses)%len(names)]
		created = append(created, job)
	}
	createAtOnce(t, store, created)
	slices.Reverse(created)
	twenty := epoch.Add(20 * time.Second).Time // when one of them was created
	sinces := []time.Time{
		{}, epoch.Time, twenty, twenty.Add(time.Nanosecond), twenty.Add(time.Millisecond), twenty.Add(time.Hour),
	}
	for _, since := range sinces {
		for _, name := range append(names, "", "unknown") {
			for _, status := range append(statuses, "") {
				query := jobs.Query{Status: status, Name: name, Since: since, Limit: 7}
				wantListed(t, store, query, selected(created, query))
			}
		}
	}
}

// selected are the ids of the jobs that a query is for, in their order.
func selected(all []*jobs.Job, q jobs.Query) (ids []string) {
	for _, job := range all {
		if (q.Status == "" || job.Status == q.Status) && (q.Name == "" || job.JobName == q.Name) && !job.CreatedAt.Before(q.Since) {
			ids = append(ids, job.JobID)
		}
	}
	return ids
}

func checkStatusMoves(t *testing.T, store jobs.Store) {
	mustCreate(t, store, simple(1), simple(2))
	was := jobs.StatusRunnable
	for _, status := range []jobs.Status{jobs.StatusStarting, jobs.StatusRunning, jobs.StatusRunnable, jobs.StatusFailed} {
		for _, id := range []string{"job-001", "job-002"} {
			mustSave(t, store, id, func(job *jobs.Job) { job.Status = status })
		}
		wantListed(t, store, jobs.Query{Status: was}, nil)
		wantListed(t, store, jobs.Query{Status: status}, []string{"job-002", "job-001"})
		wantListed(t, store, jobs.Query{}, []string{"job-002", "job-001"})
		was = status
	}
}

func checkPages(t *testing.T, store jobs.Store) {
	var want []string
	for n := range 24 {
		mustCreate(t, store, simple(n))
		want = append(want, simple(n).JobID)
	}
	slices.Reverse(want)
	for _, limit := range []int{1, 5, 12, 24, 25, 1000} {
		wantListed(t, store, jobs.Query{Limit: limit}, want)
		wantListed(t, store, jobs.Query{Limit: limit, Status: jobs.StatusRunnable, Name: "render"}, want)
	}
}

func checkWalkWhileCreating(t *testing.T, store jobs.Store) {
	var want []string
	for n := range 10 {
		mustCreate(t, store, simple(n))
		want = append(want, simple(n).JobID)
	}
	slices.Reverse(want)
	wantListed(t, store, jobs.Query{}, want) // an index that lags has them all

	var got []string
	query := jobs.Query{Limit: 3}
	for n := 10; ; n++ {
		page, err := store.List(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for _, job := range page.Jobs {
			got = append(got, job.JobID)
		}
		if page.Next == "" {
			break
		}
		query.Cursor = page.Next
		mustCreate(t, store, simple(n))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the walk (-want +got):\n%s", diff)
	}
}
