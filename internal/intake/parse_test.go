package intake_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	request = `{"jobName":"n","taskDefinition":"t"}`
	fired   = `{"jobName":"n","taskDefinition":"t","schedule":{"arn":"arn:s","scheduledTime":"2026-01-15T02:00:00Z"}}`
)

// event is an EventBridge envelope.
func event(source, detailType, detail string) string {
	return fmt.Sprintf(`{"version":"0","id":"event-1","detail-type":%q,"source":%q,"time":"2026-01-15T10:00:00Z",
	 "resources":["arn:aws:events:us-east-1:123456789012:rule/r"],"detail":%s}`, detailType, source, detail)
}

// batch is an SQS batch with the messages message-1, message-2 and so on.
func batch(bodies ...string) string {
	var records []string
	for i, body := range bodies {
		quoted, _ := json.Marshal(body)
		records = append(records, fmt.Sprintf(`{"messageId":"message-%d","eventSource":"aws:sqs","body":%s}`, i+1, quoted))
	}
	return `{"Records":[` + strings.Join(records, ",") + `]}`
}

func TestParse(t *testing.T) {
	t.Parallel()
	const taskDetail = `{"lastStatus":"STOPPED"}`
	const rule = "arn:aws:events:us-east-1:123456789012:rule/r"
	ruleFiring := jobs.ScheduleID(rule, "2026-01-15T10:00:00Z")
	for name, c := range map[string]struct {
		payload string
		want    []intake.Item
		ids     []string // of the items' jobs
	}{
		"a direct request has no identity of its own": {
			request,
			[]intake.Item{{Kind: intake.Submit, Source: intake.Direct, Request: json.RawMessage(request)}},
			[]string{""},
		},
		"a schedule's input is identified by its firing": {
			fired,
			[]intake.Item{{Kind: intake.Submit, Source: intake.Scheduled, Request: json.RawMessage(fired)}},
			[]string{jobs.ScheduleID("arn:s", "2026-01-15T02:00:00Z")},
		},
		"a message's body is identified by the message": {
			batch(request),
			[]intake.Item{{Kind: intake.Submit, Source: intake.Queue, MessageID: "message-1", Request: json.RawMessage(request)}},
			[]string{"message-1"},
		},
		"a schedule that writes to the queue is identified by its firing": {
			batch(fired),
			[]intake.Item{{Kind: intake.Submit, Source: intake.Queue, MessageID: "message-1", Request: json.RawMessage(fired)}},
			[]string{jobs.ScheduleID("arn:s", "2026-01-15T02:00:00Z")},
		},
		"an event is identified by its id": {
			event("com.example", "Job", request),
			[]intake.Item{{
				Kind: intake.Submit, Source: intake.EventBridge, EventID: "event-1", EventIdentity: "event-1", Request: json.RawMessage(request),
			}},
			[]string{"event-1"},
		},
		"an event in a message by the event's id, not the message's": {
			batch(event("com.example", "Job", request)),
			[]intake.Item{{
				Kind: intake.Submit, Source: intake.Queue, MessageID: "message-1", EventID: "event-1", EventIdentity: "event-1",
				Request: json.RawMessage(request),
			}},
			[]string{"event-1"},
		},
		"a scheduled rule's event with a request by rule and time": {
			event("aws.events", "Scheduled Event", request),
			[]intake.Item{{
				Kind: intake.Submit, Source: intake.EventBridge, EventID: "event-1", EventIdentity: ruleFiring, Request: json.RawMessage(request),
			}},
			[]string{ruleFiring},
		},
		"a task event": {
			event("aws.ecs", "ECS Task State Change", taskDetail),
			[]intake.Item{{Kind: intake.TaskEvent, Source: intake.EventBridge, EventID: "event-1", Detail: json.RawMessage(taskDetail)}},
			[]string{""},
		},
		"a task event in a message": {
			batch(event("aws.ecs", "ECS Task State Change", taskDetail)),
			[]intake.Item{{
				Kind: intake.TaskEvent, Source: intake.Queue, MessageID: "message-1", EventID: "event-1", Detail: json.RawMessage(taskDetail),
			}},
			[]string{""},
		},
		"a cancel": {
			`{"action":"cancel","jobId":"j","reason":"because"}`,
			[]intake.Item{{Kind: intake.Cancel, Source: intake.Direct, JobID: "j", Reason: "because"}},
			[]string{"j"},
		},
		"a cancel without a reason": {
			`{"jobId":"j","action":"cancel"}`, []intake.Item{{Kind: intake.Cancel, Source: intake.Direct, JobID: "j"}}, []string{"j"},
		},
		"a retry": {
			`{"action":"retry","jobId":"j"}`, []intake.Item{{Kind: intake.Retry, Source: intake.Direct, JobID: "j"}}, []string{"j"},
		},
		"a wake-up in a message": {
			batch(`{"wake":"j"}`),
			[]intake.Item{{Kind: intake.Wake, Source: intake.Queue, MessageID: "message-1", JobID: "j"}},
			[]string{"j"},
		},
		"a sweep": {`{ "sweep" : true }`, []intake.Item{{Kind: intake.Sweep, Source: intake.Direct}}, []string{""}},
		"an own event": {
			event("spotbatch", "Spotbatch Job State Change", request),
			[]intake.Item{{
				Kind: intake.Ignored, Source: intake.EventBridge, EventID: "event-1",
				Reason: `the event "Spotbatch Job State Change" of spotbatch carries no request and no task`,
			}},
			[]string{""},
		},
		"another event of ECS": {
			event("aws.ecs", "ECS Service Action", `{}`),
			[]intake.Item{{
				Kind: intake.Ignored, Source: intake.EventBridge, EventID: "event-1",
				Reason: `the event "ECS Service Action" of aws.ecs carries no request and no task`,
			}},
			[]string{""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delivery, err := intake.Parse([]byte(c.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, delivery.Items, cmpopts.IgnoreFields(intake.Item{}, "Body")); diff != "" {
				t.Error(diff)
			}
			var ids []string
			for _, item := range delivery.Items {
				if foreign := item.Kind == intake.Ignored && item.Source == intake.Direct; !foreign && len(item.Body) == 0 {
					t.Error("what came is not kept")
				}
				ids = append(ids, item.ID())
			}
			if diff := cmp.Diff(c.ids, ids); diff != "" {
				t.Errorf("ids: %s", diff)
			}
			if want := strings.Contains(c.payload, "Records"); delivery.Batch != want {
				t.Errorf("Batch: got %v, want %v", delivery.Batch, want)
			}
		})
	}
}

func TestParseTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const onlyDirect = "action: is taken from a direct invocation alone, never from a queue or an event"
	for name, c := range map[string]struct {
		payload string
		kind    intake.Kind
		want    []string
	}{
		"a body that is no JSON":        {batch("job please"), intake.Submit, []string{"request: is not valid JSON, at byte 1"}},
		"a body that is empty":          {batch(""), intake.Submit, []string{"request: is empty"}},
		"a body that is a list":         {batch("[" + request + "]"), intake.Submit, []string{"request: must be an object, not an array"}},
		"a cancel in the queue":         {batch(`{"action":"cancel","jobId":"j"}`), intake.Cancel, []string{onlyDirect}},
		"a retry in the queue":          {batch(`{"action":"retry","jobId":"j"}`), intake.Retry, []string{onlyDirect}},
		"a retry in an event":           {event("com.example", "Job", `{"action":"retry","jobId":"j"}`), intake.Retry, []string{onlyDirect}},
		"an unknown action":             {`{"action":"stop","jobId":"j"}`, intake.Cancel, []string{"action: must be cancel or retry"}},
		"an action that is null":        {`{"action":null,"jobId":"j"}`, intake.Cancel, []string{"action: must be a string, not null", "action: must be cancel or retry"}},
		"a retry with a reason":         {`{"action":"retry","jobId":"j","reason":"r"}`, intake.Retry, []string{"reason: unknown field"}},
		"an endless reason":             {fmt.Sprintf(`{"action":"cancel","jobId":"j","reason":"%05000d"}`, 0), intake.Cancel, []string{"reason: is too long"}},
		"a cancel with two jobs":        {`{"action":"cancel","jobId":"j","jobId":"k"}`, intake.Cancel, []string{"jobId: is given more than once"}},
		"a cancel of no job":            {`{"action":"cancel"}`, intake.Cancel, []string{"jobId: is required"}},
		"a cancel of what is no id":     {`{"action":"cancel","jobId":"a b"}`, intake.Cancel, []string{"jobId: must be a jobId: 1 to 64 letters, digits, '-' or '_'"}},
		"a wake-up of a number":         {`{"wake":7}`, intake.Wake, []string{"wake: must be a string, not a number"}},
		"a sweep that is false":         {`{"sweep":false}`, intake.Sweep, []string{"sweep: must be true"}},
		"a sweep with more":             {`{"sweep":true,"now":1}`, intake.Sweep, []string{"now: unknown field"}},
		"an event without a detail":     {`{"detail-type":"Job","source":"com.example"}`, intake.Submit, []string{"detail: is empty"}},
		"an event whose detail is text": {event("com.example", "Job", `"run"`), intake.Submit, []string{"detail: must be an object, not a string"}},
		"a broken envelope":             {`{"detail-type":7}`, intake.Submit, []string{"request: is not an EventBridge event, though it has a detail-type"}},
		"a scheduled rule without input": {
			event("aws.events", "Scheduled Event", `{}`), intake.Submit,
			[]string{`detail: a "Scheduled Event" carries no job request: give the rule's target a constant input that is the request`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delivery, err := intake.Parse([]byte(c.payload))
			if err != nil || len(delivery.Items) != 1 {
				t.Fatalf("got %v, %v", delivery, err)
			}
			item := delivery.Items[0]
			invalid, ok := errors.AsType[*jobs.InvalidRequest](item.Err)
			if !ok {
				t.Fatalf("got error %v, want an *InvalidRequest", item.Err)
			}
			if diff := cmp.Diff(c.want, invalid.Problems); diff != "" {
				t.Error(diff)
			}
			if item.Kind != c.kind {
				t.Errorf("got kind %s, want %s", item.Kind, c.kind)
			}
		})
	}
}

func TestParseRefusesWhatCannotBeAnsweredItemByItem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ payload, want string }{
		"no JSON":                    {"{", "invalid request: request: is not valid JSON, at byte 1"},
		"a list":                     {"[]", "invalid request: request: must be an object, not an array"},
		"records that are none":      {`{"Records":[7]}`, "read SQS batch: Records are not SQS records"},
		"a record without messageId": {`{"Records":[{"eventSource":"aws:sqs"}]}`, "read SQS batch: Records[0] has no messageId"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := intake.Parse([]byte(c.payload)); fmt.Sprint(err) != c.want {
				t.Errorf("got %v, %v, want the error %s", got, err, c.want)
			}
		})
	}
}

func TestParseOneBadItemDoesNotSpoilTheBatch(t *testing.T) {
	t.Parallel()
	delivery, err := intake.Parse([]byte(batch(request, "{", `{"wake":"j"}`)))
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for _, item := range delivery.Items {
		if item.Err != nil {
			bad = append(bad, item.MessageID)
		}
	}
	if diff := cmp.Diff([]string{"message-2"}, bad); diff != "" {
		t.Error(diff)
	}
}

// TestParseRecordedPayloads reads payloads of public origin.
func TestParseRecordedPayloads(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"ecs-container-instance-state-change.json": {"IGNORED the event \"ECS Container Instance State Change\" of aws.ecs carries no request and no task"},
		"ecs-spot-warning-snippet-current.json":    {"TASK_EVENT"},
		"ecs-task-stopped-user-initiated.json":     {"TASK_EVENT"},
		"eventbridge-scheduled-event.json":         {"SUBMIT a \"Scheduled Event\" carries no job request"},
		"scheduler-sqs-universal-target.json":      {"SUBMIT Arn: unknown field; RoleArn: unknown field; Input: unknown field"},
		"sqs-event.json":                           {"SUBMIT request: is not valid JSON"},
		"sqs-event-fifo.json":                      {"SUBMIT request: is not valid JSON"},
		"sqs-event-standard-2.json":                {"SUBMIT request: is not valid JSON", "SUBMIT request: is not valid JSON"},
		"sqs-event-from-scheduler.json":            {"SUBMIT"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got := outcomes(read(t, filepath.Join("testdata", file)))
			if diff := cmp.Diff(want, got, cmp.Comparer(within)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, payload := range eventFiles(f) {
		f.Add(payload)
	}
	for _, seed := range []string{"", "{", `{"Records":null}`, `{"Records":[{"EventSource":"aws:sns"}]}`, batch(batch(request)), `{"detail-type":"","detail":{"action":1}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		delivery, err := intake.Parse(payload)
		if err != nil && len(delivery.Items) > 0 {
			t.Error("items beside an error")
		}
		for _, item := range delivery.Items {
			checkItem(t, delivery, item)
		}
	})
}

// checkItem: what a caller relies on, whatever came in.
func checkItem(t *testing.T, delivery intake.Delivery, item intake.Item) {
	t.Helper()
	id := item.ID()
	ok := item.Err == nil
	switch item.Kind {
	case intake.Submit:
		if ok && jobs.TypeOf(item.Request) != "an object" || id != "" && !jobs.ValidID(id) {
			t.Errorf("a request %q with id %q", item.Request, id)
		}
	case intake.Cancel, intake.Retry:
		if ok && (!jobs.ValidID(id) || item.Source != intake.Direct) {
			t.Errorf("%s of %q from %s", item.Kind, id, item.Source)
		}
	case intake.Wake:
		if ok && !jobs.ValidID(id) {
			t.Errorf("a wake-up of %q", id)
		}
	case intake.TaskEvent:
		if ok && jobs.TypeOf(item.Detail) != "an object" {
			t.Errorf("a task event with detail %q", item.Detail)
		}
	case intake.Sweep:
	case intake.Ignored:
		if item.Reason == "" {
			t.Error("ignored without a reason")
		}
	default:
		t.Errorf("unknown kind %q", item.Kind)
	}
	if delivery.Batch && item.Kind != intake.Ignored && item.MessageID == "" {
		t.Error("an item of a batch without its message's id")
	}
	if !ok && strings.ContainsFunc(item.Err.Error(), unicode.IsControl) {
		t.Errorf("an error that cannot be shown: %q", item.Err)
	}
}
