package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/fargate/process"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.Verb {
		os.Exit(process.Supervise(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// epoch is when everything in the tests begins.
var epoch = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

// fakeMachine keeps jobs in memory and moves them as a test says.
type fakeMachine struct {
	mu       sync.Mutex
	order    []string
	jobs     map[string]*jobs.Job
	logs     map[string]string // by job/attempt
	watchers []chan struct{}
	number   int
	idle     bool
	now      func() time.Time
	// accepted is called with each job that was submitted, after it was stored.
	accepted func(*fakeMachine, *jobs.Job)
	// refuse makes Submit fail for requests with this name, once refusing has returned.
	refuse   string
	refusing func()
	up       func(ctx context.Context, ready func(local.Status)) error
}

var _ machine = (*fakeMachine)(nil)

func newFake() *fakeMachine {
	return &fakeMachine{jobs: map[string]*jobs.Job{}, logs: map[string]string{}, now: func() time.Time { return epoch }}
}

// put stores a job as it is.
func (m *fakeMachine) put(list ...*jobs.Job) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range list {
		if _, known := m.jobs[j.JobID]; !known {
			m.order = append(m.order, j.JobID)
		}
		m.jobs[j.JobID] = j.Clone()
	}
	m.changed()
}

// move changes a job as the engine would: on a copy, with the next version.
func (m *fakeMachine) move(id string, change func(*jobs.Job)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[id].Clone()
	change(j)
	j.Version++
	m.jobs[id] = j
	m.changed()
}

func (m *fakeMachine) changed() {
	for _, w := range m.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (m *fakeMachine) Submit(_ context.Context, s engine.Submission) (*jobs.Job, error) {
	request, err := jobs.ParseRequest(s.Body)
	if err != nil {
		return nil, err
	}
	if m.refuse != "" && request.JobName == m.refuse {
		if m.refusing != nil {
			m.refusing()
		}
		return nil, errors.New("the store is gone")
	}
	return m.accept(s.JobID, request, ""), nil
}

func (m *fakeMachine) accept(id string, request jobs.Request, retryOf string) *jobs.Job {
	m.mu.Lock()
	if id == "" {
		m.number++
		id = fmt.Sprintf("job-%d", m.number)
	}
	m.mu.Unlock()
	request.ContainerOverrides.Name = "main"
	j := jobs.Accepted(jobs.Acceptance{JobID: id, Request: request, RetryOf: retryOf, Container: "main"}, m.now())
	j.Version = 1
	m.put(j)
	if m.accepted != nil {
		m.accepted(m, j)
	}
	return j
}

func (m *fakeMachine) Retry(ctx context.Context, id string) (*jobs.Job, error) {
	old, err := m.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("retry job %s: %w", id, err)
	}
	if !old.Ended() {
		return nil, fmt.Errorf("retry job %s: %w", id, engine.ErrLive)
	}
	return m.accept("", *old.Request, id), nil
}

func (m *fakeMachine) Cancel(ctx context.Context, id, reason string) (*jobs.Job, error) {
	j, err := m.Get(ctx, id)
	if err != nil || j.Ended() {
		return j, err
	}
	m.move(id, func(j *jobs.Job) {
		j.RequestCancel(reason, m.now())
		if j.Live() == nil {
			j.End(jobs.StatusCancelled, jobs.CauseCancelled, "Cancelled: "+reason, m.now())
		}
	})
	return m.Get(ctx, id)
}

func (m *fakeMachine) Get(_ context.Context, id string) (*jobs.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if j, ok := m.jobs[id]; ok {
		return j.Clone(), nil
	}
	return nil, jobs.ErrNotFound
}

func (m *fakeMachine) List(_ context.Context, q jobs.Query) (jobs.Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var page jobs.Page
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	passed := q.Cursor == ""
	for i := len(m.order) - 1; i >= 0; i-- {
		j := m.jobs[m.order[i]]
		switch {
		case !passed:
			passed = q.Cursor == j.JobID
		case q.Status != "" && j.Status != q.Status, q.Name != "" && j.JobName != q.Name, j.CreatedAt.Before(q.Since):
		case len(page.Jobs) == limit:
			page.Next = page.Jobs[limit-1].JobID
			return page, nil
		default:
			page.Jobs = append(page.Jobs, j.Clone())
		}
	}
	return page, nil
}

func (m *fakeMachine) Watch(context.Context) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := make(chan struct{}, 1)
	m.watchers = append(m.watchers, w)
	return w
}

// fakeLog reads on what is written later.
type fakeLog struct {
	m    *fakeMachine
	key  string
	read int
}

func (l *fakeLog) Read(p []byte) (int, error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	n := copy(p, l.m.logs[l.key][l.read:])
	if l.read += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (l *fakeLog) Close() error { return nil }

func (m *fakeMachine) Log(_ context.Context, j *jobs.Job, a *jobs.Attempt) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprintf("%s/%d", j.JobID, a.Number)
	if _, ok := m.logs[key]; !ok {
		return nil, fs.ErrNotExist
	}
	return &fakeLog{m: m, key: key}, nil
}

func (m *fakeMachine) write(id string, attempt int, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logs[fmt.Sprintf("%s/%d", id, attempt)] += text
}

func (m *fakeMachine) Size(context.Context, *jobs.Job) (spot.Size, error) {
	return spot.Size{CPU: 1024, MemoryMiB: 2048}, nil
}

func (m *fakeMachine) Close() error { return nil }

func (m *fakeMachine) manners() manners { return localManners() }

func (m *fakeMachine) Up(ctx context.Context, ready func(local.Status)) error {
	if m.up != nil {
		return m.up(ctx, ready)
	}
	ready(local.Status{Executor: "processes", TaskDefinitions: []string{"work:1"}, Running: 1})
	<-ctx.Done()
	return nil
}

func (m *fakeMachine) Interrupt(ctx context.Context, id string) error {
	_, err := m.Get(ctx, id)
	return err
}

func (m *fakeMachine) Running() bool { return !m.idle }

// shell is a command line in a test, and what it printed.
type shell struct {
	cli            *cli
	machine        *fakeMachine
	stdout, stderr bytes.Buffer
}

func newShell(m *fakeMachine) *shell {
	s := &shell{machine: m}
	s.cli = newCLI(strings.NewReader(""), &s.stdout, &s.stderr)
	s.cli.getenv = func(name string) string { return map[string]string{"SPOTBATCH_LOCAL": "1", "TERM": "xterm"}[name] }
	s.cli.now = m.now
	s.cli.zone = time.UTC
	s.cli.window = func(any) (int, int, bool) { return 0, 0, false }
	s.cli.open = func(context.Context, local.Options, bool) (machine, error) { return m, nil }
	s.cli.loadAWS = func(context.Context, string, string) (aws.Config, error) {
		return aws.Config{}, errors.New("no AWS in this test")
	}
	s.cli.pace = 0
	s.cli.root() // the flags, none of which is given
	return s
}

// terminal makes both streams a terminal.
func (s *shell) terminal(width, height int) {
	s.cli.window = func(stream any) (int, int, bool) { return width, height, stream != s.cli.stdin }
}

// run runs a command line with standard input, and returns all that came of it.
func (s *shell) run(ctx context.Context, stdin string, args ...string) result {
	s.cli.stdin = strings.NewReader(stdin)
	code := s.cli.execute(ctx, args)
	return result{code, s.stdout.String(), s.stderr.String()}
}

type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\n--- stdout\n%s--- stderr\n%s", r.code, r.stdout, r.stderr)
}

// request is a good request.
func requestOf(name string) jobs.Request {
	r, err := jobs.ParseRequest([]byte(`{"jobName":"` + name + `","taskDefinition":"work:3"}`))
	if err != nil {
		panic(err)
	}
	r.ContainerOverrides.Name = "main"
	return r
}

// newJob is an accepted job.
func newJob(id string) *jobs.Job {
	j := jobs.Accepted(jobs.Acceptance{JobID: id, Request: requestOf("nightly"), Container: "main", LogGroup: "/jobs", LogStreamPrefix: "run"}, epoch)
	j.Version = 1
	return j
}

// ran is a job's next attempt from launch to its end, beginning at a second after epoch.
func ran(j *jobs.Job, provider jobs.CapacityProvider, second, seconds int, end jobs.AttemptEnd) {
	start := epoch.Add(time.Duration(second) * time.Second)
	begin(j, provider, start)
	j.TaskRunning(start.Add(10 * time.Second))
	end.StoppedAt = start.Add(time.Duration(10+seconds) * time.Second)
	j.StopAttempt(end)
	j.Version += 2
}

// begin is a job's next attempt, until it has a task.
func begin(j *jobs.Job, provider jobs.CapacityProvider, at time.Time) {
	j.BeginAttempt(provider, at)
	j.TaskCreated(fmt.Sprintf("arn:aws:ecs:eu-west-1:123456789012:task/jobs/%s-%d", j.JobID, j.Last().Number))
	j.Version++
}

func exitCode(n int) *int { return &n }

const good = `{"jobName":"nightly","taskDefinition":"work"}`

// withID is a good request with a job id.
func withID(id string) string {
	return `{"jobName":"nightly","jobId":"` + id + `","taskDefinition":"work"}`
}

// succeed runs a job to a good end at once.
func succeed(m *fakeMachine, j *jobs.Job) { finish(m, j.JobID, jobs.CauseSucceeded, 0) }

// finish runs a job to an end at once.
func finish(m *fakeMachine, id string, cause jobs.Cause, code int) {
	m.move(id, func(j *jobs.Job) {
		j.BeginAttempt(jobs.FargateSpot, m.now())
		j.TaskCreated("arn:aws:ecs:local:000000000000:task/local/" + id)
		j.TaskRunning(m.now())
		j.StopAttempt(jobs.AttemptEnd{Cause: cause, ExitCode: exitCode(code), StoppedAt: m.now().Add(5 * time.Second)})
		status := jobs.StatusFailed
		switch cause {
		case jobs.CauseSucceeded:
			status = jobs.StatusSucceeded
		case jobs.CauseCancelled:
			status = jobs.StatusCancelled
		default:
		}
		j.End(status, cause, fmt.Sprintf("Attempt 1 ended as %s.", cause), m.now().Add(5*time.Second))
	})
}
