package jobs

import "time"

// timeLayout is RFC 3339 in UTC with exactly three fractional digits, the only form in which a job document holds a time.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is a moment as a job document shows it: UTC, cut to milliseconds. The zero Time means "has not happened" and is
// left out of documents.
type Time struct{ time.Time }

// At cuts t to what a job document can hold, so that a value compares equal before and after it was stored.
func At(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Millisecond)}
}

// Add returns the moment d later.
func (t Time) Add(d time.Duration) Time { return At(t.Time.Add(d)) }

// MarshalJSON writes the moment with milliseconds.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`""`), nil
	}
	text := make([]byte, 0, len(timeLayout)+2)
	text = append(text, '"')
	text = t.UTC().AppendFormat(text, timeLayout)
	return append(text, '"'), nil
}

// UnmarshalJSON reads any RFC 3339 time; an empty string is the zero Time.
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == `""` {
		*t = Time{}
		return nil
	}
	var parsed time.Time
	if err := parsed.UnmarshalJSON(data); err != nil {
		return err
	}
	*t = At(parsed)
	return nil
}
