package jobs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// idHexMax is how many hex digits of a SHA-256 stand for an identity or a request: 128 bits.
const idHexMax = 32

// depthMax bounds how deep a document is followed; a request is four levels deep.
const depthMax = 16

// NormalizeID makes a jobId of any identity: a valid jobId is itself, everything else the first 32 hex digits of its SHA-256.
func NormalizeID(identity string) string {
	if ValidID(identity) {
		return identity
	}
	return digest([]byte(identity))
}

// ResolveID returns the id of the job that a request stands for: its jobId; else its schedule's ARN and scheduled time; else
// the first identity that is not empty of those that its envelopes give it (an EventBridge event's, then an SQS message's).
// Empty means that nothing identifies the request, and the caller rolls an id; or that its jobId or schedule is not valid,
// and ParseRequest will say so.
func ResolveID(raw []byte, envelopes ...string) string {
	members, _ := Members(raw)
	if _, times := find(members, "jobId"); times > 0 {
		id, _ := usable(members, "jobId", ValidID)
		return id
	}
	if schedule, times := find(members, "schedule"); times > 0 {
		return ScheduleID(scheduleOf(schedule))
	}
	for _, identity := range envelopes {
		if identity != "" {
			return NormalizeID(identity)
		}
	}
	return ""
}

// scheduleOf reads the schedule alone: what is wrong elsewhere does not matter here.
func scheduleOf(value json.RawMessage) (arn, scheduledTime string) {
	alone := only("schedule", value)
	schedule := parseSchedule(alone)
	if alone.err() != nil {
		return "", ""
	}
	return schedule.ARN, schedule.ScheduledTime
}

// ScheduleID returns the jobId of one firing of one schedule, EventBridge Scheduler's or an EventBridge rule's; empty if
// either is missing.
func ScheduleID(arn, scheduledTime string) string {
	if arn == "" || scheduledTime == "" {
		return ""
	}
	return NormalizeID(arn + " " + scheduledTime)
}

// Fingerprint tells whether two requests are the same: it is taken of the request as received, in canonical JSON (sorted
// names, numbers as written), before defaults, without schedule, which differs from firing to firing.
func Fingerprint(raw []byte) (string, error) {
	members, problem := Members(raw)
	if problem != "" {
		return "", fmt.Errorf("fingerprint: request %s", problem)
	}
	members = slices.DeleteFunc(members, func(m Member) bool { return m.Name == "schedule" })
	canonical, err := appendObject(nil, members, 1)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	return digest(canonical), nil
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])[:idHexMax]
}

// The documents that have no canonical form. ParseRequest refuses them as well.
var (
	errDepth    = errors.New("request is nested too deep")
	errRepeated = errors.New("request has a field more than once")
)

func appendValue(out []byte, raw json.RawMessage, depth int) ([]byte, error) {
	if depth > depthMax {
		return nil, errDepth
	}
	switch TypeOf(raw) {
	case typeObject:
		return appendObject(out, split(raw), depth) // valid: the whole document is
	case typeArray:
		return appendArray(out, raw, depth)
	case typeString:
		return appendText(out, unquote(bytes.TrimSpace(raw))), nil // in one way, however it was escaped
	}
	return append(out, bytes.TrimSpace(raw)...), nil
}

func appendObject(out []byte, members []Member, depth int) ([]byte, error) {
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if m.Name == members[i-1].Name {
				return nil, errRepeated
			}
			out = append(out, ',')
		}
		var err error
		out = appendText(out, m.Name)
		if out, err = appendValue(append(out, ':'), m.Value, depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func appendArray(out []byte, raw json.RawMessage, depth int) ([]byte, error) {
	var items []json.RawMessage
	_ = json.Unmarshal(raw, &items) // cannot fail: valid JSON, and an array
	out = append(out, '[')
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = appendValue(out, item, depth+1); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// appendText writes a string as encoding/json does, which leaves most as they are.
func appendText(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			canonical, _ := json.Marshal(text) // a string: it cannot fail
			return append(out, canonical...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
