package lambdatest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

// AWS is a stand-in for the services that the functions call, as little as they need: single items of DynamoDB, one task
// definition of ECS and tasks that nobody runs, and queues and a bus that take everything. An http.Handler for all of them:
// AWS_ENDPOINT_URL. What it does not know it refuses.
type AWS struct {
	mu      sync.Mutex
	items   map[string]map[string]attribute
	calls   []Call
	refused map[string]string // by operation, the error's type
}

// Call is one request.
type Call struct{ Operation, Body string }

// attribute is a value of DynamoDB's, by its type.
type attribute map[string]any

// NewAWS makes an AWS without items.
func NewAWS() *AWS {
	return &AWS{items: map[string]map[string]attribute{}, refused: map[string]string{}}
}

// Settings is the environment of a function that belongs to runner "spotbatch" and calls what is at endpoint.
func Settings(endpoint string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "SPOTBATCH_RUNNER": "spotbatch", "SPOTBATCH_TABLE": "jobs", "SPOTBATCH_CLUSTER": "spotbatch",
		"SPOTBATCH_SUBNETS": "subnet-1,subnet-2", "SPOTBATCH_SECURITY_GROUPS": "sg-1", "SPOTBATCH_ASSIGN_PUBLIC_IP": "true",
		"SPOTBATCH_ALLOWED_FAMILIES": "spotbatch-example", "SPOTBATCH_REJECTED_QUEUE_URL": endpoint + "/123456789012/rejected",
		"SPOTBATCH_EVENTS_QUEUE_URL": endpoint + "/123456789012/events", "SPOTBATCH_JOBS_QUEUE_URL": endpoint + "/123456789012/jobs", "SPOTBATCH_EVENT_BUS": "default",
		"SPOTBATCH_LAUNCHES_PER_SECOND": "1000",
	}
}

// TaskARN is the task that RunTask answers for a startedBy.
func TaskARN(startedBy string) string {
	return "arn:aws:ecs:us-east-1:123456789012:task/spotbatch/" + md5sum(startedBy)
}

func md5sum(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// Calls are the requests that came since the beginning, or since Forget.
func (a *AWS) Calls() []Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]Call(nil), a.calls...)
}

// Refuse answers every call of an operation with an error from now on.
func (a *AWS) Refuse(operation, errorType string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused[operation] = errorType
}

// Forget drops items and calls.
func (a *AWS) Forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.items)
	a.calls = nil
}

// ServeHTTP answers one request in the AWS JSON protocol, which all these services speak.
// https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, Call{operation, string(body)})
	answer := a.answer(operation, body)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if answer["__type"] != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// request is what of the requests is looked at.
type request struct {
	Key, Item                 map[string]attribute
	ConditionExpression       string
	ExpressionAttributeValues map[string]attribute
	StartedBy, MessageBody    string
	Tasks                     []string
}

func (a *AWS) answer(operation string, body []byte) map[string]any {
	if a.refused[operation] != "" {
		return refusal(a.refused[operation])
	}
	var in request
	if err := json.Unmarshal(body, &in); err != nil {
		return refusal("SerializationException")
	}
	switch operation {
	case "GetItem":
		if item := a.items[key(in.Key)]; item != nil {
			return map[string]any{"Item": item}
		}
		return map[string]any{}
	case "PutItem":
		return a.put(in)
	case "Query":
		return map[string]any{"Items": []any{}, "Count": 0, "ScannedCount": 0}
	case "DescribeTaskDefinition":
		return map[string]any{"taskDefinition": taskDefinition()}
	case "RunTask":
		return map[string]any{"tasks": []any{map[string]any{"taskArn": TaskARN(in.StartedBy), "lastStatus": "PROVISIONING"}}}
	case "StopTask":
		return map[string]any{"task": map[string]any{}}
	case "ListTasks":
		return map[string]any{"taskArns": []any{}}
	case "DescribeTasks":
		missing := []any{}
		for _, arn := range in.Tasks {
			missing = append(missing, map[string]any{"arn": arn, "reason": "MISSING"})
		}
		return map[string]any{"tasks": []any{}, "failures": missing}
	case "SendMessage":
		return map[string]any{"MessageId": newID(), "MD5OfMessageBody": md5sum(in.MessageBody)}
	case "PutEvents":
		return map[string]any{"FailedEntryCount": 0, "Entries": []any{map[string]any{"EventId": newID()}}}
	}
	return refusal("UnknownOperationException")
}

func refusal(kind string) map[string]any {
	return map[string]any{"__type": kind, "message": "The stand-in for AWS refuses this."}
}

func key(item map[string]attribute) string {
	id, _ := item["id"]["S"].(string)
	return id
}

// put writes an item on one of the two conditions that pkg/jobs/dynamo makes: there is none, or it has a version.
func (a *AWS) put(in request) map[string]any {
	stored := a.items[key(in.Item)]
	holds := false
	switch {
	case strings.HasPrefix(in.ConditionExpression, "attribute_not_exists(id)"):
		holds = stored == nil
	case strings.HasPrefix(in.ConditionExpression, "version = :was"):
		holds = stored != nil && stored["version"]["N"] == in.ExpressionAttributeValues[":was"]["N"]
	default:
		return refusal("ValidationException")
	}
	if !holds {
		refused := refusal("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException")
		if stored != nil {
			refused["Item"] = stored
		}
		return refused
	}
	a.items[key(in.Item)] = in.Item
	return map[string]any{}
}

func taskDefinition() map[string]any {
	return map[string]any{
		"taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/spotbatch-example:1",
		"family":            "spotbatch-example", "revision": 1, "status": "ACTIVE",
		"requiresCompatibilities": []string{"FARGATE"}, "cpu": "1024", "memory": "2048",
		"containerDefinitions": []any{map[string]any{
			"name": "main", "essential": true, "image": "example:1",
			"logConfiguration": map[string]any{
				"logDriver": "awslogs",
				"options":   map[string]any{"awslogs-group": "/spotbatch/example", "awslogs-stream-prefix": "job"},
			},
		}},
	}
}
