package fargate

import "time"

// Event is an EventBridge event in the outbox.
type Event struct {
	ID     int64  // of the outbox; rises, and is never used twice
	TaskID string // whose state changed
	Body   []byte // the whole JSON document, as a rule's target gets it
}

// envelope is what EventBridge puts around a detail.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
func envelope(taskARN string, detail []byte, now time.Time) string {
	body := make([]byte, 0, len(detail)+len(taskARN)+320)
	body = append(body, `{"version":"0","id":"`...)
	body = append(body, randomUUID()...)
	body = append(body, `","detail-type":"ECS Task State Change","source":"aws.ecs","account":"`+account+`","time":"`...)
	body = now.UTC().AppendFormat(body, "2006-01-02T15:04:05Z") // whole seconds, as EventBridge writes it
	body = append(body, `","region":"`+region+`","resources":[`...)
	body = appendString(body, taskARN)
	body = append(body, `],"detail":`...)
	body = append(body, detail...)
	return string(append(body, '}'))
}
