package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// listener is a function, or a queue, that events are posted to. It refuses as it is told to, and keeps what it took.
type listener struct {
	*httptest.Server
	refuse func(nth int, w http.ResponseWriter) bool // refuses the nth request, from 1

	mu       sync.Mutex
	requests int
	taken    map[string][]string // by startedBy: the states, in order
	running  int                 // invocations at once
	changed  chan struct{}       // holds a token when something was taken
}

func listen(t *testing.T, refuse func(int, http.ResponseWriter) bool) *listener {
	l := &listener{refuse: refuse, taken: map[string][]string{}, changed: make(chan struct{}, 1)}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.running++
	l.requests++
	nth, busy := l.requests, l.running > 1
	l.mu.Unlock()
	defer func() { l.mu.Lock(); l.running--; l.mu.Unlock() }()
	task, err := l.read(r)
	if err != nil || busy {
		http.Error(w, fmt.Sprint("busy or bad: ", err), http.StatusBadRequest)
		return
	}
	if l.refuse != nil && l.refuse(nth, w) {
		return
	}
	l.mu.Lock()
	l.taken[task.StartedBy] = append(l.taken[task.StartedBy], task.LastStatus)
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	_, _ = io.WriteString(w, `{"batchItemFailures":[]}`)
}

// read finds the task in what was posted.
func (l *listener) read(r *http.Request) (spot.Task, error) {
	var batch events.SQSEvent
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil || len(batch.Records) != 1 || batch.Records[0].MessageId == "" {
		return spot.Task{}, fmt.Errorf("no batch of one: %w", err)
	}
	return taskOf(fargate.Event{Body: []byte(batch.Records[0].Body)})
}

// await waits until something was taken, or for the test to end.
func (l *listener) await(ctx context.Context, done func(taken map[string][]string) bool) error {
	for {
		l.mu.Lock()
		ready := done(l.taken)
		l.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-l.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *listener) function() string { return l.URL + "/2015-03-31/functions/function/invocations" }

// poster is the Poster for a URL that needs no AWS configuration.
func poster(t *testing.T, to string) Poster {
	t.Helper()
	p, err := NewPoster(to, func() (aws.Config, error) { return aws.Config{}, errors.New("no configuration is needed") })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stopped(taken map[string][]string, tasks ...string) bool {
	for _, task := range tasks {
		states := taken[task]
		if len(states) == 0 || states[len(states)-1] != "STOPPED" {
			return false
		}
	}
	return true
}

// TestOthersEventsArePostedInOrderUntilTheyAreTaken has a function that fails in every way before it takes anything.
func TestOthersEventsArePostedInOrderUntilTheyAreTaken(t *testing.T) {
	t.Parallel()
	l := listen(t, func(nth int, w http.ResponseWriter) bool {
		switch nth {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2:
			_, _ = io.WriteString(w, `{"errorMessage":"secret","errorType":"x"}`)
		case 3:
			_, _ = io.WriteString(w, `{"batchItemFailures":[{"itemIdentifier":"x"}]}`)
		case 4:
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = io.WriteString(w, `null`)
		case 5:
			_, _ = io.WriteString(w, `<html>`)
		}
		return nth <= 5
	})
	s := up(t, listening, func(o *Options) { o.EventsTo = poster(t, l.function()) })
	launch(t, s, "a", "true")
	launch(t, s, "b", "true")
	own := submit(t, s, request("own", "true", ""))
	if err := l.await(t.Context(), func(taken map[string][]string) bool { return stopped(taken, "other/a/1", "other/b/1") }); err != nil {
		t.Fatal(err)
	}
	wait(t, s, own.JobID, "succeeded", func(j *jobs.Job) bool { return j.Status == jobs.StatusSucceeded })
	want := map[string][]string{"other/a/1": {"RUNNING", "STOPPED"}, "other/b/1": {"RUNNING", "STOPPED"}}
	l.mu.Lock()
	defer l.mu.Unlock()
	if diff := cmp.Diff(want, l.taken); diff != "" { // the engine's own are not posted
		t.Error(diff)
	}
}

// TestEventsThatWereNotTakenArePostedByTheNextEngine ends the system while the function is down.
func TestEventsThatWereNotTakenArePostedByTheNextEngine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	tried := make(chan struct{})
	once := sync.OnceFunc(func() { close(tried) })
	down := listen(t, func(_ int, w http.ResponseWriter) bool {
		once()
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	t.Run("down", func(t *testing.T) {
		s := up(t, listening, func(o *Options) { o.DataDir, o.EventsTo = dir, poster(t, down.function()) })
		launch(t, s, "a", "true")
		<-tried
	})
	working := listen(t, nil)
	t.Run("working", func(t *testing.T) {
		up(t, func(o *Options) { o.DataDir, o.EventsTo = dir, poster(t, working.function()) })
		if err := working.await(t.Context(), func(taken map[string][]string) bool { return stopped(taken, "other/a/1") }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEventsAreSentToAQueue(t *testing.T) {
	t.Parallel()
	var got []map[string]any
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("X-Amz-Target") != "AmazonSQS.SendMessage" {
			t.Errorf("%s, %v", r.Header.Get("X-Amz-Target"), err)
		}
		got = append(got, body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"MessageId":"1","__type":"com.amazonaws.sqs#QueueDoesNotExist"}`)
	}))
	t.Cleanup(server.Close)
	url := server.URL + "/000000000000/events"
	p, err := NewPoster(url, func() (aws.Config, error) {
		return aws.Config{Credentials: aws.AnonymousCredentials{}, BaseEndpoint: aws.String("http://nowhere.invalid")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Post(t.Context(), fargate.Event{ID: 7, Body: []byte(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]any{{"QueueUrl": url, "MessageBody": `{"a":1}`}}, got); diff != "" {
		t.Error(diff)
	}
	status = http.StatusBadRequest
	if err := p.Post(t.Context(), fargate.Event{Body: []byte(`{}`)}); err == nil {
		t.Error("a queue that is not there takes events")
	}
}

func TestURLsThatEventsCannotGoTo(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"":                                         "must be the http or https URL",
		"127.0.0.1:9001":                           "must be the http or https URL",
		"ftp://host/000000000000/events":           "must be the http or https URL",
		"http://user:secret@host/1/events":         "must be the http or https URL",
		"http://host":                              "must end in",
		"http://host/2015-03-31/functions/x":       "must end in",
		"http://host/000000000000/events.fifo":     "FIFO",
		"https://sqs.eu-west-1.amazonaws.com/1/ev": "AWS configuration: none",
	} {
		_, err := NewPoster(to, func() (aws.Config, error) { return aws.Config{}, errors.New("none") })
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", to, err, want)
		}
	}
	for host, want := range map[string]string{"sqs.eu-west-1.amazonaws.com": "eu-west-1", "localhost": "us-east-1", "127.0.0.1": "us-east-1"} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// TestABatchOfOneLooksLikeTheOnesThatFunctionsAreTestedWith compares its members with a payload of events/.
func TestABatchOfOneLooksLikeTheOnesThatFunctionsAreTestedWith(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../events/watch/sqs-wrapped.json")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := json.Marshal(batchOf(fargate.Event{ID: 1, Body: []byte(`{}`)}))
	if err != nil {
		t.Fatal(err)
	}
	var want, got struct{ Records []map[string]any }
	if err := errors.Join(json.Unmarshal(text, &want), json.Unmarshal(ours, &got)); err != nil {
		t.Fatal(err)
	}
	for member := range want.Records[0] {
		if _, has := got.Records[0][member]; !has {
			t.Errorf("%s is missing", member)
		}
	}
}
