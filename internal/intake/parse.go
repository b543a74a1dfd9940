package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Parse reads a payload. The error is for a payload of which nothing can be told or answered item by item: no JSON object, an
// SQS batch without a record, or with one that has no id. Everything else that is wrong is in the item's Err.
func Parse(payload []byte) (Delivery, error) {
	members, problem := jobs.Members(payload)
	if problem != "" {
		return Delivery{}, &jobs.InvalidRequest{Problems: []string{"request: " + problem}}
	}
	if has(members, "Records") {
		return parseRecords(payload)
	}
	return Delivery{Items: []Item{parseBody(payload, members, Item{Source: Direct, Body: payload})}}, nil
}

// records mirrors the event of an SQS event source mapping; other services' events have Records as well.
// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
type records struct {
	Records []record `json:"Records"`
}

type record struct {
	MessageID   string `json:"messageId"`
	Body        string `json:"body"`
	EventSource string `json:"eventSource"`
}

func parseRecords(payload []byte) (Delivery, error) {
	var batch records
	if err := json.Unmarshal(payload, &batch); err != nil {
		return Delivery{}, errors.New("read SQS batch: Records are not SQS records")
	}
	if len(batch.Records) == 0 { // Lambda delivers none; whoever sends one waits for an answer
		return Delivery{}, &jobs.InvalidRequest{Problems: []string{"Records: is empty; only a batch of SQS messages has this field"}}
	}
	delivery := Delivery{Batch: true}
	for i, r := range batch.Records {
		switch {
		case r.EventSource != "aws:sqs":
			reason := fmt.Sprintf("a record of %s, not of aws:sqs", jobs.QuoteName(r.EventSource))
			delivery.Items = append(delivery.Items, Item{Kind: Ignored, Source: Direct, Reason: reason})
		case r.MessageID == "":
			return Delivery{}, fmt.Errorf("read SQS batch: Records[%d] has no messageId", i)
		default:
			delivery.Items = append(delivery.Items, ParseMessage(r.MessageID, []byte(r.Body)))
		}
	}
	return delivery, nil
}

// ParseMessage reads the body of one message of a queue.
func ParseMessage(messageID string, body []byte) Item {
	item := Item{Source: Queue, MessageID: messageID, Body: body}
	members, problem := jobs.Members(body)
	if problem != "" {
		// Whatever it was meant to be, a request is what people write into queues.
		item.Kind, item.Request = Submit, body
		item.Err = &jobs.InvalidRequest{Problems: []string{"request: " + problem}}
		return item
	}
	return parseBody(body, members, item)
}

// parseBody tells the documents apart by the one field that only they have.
func parseBody(body []byte, members []jobs.Member, item Item) Item {
	switch {
	case has(members, "detail-type"):
		return parseEvent(body, item)
	case has(members, "action"):
		return parseAction(members, item)
	case has(members, "wake"):
		return parseWake(members, item)
	case has(members, "sweep"):
		return parseSweep(members, item)
	}
	if item.Source == Direct && has(members, "schedule") {
		item.Source = Scheduled
	}
	item.Kind, item.Request = Submit, body
	return item
}

// parseAction reads {"action":"cancel","jobId":"...","reason":"..."} and {"action":"retry","jobId":"..."}. They come from
// direct invocations alone: what may write to the jobs queue may submit jobs, and nothing else.
func parseAction(members []jobs.Member, item Item) Item {
	r := reader{members: members}
	item.Kind = Cancel
	fields := []string{"action", "jobId", "reason"}
	switch r.text("action") {
	case "cancel":
		item.Reason = r.text("reason")
	case "retry":
		item.Kind = Retry
		fields = fields[:2]
	default:
		r.add("action", "must be cancel or retry")
	}
	if item.Source != Direct {
		r.add("action", "is taken from a direct invocation alone, never from a queue or an event")
	}
	item.JobID = r.jobID("jobId")
	r.onlyFields(fields...)
	item.Err = r.err()
	return item
}

// parseWake reads {"wake":"<jobId>"}, which the functions send to both of their queues in turn, with a delay.
func parseWake(members []jobs.Member, item Item) Item {
	r := reader{members: members}
	item.Kind, item.JobID = Wake, r.jobID("wake")
	r.onlyFields("wake")
	item.Err = r.err()
	return item
}

// parseSweep reads {"sweep":true}, the constant input of the sweep's schedule, and {"sweep":true,"cursor":"..."}, with which a
// sweep that ran out of time goes on.
func parseSweep(members []jobs.Member, item Item) Item {
	r := reader{members: members}
	item.Kind = Sweep
	if value := r.value("sweep"); string(value) != "true" {
		r.add("sweep", "must be true")
	}
	item.Cursor = r.text("cursor")
	r.onlyFields("sweep", "cursor")
	item.Err = r.err()
	return item
}

func has(members []jobs.Member, name string) bool {
	return slices.ContainsFunc(members, func(m jobs.Member) bool { return m.Name == name })
}
