package jobs

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// hidden is what a value reads as where it must not be read.
const hidden = "***"

// hiddenMin is the shortest value, in characters, that is looked for in a text: "1" or "true" occur in every other sentence,
// and hiding them would make it unreadable and keep no secret.
const hiddenMin = 6

// HideValues hides the request's values of environment, command and tags in a text that others wrote, such as an error of
// ECS's, which may quote what it was sent. It is for logs and errors, where none of them may be.
func (j *Job) HideValues(text string) string {
	if j.Request == nil {
		return text
	}
	values := append(environmentValues(j.Request), j.Request.ContainerOverrides.Command...)
	return hide(text, slices.AppendSeq(values, maps.Values(j.Request.Tags)))
}

// hideEnvironment hides the environment's values alone: a reason in a document may name the program that was not found, but
// Document shows no environment, and neither may a reason.
func (j *Job) hideEnvironment(text string) string {
	if j.Request == nil {
		return text
	}
	return hide(text, environmentValues(j.Request))
}

func environmentValues(r *Request) []string {
	var values []string
	for _, v := range r.ContainerOverrides.Environment {
		values = append(values, v.Value)
	}
	return values
}

// hide replaces every value in a text, as it is and as JSON has it; the longest first, for one may be part of another. The text
// may have been cut, and end within a value.
func hide(text string, values []string) string {
	var forms []string
	for _, value := range values {
		if utf8.RuneCountInString(value) >= hiddenMin {
			forms = append(forms, value, escaped(value))
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range forms {
		text = hideCut(strings.ReplaceAll(text, form, hidden), form)
	}
	return text
}

// hideCut hides the beginning of a value that was cut, if it is long enough to tell: what follows it is the text's end, an ellipsis
// or the next of several reasons.
func hideCut(text, value string) string {
	head := string([]rune(value)[:hiddenMin])
	for from := 0; ; {
		at := strings.Index(text[from:], head)
		if at < 0 {
			return text
		}
		from += at
		end := from + len(head)
		for end < len(text) && end-from < len(value) && text[end] == value[end-from] {
			end++
		}
		if rest := text[end:]; rest == "" || strings.HasPrefix(rest, ellipsis) || strings.HasPrefix(rest, ": ") {
			text, end = text[:from]+hidden+rest, from+len(hidden)
		}
		from = end
	}
}

// escaped is a value as it stands between the quotes of a JSON string.
func escaped(value string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // a string: it cannot fail
	return strings.TrimSuffix(b.String(), "\"\n")[1:]
}
