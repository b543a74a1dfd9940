package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// event mirrors the envelope of every EventBridge event, as far as it is looked at; events/submit/eventbridge-event.json
// and events/watch/running.json show it whole.
// https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
type event struct {
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Time       string          `json:"time"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// The events that are known by name.
const (
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
	sourceECS      = "aws.ecs"
	typeTaskChange = "ECS Task State Change"
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
	sourceEvents  = "aws.events"
	typeScheduled = "Scheduled Event"
	// sourceOwn is of the events that spotbatch publishes: their detail is a job, and taking it for a request would loop.
	sourceOwn = "spotbatch"
	awsPrefix = "aws."
)

func parseEvent(body []byte, item Item) Item {
	if item.Source == Direct {
		item.Source = EventBridge
	}
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		item.Kind, item.Request = Submit, body
		item.Err = &jobs.InvalidRequest{Problems: []string{"request: is not an EventBridge event, though it has a detail-type"}}
		return item
	}
	item.EventID = e.ID
	switch {
	case e.Source == sourceECS && e.DetailType == typeTaskChange:
		return parseTaskEvent(e, item)
	case e.Source == sourceEvents && e.DetailType == typeScheduled:
		return parseScheduledEvent(e, item)
	case e.Source == sourceOwn, strings.HasPrefix(e.Source, awsPrefix):
		item.Kind = Ignored
		item.Reason = fmt.Sprintf("the event %s of %s carries no request and no task", jobs.QuoteName(e.DetailType), jobs.QuoteName(e.Source))
		return item
	}
	item.EventIdentity = e.ID
	return parseDetail(e.Detail, item)
}

func parseTaskEvent(e event, item Item) Item {
	item.Kind, item.Detail = TaskEvent, e.Detail
	if jobs.TypeOf(e.Detail) != "an object" {
		item.Err = errors.New("read task event: detail is " + jobs.TypeOf(e.Detail) + ", not an object")
	}
	return item
}

// parseScheduledEvent: a scheduled rule's event carries an empty detail, unless an input transformer put a request there.
// Rule and time identify the firing.
func parseScheduledEvent(e event, item Item) Item {
	if len(e.Resources) > 0 {
		item.EventIdentity = jobs.ScheduleID(e.Resources[0], e.Time)
	}
	if members, _ := jobs.Members(e.Detail); len(members) > 0 {
		return parseDetail(e.Detail, item)
	}
	item.Kind, item.Request = Submit, e.Detail
	item.Err = &jobs.InvalidRequest{Problems: []string{
		`detail: a "Scheduled Event" carries no job request: give the rule's target a constant input that is the request`,
	}}
	return item
}

// parseDetail reads an event's detail, which is a request.
func parseDetail(detail json.RawMessage, item Item) Item {
	members, problem := jobs.Members(detail)
	if has(members, "action") {
		return parseAction(members, item)
	}
	item.Kind, item.Request = Submit, detail
	if problem != "" {
		item.Err = &jobs.InvalidRequest{Problems: []string{"detail: " + problem}}
	}
	return item
}
