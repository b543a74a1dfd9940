package ecs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// registry is ECS as far as task definitions go: each call takes a second and is counted.
type registry struct {
	API
	calls  atomic.Int32
	latest atomic.Int32
	fail   atomic.Bool
}

func (r *registry) DescribeTaskDefinition(ctx context.Context, in *ecs.DescribeTaskDefinitionInput, _ ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	r.calls.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.fail.Load() {
		return nil, errors.New("connection reset")
	}
	return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &types.TaskDefinition{
		Family: in.TaskDefinition, Revision: r.latest.Load(), Status: types.TaskDefinitionStatusActive,
	}}, nil
}

// asking has a launcher on a registry of its own, in a bubble whose clock the launcher reads.
func asking(t *testing.T, test func(t *testing.T, l *Launcher, r *registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &registry{}
		r.latest.Store(1)
		test(t, New(r, Config{}, time.Now), r)
	})
}

func revision(t *testing.T, l *Launcher, name string) int {
	t.Helper()
	td, err := l.TaskDefinition(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return td.Revision
}

func TestARevisionIsKeptForMinutesAndAFamilyForSeconds(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]time.Duration{
		"job": familyKept, "job:1": revisionKept,
		"arn:aws:ecs:us-east-1:123456789012:task-definition/job":   familyKept,
		"arn:aws:ecs:us-east-1:123456789012:task-definition/job:1": revisionKept,
	} {
		asking(t, func(t *testing.T, l *Launcher, r *registry) {
			asked := time.Now()
			first := revision(t, l, name)
			r.latest.Store(2)
			time.Sleep(kept - time.Nanosecond - time.Since(asked)) // it counts from when ECS was asked
			if got, calls := revision(t, l, name), r.calls.Load(); got != first || calls != 1 {
				t.Errorf("%s: revision %d after %d calls while it is fresh", name, got, calls)
			}
			time.Sleep(time.Nanosecond)
			if got, calls := revision(t, l, name), r.calls.Load(); got != 2 || calls != 2 {
				t.Errorf("%s: revision %d after %d calls once it is old", name, got, calls)
			}
		})
	}
}

func TestCallersAtTheSameTimeAskOnce(t *testing.T) {
	t.Parallel()
	asking(t, func(t *testing.T, l *Launcher, r *registry) {
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { _, _ = l.TaskDefinition(t.Context(), "job") })
			callers.Go(func() { _, _ = l.TaskDefinition(t.Context(), "other:1") })
		}
		callers.Wait()
		if calls := r.calls.Load(); calls != 2 {
			t.Errorf("%d calls for two names", calls)
		}
	})
}

func TestWhoPanicsWhileAskingLeavesNobodyWaiting(t *testing.T) {
	t.Parallel()
	var c cache[int]
	get := func(ask func() (int, error)) (int, error) {
		return c.get(t.Context(), "name", time.Now, time.Minute, ask)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = get(func() (int, error) { panic("x") })
	}()
	if n, err := get(func() (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestAnErrorIsToldToWhoWaitsAndNotKept(t *testing.T) {
	t.Parallel()
	asking(t, func(t *testing.T, l *Launcher, r *registry) {
		r.fail.Store(true)
		var callers sync.WaitGroup
		var failed atomic.Int32
		for range 10 {
			callers.Go(func() {
				if _, err := l.TaskDefinition(t.Context(), "job:1"); err != nil {
					failed.Add(1)
				}
			})
		}
		callers.Wait()
		r.fail.Store(false)
		got := revision(t, l, "job:1")
		if calls := r.calls.Load(); failed.Load() != 10 || got != 1 || calls != 2 {
			t.Errorf("%d errors, then revision %d, after %d calls; want 10, 1 and 2", failed.Load(), got, calls)
		}
	})
}

// TestACallerThatGivesUpDoesNotTakeTheOthersWithIt has the one that asks give up while another waits for its answer.
func TestACallerThatGivesUpDoesNotTakeTheOthersWithIt(t *testing.T) {
	t.Parallel()
	asking(t, func(t *testing.T, l *Launcher, _ *registry) {
		short, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		var callers sync.WaitGroup
		defer callers.Wait()
		callers.Go(func() {
			if _, err := l.TaskDefinition(short, "job"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who gave up got %v", err)
			}
		})
		synctest.Wait()
		if got := revision(t, l, "job"); got != 1 {
			t.Errorf("who waited got revision %d", got)
		}
	})
}

func TestOnlySoManyTaskDefinitionsAreKept(t *testing.T) {
	t.Parallel()
	asking(t, func(t *testing.T, l *Launcher, r *registry) {
		for i := range 2 * keptMax {
			revision(t, l, fmt.Sprintf("job:%d", i))
			time.Sleep(time.Millisecond)
		}
		before := r.calls.Load()
		revision(t, l, fmt.Sprintf("job:%d", 2*keptMax-1))
		revision(t, l, "job:0")
		if kept, calls := len(l.definitions.byName), r.calls.Load()-before; kept != keptMax || calls != 1 {
			t.Errorf("%d are kept, the youngest and the oldest took %d calls; want %d and 1", kept, calls, keptMax)
		}
	})
}

func TestClusters(t *testing.T) {
	t.Parallel()
	ask := func(status int, text string) (ClusterInfo, error) {
		w := &wire{answer: always(status, text)}
		return DescribeCluster(t.Context(), aws.Config{Region: "us-east-1", HTTPClient: w, Credentials: someCredentials}, "batch")
	}
	got, err := ask(200, `{"clusters":[{"clusterName":"batch","status":"ACTIVE","capacityProviders":["FARGATE","FARGATE_SPOT"],
		"runningTasksCount":3,"pendingTasksCount":1}],"failures":[]}`)
	if err != nil || got.Status != "ACTIVE" || len(got.CapacityProviders) != 2 || got.RunningTasks != 3 || got.PendingTasks != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ask(200, `{"clusters":[],"failures":[{"arn":"arn:x","reason":"MISSING"}]}`); !errors.Is(err, ErrNoCluster) {
		t.Errorf("error %v, want ErrNoCluster", err)
	}
	if _, err := ask(400, `{"__type":"AccessDeniedException","message":"no"}`); err == nil || errors.Is(err, ErrNoCluster) {
		t.Errorf("error %v; access denied says nothing of the cluster", err)
	}
}

// TestErrorsOfTheOtherOperations has what ECS may say to each call beside RunTask: none of it may pass for "it is not there".
func TestErrorsOfTheOtherOperations(t *testing.T) {
	t.Parallel()
	for _, failure := range []string{
		`{"__type":"ThrottlingException","message":"Rate exceeded"}`,
		`{"__type":"ClientException","message":"Too many concurrent attempts to describe"}`,
		`{"__type":"AccessDeniedException","message":"User is not authorized to perform the action"}`,
		`{"__type":"ClusterNotFoundException","message":"Cluster not found."}`,
		`{"__type":"InvalidParameterException","message":"Cluster not found."}`,
		`{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`,
		`{"__type":"RequestAbortedException","message":"aborted"}`,
	} {
		for operation, call := range map[string]func(*Launcher) error{
			"StopTask": func(l *Launcher) error { return l.Stop(t.Context(), "arn/1", "r") },
			"DescribeTasks": func(l *Launcher) error {
				_, _, err := l.Describe(t.Context(), []string{"arn/1"})
				return err
			},
			"ListTasks": func(l *Launcher) error {
				_, err := l.Find(t.Context(), "spotbatch/job-1/1", "job:7")
				return err
			},
			"DescribeTaskDefinition": func(l *Launcher) error {
				_, err := l.TaskDefinition(t.Context(), "job")
				if errors.Is(err, spot.ErrNoTaskDefinition) {
					t.Errorf("%s: taken for the request's fault", failure)
				}
				return err
			},
		} {
			l, _ := launcher(always(400, failure))
			if err := call(l); err == nil {
				t.Errorf("%s: %s is taken for success", operation, failure)
			}
		}
	}
}
