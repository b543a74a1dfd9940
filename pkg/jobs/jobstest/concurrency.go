package jobstest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func exerciseConcurrency(t *testing.T, open func(t *testing.T) jobs.Store) {
	runAll(t, open, []exercise{
		{"of 64 creates of one id exactly one succeeds", func(t *testing.T, store jobs.Store) {
			winner := race(t, 64, jobs.ErrExists, func(n int) error {
				job := simple(1)
				job.Internal.WriteID = fmt.Sprint(n)
				return store.Create(t.Context(), job)
			})
			if got := mustGet(t, store, "job-001").Internal.WriteID; got != fmt.Sprint(winner) {
				t.Errorf("the stored job is of create %s, but %d was told that it succeeded", got, winner)
			}
		}},
		{"of 64 saves over one version exactly one succeeds, version after version", func(t *testing.T, store jobs.Store) {
			mustCreate(t, store, simple(1))
			for version := int64(2); version <= 4; version++ {
				winner := race(t, 64, jobs.ErrConflict, func(n int) error {
					job := simple(1)
					job.Version = version
					job.Internal.WriteID = fmt.Sprint(n)
					return store.Save(t.Context(), job)
				})
				got := mustGet(t, store, "job-001")
				if got.Version != version || got.Internal.WriteID != fmt.Sprint(winner) {
					t.Errorf("stored is version %d of save %s, want version %d of save %d",
						got.Version, got.Internal.WriteID, version, winner)
				}
			}
		}},
		{"savers that read again after a conflict lose nothing", checkLostUpdates},
		{"jobs created at once are all there", func(t *testing.T, store jobs.Store) {
			var created []*jobs.Job
			var want []string
			for n := range 64 {
				created = append(created, simple(n))
				want = append(want, simple(n).JobID)
			}
			createAtOnce(t, store, created)
			slices.Reverse(want)
			wantListed(t, store, jobs.Query{Limit: 10}, want)
		}},
	})
}

// race makes the calls at the same time and returns which one succeeded; all others must have lost.
func race(t *testing.T, calls int, lost error, call func(n int) error) (winner int) {
	t.Helper()
	errs := make([]error, calls)
	start := make(chan struct{})
	var group sync.WaitGroup
	for n := range calls {
		group.Go(func() {
			<-start
			errs[n] = call(n)
		})
	}
	close(start)
	group.Wait()

	winner = -1
	for n, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("calls %d and %d both succeeded", winner, n)
		case err == nil:
			winner = n
		case !errors.Is(err, lost):
			t.Errorf("call %d = %v, want %v", n, err, lost)
		}
	}
	if winner < 0 {
		t.Error("no call succeeded")
	}
	return winner
}

// checkLostUpdates counts in the job what was done to it, as every read-change-save of the engine must be able to.
func checkLostUpdates(t *testing.T, store jobs.Store) {
	const savers = 16
	mustCreate(t, store, simple(1))
	var group sync.WaitGroup
	for range savers {
		group.Go(func() {
			for {
				job, err := store.Get(t.Context(), "job-001")
				if err != nil {
					t.Error(err)
					return
				}
				job.Version++
				job.Attempts = append(job.Attempts, jobs.Attempt{Number: len(job.Attempts) + 1})
				err = store.Save(t.Context(), job)
				if err == nil {
					return
				}
				if !errors.Is(err, jobs.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if got := mustGet(t, store, "job-001"); got.Version != savers+1 || len(got.Attempts) != savers {
		t.Errorf("the job is at version %d with %d attempts, want %d and %d", got.Version, len(got.Attempts), savers+1, savers)
	}
}
