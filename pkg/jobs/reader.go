package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// problemsMax is how many problems are told one by one; a document of 256 KiB could hold tens of thousands.
const problemsMax = 100

// InvalidRequest says everything that is wrong with a request.
type InvalidRequest struct {
	// Problems, each "field: problem". None quotes a value of command, environment or tags.
	Problems []string
}

func (e *InvalidRequest) Error() string {
	if len(e.Problems) == 1 {
		return "invalid request: " + e.Problems[0]
	}
	return fmt.Sprintf("invalid request, %d problems: %s", len(e.Problems), strings.Join(e.Problems, "; "))
}

// problems collects what is wrong with a document while it is read to its end.
type problems struct {
	list []string
	more int // beyond problemsMax
}

func (p *problems) add(path, format string, args ...any) {
	if len(p.list) >= problemsMax {
		p.more++
		return
	}
	p.list = append(p.list, path+": "+fmt.Sprintf(format, args...))
}

// err returns the problems as an error, nil if there are none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	list := p.list
	if p.more > 0 {
		list = append(list, fmt.Sprintf("request: has %d more problems", p.more))
	}
	return &InvalidRequest{Problems: list}
}

// object is a JSON object that is being read. Each of its methods reads one member, adds what is wrong with it to
// problems, and returns the zero value where the member is absent or wrong.
type object struct {
	*problems
	path   string // "" for the document itself
	values map[string]json.RawMessage
}

// readObject opens a JSON object with the fields that it may have, and reports every other field and every repeated one.
func (p *problems) readObject(path string, raw json.RawMessage, fields ...string) object {
	o := object{problems: p, path: path, values: map[string]json.RawMessage{}}
	members, problem := Members(raw)
	if problem != "" {
		p.add(o.name(), "%s", problem)
	}
	for _, m := range members {
		switch _, repeated := o.values[m.Name]; {
		case !slices.Contains(fields, m.Name):
			p.add(o.at(QuoteName(m.Name)), "unknown field%s", didYouMean(m.Name, fields))
		case repeated:
			p.add(o.at(m.Name), "is given more than once")
		default:
			o.values[m.Name] = m.Value
		}
	}
	return o
}

// didYouMean names the field that differs from an unknown one in nothing but case, dashes and underscores.
func didYouMean(name string, fields []string) string {
	plain := strings.ReplaceAll(strings.ReplaceAll(name, "-", ""), "_", "")
	for _, field := range fields {
		if strings.EqualFold(plain, field) {
			return ", did you mean " + field + "?"
		}
	}
	return ""
}

// name is how problems call the object itself.
func (o object) name() string {
	if o.path == "" {
		return "request"
	}
	return o.path
}

// at is the path of a member.
func (o object) at(field string) string {
	if o.path == "" {
		return field
	}
	return o.path + "." + field
}

func (o object) has(field string) bool {
	_, ok := o.values[field]
	return ok
}

// require reports a field that is absent.
func (o object) require(fields ...string) {
	for _, field := range fields {
		if !o.has(field) {
			o.add(o.at(field), "is required")
		}
	}
}

// child opens a member that is an object itself; an absent one has no members.
func (o object) child(field string, fields ...string) object {
	if !o.has(field) {
		return object{problems: o.problems, path: o.at(field)}
	}
	return o.readObject(o.at(field), o.values[field], fields...)
}

// list reads a member that is an array.
func (o object) list(field string) []json.RawMessage {
	var items []json.RawMessage
	if raw, ok := o.values[field]; ok && o.typed(o.at(field), raw, typeArray) {
		_ = json.Unmarshal(raw, &items) // cannot fail: valid JSON, and an array
	}
	return items
}

// text reads a member that is a string, and says whether it is there and is one.
func (o object) text(field string) (string, bool) {
	raw, ok := o.values[field]
	if !ok {
		return "", false
	}
	return o.stringAt(o.at(field), raw)
}

// matching reads a string that must be of a form; the form is told in words.
func (o object) matching(field string, valid func(string) bool, must string) string {
	text, ok := o.text(field)
	if !ok {
		return ""
	}
	if !valid(text) {
		o.add(o.at(field), "%s", must)
		return ""
	}
	return text
}

// integer reads a whole number from lowest to highest; an absent one is fallback.
func (o object) integer(field string, lowest, highest, fallback int) int {
	raw, ok := o.values[field]
	if !ok {
		return fallback
	}
	if !o.typed(o.at(field), raw, typeNumber) {
		return fallback
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < lowest || n > highest {
		o.add(o.at(field), "must be a whole number from %d to %d", lowest, highest)
		return fallback
	}
	return n
}

// stringAt reads a string that is a member or an element.
func (p *problems) stringAt(path string, raw json.RawMessage) (string, bool) {
	if !p.typed(path, raw, typeString) {
		return "", false
	}
	return unquote(bytes.TrimSpace(raw)), true
}

// typed reports a value of another type than wanted.
func (p *problems) typed(path string, raw json.RawMessage, want string) bool {
	got := TypeOf(raw)
	if got != want {
		p.add(path, "must be %s, not %s", want, got)
	}
	return got == want
}

// choice reads a string that must be one of a few; an absent one is the first.
func choice[T ~string](o object, field string, choices ...T) T {
	text, ok := o.text(field)
	if !ok {
		return choices[0]
	}
	if !slices.Contains(choices, T(text)) {
		o.add(o.at(field), "must be %s", oneOf(choices))
		return choices[0]
	}
	return T(text)
}

// oneOf joins choices as a sentence has them: "A, B or C".
func oneOf[T ~string](choices []T) string {
	var b strings.Builder
	for i, c := range choices {
		switch {
		case i == 0:
		case i == len(choices)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(c))
	}
	return b.String()
}
