package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// listening has a system answer ECS's API on a port of its own.
func listening(o *Options) { o.ECSListen = "127.0.0.1:0" }

// launcherOf is the launcher of another deployment that has the system's ECS for its cluster.
func launcherOf(s *testSystem) *ecs.Launcher {
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &s.endpoint, Credentials: aws.AnonymousCredentials{}}
	return ecs.NewFromConfig(cfg, ecs.Config{Cluster: "local", Subnets: []string{"subnet-1"}}, time.Now)
}

// launch starts a task of a job of another runner.
func launch(t *testing.T, s *testSystem, job, script string) string {
	t.Helper()
	answer := launcherOf(s).Run(t.Context(), spot.Launch{
		TaskDefinition: "sh", Container: "main", Command: []string{script}, CapacityProvider: jobs.FargateSpot,
		StartedBy: "other/" + job + "/1", ClientToken: job,
	})
	if answer.Kind != spot.AnswerTask {
		t.Fatalf("%+v", answer)
	}
	return answer.TaskARN
}

func TestATaskStartedOverHTTPRunsBesideTheEnginesJobs(t *testing.T) {
	t.Parallel()
	s := up(t, listening)
	arn := launch(t, s, "job-1", "exit 7")
	j := submit(t, s, request("own", "true", ""))
	wait(t, s, j.JobID, "succeeded", func(j *jobs.Job) bool { return j.Status == jobs.StatusSucceeded })

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	changes := s.Watch(ctx)
	for {
		tasks, _, err := launcherOf(s).Describe(ctx, []string{arn})
		if err != nil || len(tasks) != 1 {
			t.Fatalf("%+v, %v", tasks, err)
		}
		if tasks[0].Stopped() {
			if code := tasks[0].Containers[0].ExitCode; code == nil || *code != 7 {
				t.Errorf("it stopped with %v: %s", code, tasks[0].StoppedReason)
			}
			return
		}
		<-changes
	}
}

// tryUp opens a system with options and returns what Up says; ready is called once it executes.
func tryUp(ctx context.Context, t *testing.T, ready func(Status), change func(*Options)) error {
	t.Helper()
	options := Options{DataDir: filepath.Join(t.TempDir(), "data"), Executor: "process", Log: slog.New(slog.DiscardHandler)}
	change(&options)
	s, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Up(ctx, ready)
	return errors.Join(err, s.Close())
}

func TestOnlyThisMachineIsListenedToUnlessAskedForTwice(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "[::]:0", "nonsense", "127.0.0.1:http-is-none"} {
		err := tryUp(t.Context(), t, func(Status) { t.Errorf("%s: it is up", address) }, func(o *Options) { o.ECSListen = address })
		if !errors.Is(err, ErrUsage) {
			t.Errorf("%s: %v, want a usage error", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := tryUp(ctx, t, func(Status) { cancel() }, func(o *Options) { o.ECSListen, o.ECSListenAnyone = ":0", true })
	if err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = tryUp(t.Context(), t, func(Status) { t.Error("it is up") }, func(o *Options) { o.ECSListen = taken.Addr().String() })
	if err == nil || errors.Is(err, ErrUsage) {
		t.Errorf("got %v", err)
	}
}

// TestARequestThatIsBeingAnsweredOutlivesTheEnd ends the system while a request's body is still to come.
func TestARequestThatIsBeingAnsweredOutlivesTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answered := make(chan string, 1)
	err := tryUp(ctx, t, func(status Status) {
		go func() { answered <- slowly(t, status.ECSEndpoint, cancel) }()
	}, listening)
	if got := <-answered; err != nil || got != "200 OK" {
		t.Errorf("answered %q, ended with %v", got, err)
	}
}

// slowly sends a request whose body follows once nobody is let in any more, and returns the answer's status.
func slowly(t *testing.T, endpoint string, end func()) string {
	body, send := io.Pipe()
	continued := func() { // the request is being handled
		end()
		for {
			connection, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				break
			}
			_ = connection.Close()
		}
		_, _ = send.Write([]byte(`{}`))
		_ = send.Close()
	}
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { go continued() }})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, body)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("Expect", "100-continue")
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.DescribeClusters")
	transport := &http.Transport{ExpectContinueTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	_ = response.Body.Close()
	return response.Status
}
