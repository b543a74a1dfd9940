package intake

import (
	"encoding/json"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// reasonMax is how long a cancel's reason may be, in bytes; a job document shows jobs.ReasonMax characters of it.
const reasonMax = 4096

// problemsMax is how many problems are told: these documents have three fields, and a payload has room for 100,000.
const problemsMax = 100

// reader reads one of our own small documents and collects everything that is wrong with it.
type reader struct {
	members  []jobs.Member
	problems []string
}

func (r *reader) add(field, problem string) {
	r.problems = append(r.problems, jobs.QuoteName(field)+": "+problem)
}

func (r *reader) err() error {
	if len(r.problems) == 0 {
		return nil
	}
	return &jobs.InvalidRequest{Problems: r.problems}
}

func (r *reader) value(field string) json.RawMessage {
	for _, m := range r.members {
		if m.Name == field {
			return m.Value
		}
	}
	return nil
}

// text reads a string; an absent one is empty.
func (r *reader) text(field string) string {
	var text string
	value := r.value(field)
	if value != nil && (json.Unmarshal(value, &text) != nil || jobs.TypeOf(value) != "a string") {
		r.add(field, "must be a string, not "+jobs.TypeOf(value))
	}
	if len(text) > reasonMax {
		r.add(field, "is too long")
		return ""
	}
	return text
}

// jobID reads a string that must be there and be a jobId.
func (r *reader) jobID(field string) string {
	if r.value(field) == nil {
		r.add(field, "is required")
		return ""
	}
	before := len(r.problems)
	id := r.text(field)
	if len(r.problems) == before && !jobs.ValidID(id) {
		r.add(field, "must be a jobId: 1 to 64 letters, digits, '-' or '_'")
	}
	if len(r.problems) > before {
		return ""
	}
	return id
}

// onlyFields reports every other field, and every one that is given twice.
func (r *reader) onlyFields(fields ...string) {
	for i, m := range r.members {
		if len(r.problems) >= problemsMax {
			r.add("request", "has more problems")
			return
		}
		if !slices.Contains(fields, m.Name) {
			r.add(m.Name, "unknown field")
		} else if has(r.members[:i], m.Name) {
			r.add(m.Name, "is given more than once")
		}
	}
}
