package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// fileMax bounds a file of schedules, in bytes.
const fileMax = 4 << 20

// Entry is one schedule of a file, named as EventBridge Scheduler's CreateSchedule names it.
type Entry struct {
	Name string
	Schedule
	input string // valid JSON at every firing: Load has tried
}

// entryFields are the members of an entry.
var entryFields = []string{"name", "scheduleExpression", "scheduleExpressionTimezone", "input"}

// namePattern is a schedule's name.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
var namePattern = regexp.MustCompile(`^[0-9a-zA-Z._-]{1,64}$`)

// arn identifies the schedule, as on AWS; the Region says that it is none.
func (e Entry) arn() string {
	return "arn:aws:scheduler:local:000000000000:schedule/default/" + e.Name
}

// Request returns the job request of one firing: the input with Scheduler's context attributes put in, textually as
// Scheduler does it, and with a schedule if it has none, so that the firing is identified.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
func (e Entry) Request(due time.Time) json.RawMessage {
	scheduled := due.UTC().Format(time.RFC3339)
	request := strings.TrimSpace(strings.NewReplacer(
		"<aws.scheduler.schedule-arn>", e.arn(),
		"<aws.scheduler.scheduled-time>", scheduled,
		"<aws.scheduler.execution-id>", jobs.ScheduleID(e.arn(), scheduled)[:16],
		"<aws.scheduler.attempt-number>", "1",
	).Replace(e.input))
	members, problem := jobs.Members([]byte(request))
	if problem != "" || slices.ContainsFunc(members, func(m jobs.Member) bool { return m.Name == "schedule" }) {
		return json.RawMessage(request)
	}
	comma := ","
	if len(members) == 0 {
		comma = ""
	}
	// Neither the ARN nor the time holds a character that JSON would escape.
	return json.RawMessage(fmt.Sprintf(`{"schedule":{"arn":"%s","scheduledTime":"%s"}%s%s`, e.arn(), scheduled, comma, request[1:]))
}

// Load reads a file of schedules: a JSON array of {name, scheduleExpression, scheduleExpressionTimezone, input}, where
// input is a job request or the same as a string. Its error names every problem.
func Load(file string) ([]Entry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("load schedules: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err == nil && len(data) > fileMax {
		err = fmt.Errorf("larger than %d bytes", fileMax)
	}
	if err != nil {
		return nil, fmt.Errorf("load schedules from %s: %w", file, err)
	}
	entries, err := parseEntries(data)
	if err != nil {
		return nil, fmt.Errorf("load schedules from %s: %w", file, err)
	}
	return entries, nil
}

func parseEntries(data []byte) ([]Entry, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil || jobs.TypeOf(data) != "an array" {
		return nil, errors.New("must be a JSON array of schedules")
	}
	var entries []Entry
	var problems []error
	for i, item := range items {
		r := reader{path: fmt.Sprintf("[%d]", i)}
		entry := r.entry(item)
		if r.problems == nil && slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == entry.Name }) {
			r.add("name", "is the name of another schedule already")
		}
		entries = append(entries, entry)
		problems = append(problems, r.problems...)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return entries, nil
}

// reader reads one entry and collects what is wrong with it.
type reader struct {
	path     string
	values   map[string]json.RawMessage
	problems []error
}

func (r *reader) add(field, problem string) {
	r.problems = append(r.problems, fmt.Errorf("%s.%s: %s", r.path, field, problem))
}

func (r *reader) entry(raw json.RawMessage) Entry {
	r.open(raw)
	name := r.text("name")
	if name != "" && !namePattern.MatchString(name) {
		r.add("name", "must be 1 to 64 letters, digits, '.', '-' or '_'")
	}
	entry := Entry{Name: name}
	if expression := r.text("scheduleExpression"); expression != "" {
		var err error
		if entry.Schedule, err = Parse(expression, r.text("scheduleExpressionTimezone")); err != nil {
			r.add("scheduleExpression", err.Error())
		}
	}
	entry.input = r.input()
	if entry.input != "" {
		r.try(entry)
	}
	return entry
}

// open splits the entry and reports fields that are unknown, repeated or missing.
func (r *reader) open(raw json.RawMessage) {
	r.values = map[string]json.RawMessage{}
	members, problem := jobs.Members(raw)
	if problem != "" {
		r.problems = append(r.problems, fmt.Errorf("%s: %s", r.path, problem))
		return
	}
	for _, m := range members {
		switch _, repeated := r.values[m.Name]; {
		case !slices.Contains(entryFields, m.Name):
			r.add(jobs.QuoteName(m.Name), "unknown field")
		case repeated:
			r.add(m.Name, "is given more than once")
		default:
			r.values[m.Name] = m.Value
		}
	}
	for _, field := range entryFields {
		if _, ok := r.values[field]; !ok && field != "scheduleExpressionTimezone" {
			r.add(field, "is required")
		}
	}
}

// text reads a string; empty where it is absent or wrong.
func (r *reader) text(field string) string {
	raw, ok := r.values[field]
	if !ok {
		return ""
	}
	var text string
	switch err := json.Unmarshal(raw, &text); {
	case err != nil || jobs.TypeOf(raw) != "a string":
		r.add(field, "must be a string, not "+jobs.TypeOf(raw))
	case text == "":
		r.add(field, "must not be empty")
	}
	return text
}

// input reads the request's text, which may be written as an object or, as in Scheduler's API, as a string.
func (r *reader) input() string {
	raw := r.values["input"]
	switch jobs.TypeOf(raw) {
	case "an object":
		return string(raw)
	case "a string":
		return r.text("input")
	case "nothing": // absent, and reported
	default:
		r.add("input", "must be a job request, as an object or as a string, not "+jobs.TypeOf(raw))
	}
	return ""
}

// try reads the request of one firing, so that a bad one is told when the file is read and not when it is due.
func (r *reader) try(entry Entry) {
	_, err := jobs.ParseRequest(entry.Request(time.Unix(0, 0)))
	if invalid, ok := errors.AsType[*jobs.InvalidRequest](err); ok {
		for _, problem := range invalid.Problems {
			problem = strings.Replace("."+problem, ".request: ", ": ", 1)
			r.problems = append(r.problems, fmt.Errorf("%s.input%s", r.path, problem))
		}
	}
}
