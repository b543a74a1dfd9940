package aws

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// service is a stand-in for SQS and EventBridge that keeps what it was sent.
type service struct {
	mu     sync.Mutex
	target string
	body   map[string]any
	status int
	answer string // instead of a success
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	s.target, s.body = r.Header.Get("X-Amz-Target"), nil
	_ = json.Unmarshal(raw, &s.body)
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	if s.answer != "" {
		_, _ = io.WriteString(w, s.answer)
		return
	}
	message, _ := s.body["MessageBody"].(string)
	sum := md5.Sum([]byte(message)) // the SDK compares it
	_ = json.NewEncoder(w).Encode(map[string]any{"MessageId": "m-1", "MD5OfMessageBody": hex.EncodeToString(sum[:])})
}

// serve starts the service and returns the configuration with which the clients reach it.
func serve(t *testing.T) (*service, aws.Config) {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	config, err := LambdaConfig(lambdaEnvironment("AWS_ENDPOINT_URL_SQS", server.URL, "AWS_ENDPOINT_URL_EVENTBRIDGE", server.URL))
	if err != nil {
		t.Fatal(err)
	}
	config.RetryMaxAttempts = 1
	config.HTTPClient = server.Client()
	return s, config
}

func lambdaEnvironment(more ...string) func(string) string {
	values := map[string]string{"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}
	for i := 0; i < len(more); i += 2 {
		values[more[i]] = more[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestAWakeUpIsDelayedUntilItsTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		in   time.Duration
		want any
	}{
		"rounded up, because too early is for nothing": {10*time.Second + time.Millisecond, 11.0},
		"at once what is past":                         {-time.Minute, nil}, // 0 is SQS's default
		"at most as long as SQS delays":                {time.Hour, 900.0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := serve(t)
			waker := NewWaker(config, "https://sqs/events", "", func() time.Time { return now })
			if err := waker.WakeAt(t.Context(), "job-1", now.Add(c.in)); err != nil {
				t.Fatal(err)
			}
			got := s.body["DelaySeconds"]
			if got == 0.0 {
				got = nil
			}
			if s.target != "AmazonSQS.SendMessage" || s.body["MessageBody"] != `{"wake":"job-1"}` || s.body["QueueUrl"] != "https://sqs/events" || got != c.want {
				t.Errorf("%s %v, want a delay of %v", s.target, s.body, c.want)
			}
		})
	}
}

func TestWakeUpsGoToBothFunctionsInTurn(t *testing.T) {
	t.Parallel()
	s, config := serve(t)
	waker := NewWaker(config, "https://sqs/events", "https://sqs/jobs", time.Now)
	got := map[any]int{}
	for range 10 {
		if err := waker.WakeAt(t.Context(), "job-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		got[s.body["QueueUrl"]]++
	}
	if got["https://sqs/events"] != 5 || got["https://sqs/jobs"] != 5 {
		t.Errorf("10 wake-ups went to %v", got)
	}
}

func TestASweepGoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	s, config := serve(t)
	waker := NewWaker(config, "https://sqs/events", "https://sqs/jobs", time.Now)
	if err := waker.WakeAt(t.Context(), "job-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := waker.SweepFrom(t.Context(), "3:abc"); err != nil {
		t.Fatal(err)
	}
	if s.body["MessageBody"] != `{"cursor":"3:abc","sweep":true}` || s.body["QueueUrl"] != "https://sqs/events" {
		t.Errorf("sent %v", s.body)
	}
}

func TestWhatIsRejectedIsKeptWithItsReason(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, reason, wantBody, wantReason string }{
		"as it came":                     {`{"jobName":1}`, "jobName: must be a string", `{"jobName":1}`, "jobName: must be a string"},
		"an empty body":                  {"", "request: is empty", "(empty)", "request: is empty"},
		"characters that SQS refuses":    {"a\x00b\uffffc\td", "r\x01", "a\ufffdb\ufffdc\td", "r\ufffd"},
		"a body as large as a message":   {strings.Repeat("x", 1<<20), "r", strings.Repeat("x", bodyMax), "r"},
		"a reason that is far too long":  {"{}", strings.Repeat("ä", 3000), "{}", strings.Repeat("ä", reasonMax/2)},
		"a reason cut within a rune":     {"{}", "x" + strings.Repeat("ä", 3000), "{}", "x" + strings.Repeat("ä", reasonMax/2-1)},
		"bytes that are not of any text": {"\xff{}", "request: no JSON", "\ufffd{}", "request: no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, config := serve(t)
			queue := RejectedQueue{NewQueue(config, "https://sqs/rejected")}
			if err := queue.SendRejected(t.Context(), []byte(c.body), c.reason); err != nil {
				t.Fatal(err)
			}
			attribute, _ := json.Marshal(s.body["MessageAttributes"])
			want, _ := json.Marshal(map[string]any{"Reason": map[string]any{"DataType": "String", "StringValue": c.wantReason}})
			if s.body["MessageBody"] != c.wantBody || string(attribute) != string(want) {
				t.Errorf("sent %q with %s", s.body["MessageBody"], attribute)
			}
		})
	}
}

func TestAMessageThatIsNotTakenIsAnError(t *testing.T) {
	t.Parallel()
	s, config := serve(t)
	s.status, s.answer = 400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}`
	if _, err := NewQueue(config, "https://sqs/x").Send(t.Context(), "{}"); err == nil || !strings.Contains(err.Error(), "QueueDoesNotExist") {
		t.Errorf("Send = %v", err)
	}
	if err := (RejectedQueue{NewQueue(config, "https://sqs/x")}).SendRejected(t.Context(), nil, "why"); err == nil {
		t.Error("a rejection that was not kept was acknowledged")
	}
}

func TestAJobIsPublishedWithoutItsEnvironment(t *testing.T) {
	t.Parallel()
	s, config := serve(t)
	s.answer = `{"FailedEntryCount":0,"Entries":[{"EventId":"e-1"}]}`
	request := &jobs.Request{JobName: "report"}
	request.ContainerOverrides.Environment = []jobs.EnvVar{{Name: "TOKEN", Value: "hunter2"}}
	document := (&jobs.Job{JobID: "job-1", Status: jobs.StatusSucceeded, Request: request}).Document(false)
	if err := NewBus(config, "jobs-bus").Publish(t.Context(), document); err != nil {
		t.Fatal(err)
	}
	entry, _ := json.Marshal(s.body["Entries"])
	for _, want := range []string{`"Source":"spotbatch"`, `"DetailType":"Spotbatch Job State Change"`, `"EventBusName":"jobs-bus"`, `\"jobId\":\"job-1\"`} {
		if !strings.Contains(string(entry), want) {
			t.Errorf("%s is missing from %s", want, entry)
		}
	}
	if s.target != "AWSEvents.PutEvents" || strings.Contains(string(entry), "hunter2") {
		t.Errorf("%s %s", s.target, entry)
	}
}

func TestAnEventThatIsRefusedWithStatus200IsAnError(t *testing.T) {
	t.Parallel()
	s, config := serve(t)
	s.answer = `{"FailedEntryCount":1,"Entries":[{"ErrorCode":"ThrottlingException","ErrorMessage":"slow down"}]}`
	err := NewBus(config, "default").Publish(t.Context(), &jobs.Job{JobID: "job-1"})
	if err == nil || !strings.Contains(err.Error(), "ThrottlingException: slow down") {
		t.Errorf("Publish = %v", err)
	}
}

func TestTheConfigurationOfALambdaFunction(t *testing.T) {
	t.Parallel()
	config, err := LambdaConfig(lambdaEnvironment("AWS_ENDPOINT_URL", "http://all", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://logs"))
	if err != nil {
		t.Fatal(err)
	}
	credentials, err := config.Credentials.Retrieve(t.Context())
	if err != nil || credentials.AccessKeyID != "AKIA" || credentials.SessionToken != "t" || config.Region != "us-east-1" || *config.BaseEndpoint != "http://all" {
		t.Errorf("%+v, %+v, %v", config, credentials, err)
	}
	of := config.ConfigSources[0].(endpoints)
	if url, found, err := of.GetServiceBaseEndpoint(t.Context(), "CloudWatch Logs"); url != "http://logs" || !found || err != nil {
		t.Errorf("endpoint of CloudWatch Logs: %q, %v, %v", url, found, err)
	}
	if url, found, err := of.GetServiceBaseEndpoint(t.Context(), "ECS"); url != "" || found || err != nil {
		t.Errorf("endpoint of ECS: %q, %v, %v", url, found, err)
	}
	if _, err := LambdaConfig(func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY") {
		t.Errorf("without any variable: %v", err)
	}
}
