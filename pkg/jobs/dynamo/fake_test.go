package dynamo_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// fake is the little of DynamoDB that the store uses, in its own words: JSON 1.0, conditions, two indexes, pages, and what a
// write costs. It stands where the HTTP client would. What it does not know it refuses.
type fake struct {
	mu     sync.Mutex
	items  map[string]attributes
	ghosts []attributes   // what the indexes still show
	calls  map[string]int // how often each operation came
	// fault is asked at the n-th call of an operation, from 1, what goes wrong with it; "" = nothing. A fault that ends in
	// "after" loses the answer of a call that took effect.
	fault   func(operation string, n int) string
	pageMax int                   // entries that one page of a query looks at, as 1 MB would limit them; 0 = as asked
	readMax func(keys, n int) int // items that the n-th BatchGetItem reads; the rest is UnprocessedKeys; nil = all
}

type (
	attributes map[string]attribute
	attribute  struct {
		S *string `json:",omitempty"`
		N *string `json:",omitempty"`
		B []byte  `json:",omitempty"`
	}
)

func (a attribute) text() string { return aws.ToString(a.S) }

func (a attribute) number() int64 {
	n, _ := strconv.ParseInt(aws.ToString(a.N), 10, 64)
	return n
}

func (a attributes) has(name string) bool { _, ok := a[name]; return ok }

// fakeDynamo returns an empty table and the configuration that leads to it. Nothing waits between tries.
func fakeDynamo(t *testing.T) (*fake, aws.Config) {
	t.Helper()
	f := &fake{items: map[string]attributes{}, calls: map[string]int{}}
	cfg := config("http://dynamodb.test")
	cfg.HTTPClient = f
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.RateLimiter = 3, ratelimit.None
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	}
	return f, cfg
}

// call is all that the operations take.
type call struct {
	Item, Key, ExpressionAttributeValues, ExclusiveStartKey                  attributes
	ConditionExpression, KeyConditionExpression, FilterExpression, IndexName string
	ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure              string
	ScanIndexForward, ConsistentRead                                         bool
	Limit                                                                    int
	RequestItems                                                             map[string]struct{ Keys []attributes }
}

// Do answers one HTTP request.
func (f *fake) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.calls[operation]++
	fault := ""
	if f.fault != nil {
		fault = f.fault(operation, f.calls[operation])
	}
	if fault != "" && !strings.HasSuffix(fault, "after") {
		return reply(failure(fault, nil))
	}
	var c call
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return nil, err
	}
	status, answer := f.do(operation, c)
	if fault != "" {
		status, answer = failure("InternalServerError", nil)
	}
	return reply(status, answer)
}

func reply(status int, answer any) (*http.Response, error) {
	body, err := json.Marshal(answer)
	header := http.Header{"Content-Type": {"application/x-amz-json-1.0"}}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body))}, err
}

// failure is an exception as DynamoDB sends it.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func failure(name string, stored attributes) (int, any) {
	status := http.StatusBadRequest
	if name == "InternalServerError" {
		status = http.StatusInternalServerError
	}
	return status, struct {
		Type string     `json:"__type"`
		Text string     `json:"message"`
		Item attributes `json:",omitempty"`
	}{"com.amazonaws.dynamodb.v20120810#" + name, "so says the fake", stored}
}

func (f *fake) do(operation string, c call) (int, any) {
	switch operation {
	case "PutItem":
		return f.put(c)
	case "GetItem":
		if !c.ConsistentRead {
			return failure("TheStoreReadsConsistently", nil)
		}
		i := f.items[c.Key["id"].text()]
		return http.StatusOK, map[string]any{"Item": i, "ConsumedCapacity": units(i, 4096)}
	case "BatchGetItem":
		return f.batchGet(c)
	case "Query":
		return f.query(c)
	case "CreateTable", "UpdateTimeToLive":
		return http.StatusOK, map[string]any{}
	case "DescribeTable":
		return http.StatusOK, map[string]any{"Table": map[string]string{"TableStatus": "ACTIVE"}}
	}
	return failure("UnknownOperationException", nil)
}

func (f *fake) put(c call) (int, any) {
	id := c.Item["id"].text()
	stored := f.items[id]
	allowed, known := holds(c.ConditionExpression, stored, c.ExpressionAttributeValues)
	if !known || id == "" || size(c.Item) > 400<<10 {
		return failure("ValidationException", nil)
	}
	if !allowed && c.ReturnValuesOnConditionCheckFailure == "ALL_OLD" {
		return failure("ConditionalCheckFailedException", stored)
	}
	f.items[id] = c.Item
	larger := c.Item
	if size(stored) > size(larger) {
		larger = stored
	}
	indexes := map[string]capacity{}
	for _, x := range indexesOfTheTable() {
		if writes := x.writes(stored, c.Item); writes > 0 {
			indexes[x.name] = capacity{writes}
		}
	}
	return http.StatusOK, map[string]any{
		"ConsumedCapacity": map[string]any{"Table": units(larger, 1024), "GlobalSecondaryIndexes": indexes},
	}
}

type capacity struct{ CapacityUnits float64 }

// units is what an item costs, in units of so many bytes, begun ones too.
func units(i attributes, bytes int) capacity {
	return capacity{float64(max(1, (size(i)+bytes-1)/bytes))}
}

// holds tells whether a condition holds; those of the store are known by heart.
func holds(condition string, stored, values attributes) (holds, known bool) {
	now := values[":now"].number()
	switch condition {
	case "attribute_not_exists(id)":
		return stored == nil, true
	case "attribute_not_exists(id) OR expiresAt <= :now":
		return stored == nil || stored.has("expiresAt") && stored["expiresAt"].number() <= now, true
	case "version = :was":
		return stored != nil && stored["version"].number() == values[":was"].number(), true
	case "version = :was AND (attribute_not_exists(expiresAt) OR expiresAt > :now)":
		return stored != nil && stored["version"].number() == values[":was"].number() &&
			(!stored.has("expiresAt") || stored["expiresAt"].number() > now), true
	}
	return false, false
}

// size is near enough to what DynamoDB counts.
func size(i attributes) int {
	n := 0
	for name, value := range i {
		n += len(name) + len(value.text()) + len(aws.ToString(value.N)) + len(value.B)
	}
	return n
}

func (f *fake) batchGet(c call) (int, any) {
	for table, asked := range c.RequestItems {
		keys := asked.Keys
		ids := map[string]bool{}
		for _, key := range keys {
			ids[key["id"].text()] = true
		}
		if len(ids) != len(keys) || len(keys) < 1 || len(keys) > 100 {
			return failure("ValidationException", nil)
		}
		read := len(keys)
		if f.readMax != nil {
			read = min(read, f.readMax(len(keys), f.calls["BatchGetItem"]))
		}
		found := []attributes{}
		for _, key := range keys[:read] {
			if i := f.items[key["id"].text()]; i != nil {
				found = append(found, i)
			}
		}
		answer := map[string]any{"Responses": map[string]any{table: found}}
		if read < len(keys) {
			answer["UnprocessedKeys"] = map[string]any{table: map[string]any{"Keys": keys[read:]}}
		}
		return http.StatusOK, answer
	}
	return failure("ValidationException", nil)
}
