package intake

import (
	"encoding/json"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Kind is what an item asks for.
type Kind string

// The kinds.
const (
	// Submit: Request holds a job request, as received.
	Submit Kind = "SUBMIT"
	// Cancel: JobID and Reason, from a direct invocation alone.
	Cancel Kind = "CANCEL"
	// Retry: JobID, from a direct invocation alone.
	Retry Kind = "RETRY"
	// TaskEvent: Detail holds the detail of an "ECS Task State Change".
	TaskEvent Kind = "TASK_EVENT"
	// Wake: JobID names a job whose due time has come.
	Wake Kind = "WAKE"
	// Sweep: look at everything that is due, from Cursor on.
	Sweep Kind = "SWEEP"
	// Ignored: not ours; Reason says why.
	Ignored Kind = "IGNORED"
)

// Source is where an item came from.
type Source string

// The sources.
const (
	Queue       Source = "QUEUE"       // an SQS message; what it wraps shows in the item's other fields
	Scheduled   Source = "SCHEDULED"   // EventBridge Scheduler called the function itself
	EventBridge Source = "EVENTBRIDGE" // a rule called the function itself
	Direct      Source = "DIRECT"
)

// Delivery is one invocation's payload.
type Delivery struct {
	// Batch: it was an SQS batch, to be answered with the message ids that failed.
	Batch bool
	Items []Item
}

// Item is one thing to do. What does not belong to its Kind is empty.
type Item struct {
	Kind   Kind
	Source Source
	// Err says what is wrong with the item; its Kind is then what it tried to be. For a request it is a *jobs.InvalidRequest.
	Err error
	// MessageID is the SQS message's, for partial batch failures; empty outside a batch.
	MessageID string
	// EventID is the EventBridge envelope's id, for the log.
	EventID string
	// EventIdentity identifies the EventBridge event as a job: its id, or the rule and time of a "Scheduled Event".
	EventIdentity string
	// Body is the message or the payload as received.
	Body json.RawMessage
	// Request is the job request as received.
	Request json.RawMessage
	// Detail is a task event's detail.
	Detail json.RawMessage
	JobID  string
	Reason string
	// Cursor is where a sweep goes on; empty at its beginning.
	Cursor string
}

// ID returns the id of the job that the item names, in docs/request.md's order: jobId; schedule ARN and time; the EventBridge
// event; the SQS message. It is empty where a random one must be made, and where ParseRequest will refuse the identity.
func (i Item) ID() string {
	if i.Kind != Submit {
		return i.JobID
	}
	return jobs.ResolveID(i.Request, i.EventIdentity, i.MessageID)
}
