package sim

import (
	"encoding/json"
	"time"
)

// taskEvent is the event as EventBridge puts it into the events queue; events/watch/running.json shows a whole one.
type taskEvent struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Time       time.Time       `json:"time"`
	Detail     taskEventDetail `json:"detail"`
}

type taskEventDetail struct {
	TaskARN            string           `json:"taskArn"`
	StartedBy          string           `json:"startedBy"`
	Version            int64            `json:"version"`
	LastStatus         string           `json:"lastStatus"`
	DesiredStatus      string           `json:"desiredStatus"`
	StopCode           string           `json:"stopCode,omitempty"`
	StoppedReason      string           `json:"stoppedReason,omitempty"`
	Containers         []eventContainer `json:"containers"`
	CreatedAt          time.Time        `json:"createdAt"`
	StartedAt          time.Time        `json:"startedAt,omitzero"`
	StoppingAt         time.Time        `json:"stoppingAt,omitzero"`
	ExecutionStoppedAt time.Time        `json:"executionStoppedAt,omitzero"`
	StoppedAt          time.Time        `json:"stoppedAt,omitzero"`
}

type eventContainer struct {
	Name     string `json:"name"`
	ExitCode *int   `json:"exitCode,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// tell sends a task's state to the events queue, as ECS and EventBridge do it: mostly.
func (w *World) tell(t *task) {
	if t.LastStatus != running && t.LastStatus != stopped { // template.yaml's rule lets no others through
		return
	}
	if w.in(EventsGone) || w.hit(EventLost) {
		return
	}
	detail := taskEventDetail{
		TaskARN: t.ARN, StartedBy: t.StartedBy, Version: t.Version, LastStatus: t.LastStatus, DesiredStatus: t.DesiredStatus,
		StopCode: t.StopCode, StoppedReason: t.StoppedReason, CreatedAt: t.CreatedAt, StartedAt: t.StartedAt, StoppingAt: t.StoppingAt,
		ExecutionStoppedAt: t.ExecutionStoppedAt.Truncate(time.Second), StoppedAt: t.StoppedAt, Containers: []eventContainer{{Name: "main"}},
	}
	if len(t.Containers) > 0 {
		detail.Containers[0].ExitCode, detail.Containers[0].Reason = t.Containers[0].ExitCode, t.Containers[0].Reason
	}
	body, err := json.Marshal(taskEvent{"0", "e-" + w.newID(), "ECS Task State Change", "aws.ecs", w.now, detail})
	if err != nil {
		panic(err) // it has strings, numbers and times alone
	}
	if w.hit(EventMalformed) {
		w.events.send(spoil(body), 0)
	}
	delay := w.dice.between(100*time.Millisecond, 2*time.Second)
	if w.hit(EventLate) {
		delay = w.streams[EventLate].between(0, 10*time.Minute)
	}
	if w.hit(EventDayLate) {
		delay = 24 * time.Hour
	}
	told := []*message{w.events.send(body, delay)}
	if w.hit(EventTwice) {
		told = append(told, w.events.send(body, delay+w.streams[EventTwice].between(0, 5*time.Minute)))
	}
	if t.stopped() {
		t.told = told
	}
}

// spoil makes a copy of an event that no reader understands.
func spoil(body []byte) []byte {
	var event map[string]any
	if err := json.Unmarshal(body, &event); err != nil {
		panic(err) // it was marshalled a moment ago
	}
	event["detail"] = "not an object"
	spoilt, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return spoilt
}
