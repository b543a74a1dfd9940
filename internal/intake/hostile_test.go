package intake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// canary is a value that no answer may quote.
const canary = "zZs3cretZz"

// sent is a request with a secret environment, to be broken.
const sent = `{"jobName":"n","taskDefinition":"t","containerOverrides":{"environment":[{"name":"A","value":"` + canary + `"}]}}`

// outcomesOf reads a payload; each item as its kind, its id where it was made by us, and its error.
func outcomesOf(t *testing.T, payload string) []string {
	t.Helper()
	delivery, err := intake.Parse([]byte(payload))
	if err != nil {
		return []string{"ERROR " + err.Error()}
	}
	var all []string
	for _, item := range delivery.Items {
		checkItem(t, delivery, item)
		text := string(item.Kind)
		if item.Reason != "" {
			text += " " + item.Reason
		}
		if item.Err != nil {
			text += " " + item.Err.Error()
		}
		all = append(all, text)
	}
	return all
}

func TestHostilePayloadsAreToldApartAndQuoteNothing(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"detail":`, 9_000) + "1" + strings.Repeat("}", 9_000)
	for name, c := range map[string]struct {
		payload string
		want    []string // the beginning of each item's outcome
	}{
		"a payload of 10,001 arrays": {
			strings.Repeat("[", 10_001),
			[]string{"ERROR invalid request: request: is not valid JSON, at byte 10001"},
		},
		"a detail of 9,000 objects": {event("com.example", "Job", deep), []string{"SUBMIT"}},
		"a message of 20,000 arrays": {
			batch(strings.Repeat("[", 20_000)),
			[]string{"SUBMIT invalid request: request: is not valid JSON, at byte 10001"},
		},
		"a message in a message": {batch(batch(sent)), []string{"SUBMIT"}}, // a request with the unknown field Records
		"bad UTF-8":              {sent + "\xff", []string{"ERROR invalid request: request: is not valid UTF-8"}},
		"a message of NUL": {
			batch("\x00"),
			[]string{"SUBMIT invalid request: request: is not valid JSON, at byte 1"},
		},
		"Records that are no list": {
			`{"Records":{"` + canary + `":1}}`,
			[]string{"ERROR read SQS batch: Records are not SQS records"},
		},
		"a body that is an object": {
			`{"Records":[{"messageId":"m","eventSource":"aws:sqs","body":` + sent + `}]}`,
			[]string{"ERROR read SQS batch: Records are not SQS records"},
		},
		"Records of numbers": {`{"Records":[1,2]}`, []string{"ERROR read SQS batch: Records are not SQS records"}},
		"no Records": {
			`{"jobName":"x","taskDefinition":"job","Records":[]}`,
			[]string{"ERROR invalid request: Records: is empty; only a batch of SQS messages has this field"},
		},
		"a source that steers a terminal": {
			`{"Records":[{"messageId":"m","eventSource":"\u001b[2J"}]}`,
			[]string{`IGNORED a record of "\x1b[2J", not of aws:sqs`},
		},
		"an envelope of wrong types": {
			`{"detail-type":["` + canary + `"],"detail":` + sent + `}`,
			[]string{"SUBMIT invalid request: request: is not an EventBridge event"},
		},
		"a detail that is a secret string": {
			event("com.example", "Job", `"`+canary+`"`),
			[]string{"SUBMIT invalid request: detail: must be an object, not a string"},
		},
		"a task event that is a string": {
			event("aws.ecs", "ECS Task State Change", `"`+canary+`"`),
			[]string{"TASK_EVENT read task event: detail is a string, not an object"},
		},
		"a wake-up elsewhere": {
			batch(`{"wake":"../../etc"}`),
			[]string{"WAKE invalid request: wake: must be a jobId"},
		},
		"a wake-up that is an object": {
			batch(`{"wake":{"` + canary + `":1}}`),
			[]string{"WAKE invalid request: wake: must be a string, not an object"},
		},
		"a cancel of a path": {
			`{"action":"cancel","jobId":"%2e%2e"}`,
			[]string{"CANCEL invalid request: jobId: must be a jobId"},
		},
		"a cancel with a request beside it": {
			`{"action":"cancel","jobId":"x",` + sent[1:],
			[]string{"CANCEL invalid request, 3 problems: jobName: unknown field"},
		},
		"a cancel given twice": {
			`{"action":"cancel","jobId":"x","jobId":"y"}`,
			[]string{"CANCEL invalid request: jobId: is given more than once"},
		},
		"an action that nobody knows": {
			`{"action":"` + canary + `","jobId":"x"}`,
			[]string{"CANCEL invalid request: action: must be cancel or retry"},
		},
		"a cancel by an event's detail": {
			event("com.example", "Job", `{"action":"cancel","jobId":"x"}`),
			[]string{"CANCEL invalid request: action: is taken from a direct invocation alone"},
		},
		"a cursor without end": {
			`{"sweep":true,"cursor":"` + strings.Repeat("c", 5000) + `"}`,
			[]string{"SWEEP invalid request: cursor: is too long"},
		},
		"a sweep by a word": {
			`{"sweep":"` + canary + `"}`,
			[]string{"SWEEP invalid request: sweep: must be true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := outcomesOf(t, c.payload)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) || strings.Contains(got[i], canary) {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// TestAnActionWithACrowdOfFieldsIsAnsweredShortly: a message has room for 100,000 fields, of which each could be compared with
// all before it, and each could be told.
func TestAnActionWithACrowdOfFieldsIsAnsweredShortly(t *testing.T) {
	t.Parallel()
	crowd := strings.Repeat(`,"x":1`, 20_000) + strings.Repeat(`,"jobId":1`, 20_000)
	item := intake.ParseMessage("message-1", []byte(`{"action":"cancel"`+crowd+`}`))
	invalid, ok := errors.AsType[*jobs.InvalidRequest](item.Err)
	if !ok {
		t.Fatalf("got %v", item.Err)
	}
	if n := len(invalid.Problems); n != 101 || invalid.Problems[n-1] != "request: has more problems" {
		t.Errorf("got %d problems, the last %q", n, invalid.Problems[n-1])
	}
}

// TestNoIdentityLeadsElsewhere: whatever an envelope calls itself, its job's id is a plain word.
func TestNoIdentityLeadsElsewhere(t *testing.T) {
	t.Parallel()
	for _, identity := range []string{
		"../..", "%2e%2e", "a/b", "a\x00b", "ａ", "\u202e", "\x1b[2J", " ", strings.Repeat("x", 1<<16),
		"arn:aws:scheduler:::schedule/../x",
	} {
		quoted, err := json.Marshal(identity)
		if err != nil {
			t.Fatal(err)
		}
		other := intake.ParseMessage("another", []byte(request)).ID()
		for envelope, payload := range map[string]string{
			"a message": fmt.Sprintf(`{"Records":[{"messageId":%s,"eventSource":"aws:sqs","body":%q}]}`, quoted, request),
			"an event":  fmt.Sprintf(`{"id":%s,"detail-type":"Job","source":"com.example","detail":%s}`, quoted, request),
		} {
			delivery, err := intake.Parse([]byte(payload))
			if err != nil || len(delivery.Items) != 1 {
				t.Fatalf("%s called %.40q: %v", envelope, identity, err)
			}
			if id := delivery.Items[0].ID(); !jobs.ValidID(id) || id == other {
				t.Errorf("%s called %.40q makes the id %q", envelope, identity, id)
			}
		}
	}
}
