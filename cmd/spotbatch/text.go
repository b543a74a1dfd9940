package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// plain makes a text fit for a terminal: what came from outside must not move its cursor or break its lines.
func plain(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsSpace(c):
			return ' '
		case !unicode.IsPrint(c):
			return '?'
		}
		return c
	}, text)
}

// characters says how wide each is: letters of East Asia and pictures take two columns, marks on letters none. What is of no
// certain width, as the ellipsis, takes one, whatever the user's language.
var characters = runewidth.Condition{StrictEmojiNeutral: true}

// columns is how many columns of a terminal a text takes.
func columns(text string) int {
	n := 0
	for _, c := range text {
		n += characters.RuneWidth(c)
	}
	return n
}

// fit parts a text after what fits into width columns, one character at the least.
func fit(text string, width int) (head, rest string) {
	taken := 0
	for i, c := range text {
		if taken += characters.RuneWidth(c); taken > width && i > 0 {
			return text[:i], text[i:]
		}
	}
	return text, ""
}

// cut shortens a text to width columns, with an ellipsis; 0 = as long as it is.
func cut(text string, width int) string {
	if width <= 0 || columns(text) <= width {
		return text
	}
	if width == 1 {
		return "…"
	}
	head, _ := fit(text, width-1)
	return head + "…"
}

// pad fills a text up with spaces, on the left or on the right.
func pad(text string, width int, right bool) string {
	missing := strings.Repeat(" ", max(width-columns(text), 0))
	if right {
		return missing + text
	}
	return text + missing
}

// wrap breaks a text into lines of at most width columns, at spaces, and in the middle of a word that is longer.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for columns(word) > width {
			if line != "" {
				lines = append(lines, line)
				line = ""
			}
			head, rest := fit(word, width)
			lines, word = append(lines, head), rest
		}
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// hang breaks a line of which the first width columns fit, and goes on below, indented; 0 = it fits.
func hang(line string, indent, width int) []string {
	var lines []string
	for width > 2*indent && columns(line) > width {
		head, rest := fit(line, width)
		// Between words, unless one is too long.
		if at := strings.LastIndexByte(head, ' '); !strings.HasPrefix(rest, " ") && at >= 0 && columns(head[:at]) >= 2*indent {
			head, rest = line[:at], line[at:]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		line = strings.Repeat(" ", indent) + strings.TrimLeft(rest, " ")
	}
	return append(lines, line)
}

// span writes a duration with its two largest units: 0.4s, 12s, 3m12s, 2h5m, 4d3h.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < 100*time.Millisecond:
		return "0s"
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Milliseconds()/100)/10, 'f', 1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return units(d, time.Hour, "h", time.Minute, "m")
	}
	return units(d, day, "d", time.Hour, "h")
}

// units writes a duration in two units, the smaller left out where it is nothing.
func units(d, large time.Duration, l string, small time.Duration, s string) string {
	text := fmt.Sprintf("%d%s", d/large, l)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, s)
	}
	return text
}

// age writes a duration with its largest unit alone.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// stamp writes a moment as a person reads it.
func (c *cli) stamp(t jobs.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(c.zone).Format("2006-01-02 15:04:05 MST")
}

// clock writes the time of day of a moment.
func (c *cli) clock(t time.Time) string { return t.In(c.zone).Format("15:04:05") }

// sinceUsage is the help of a flag that parseSince reads.
const sinceUsage = "jobs created since `TIME`: 90m, 24h, 7d, date, RFC 3339"

// parseSince reads a moment: RFC 3339, a date of now's zone, in which times are shown, or how long ago (90m, 24h, 7d).
func parseSince(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("--since must be a duration such as 90m, 24h or 7d, or a time such as 2006-01-02T15:04:05Z")
}

// providerName is a capacity provider in a word.
func providerName(p jobs.CapacityProvider) string {
	switch p {
	case jobs.FargateSpot:
		return "spot"
	case jobs.FargateOnDemand:
		return "on-demand"
	}
	return plain(string(p))
}

// attemptsWord tells a job's attempts in short: "spot x2, on-demand".
func attemptsWord(j *jobs.Job) string {
	var parts []string
	for i := 0; i < len(j.Attempts); {
		provider, n := j.Attempts[i].CapacityProvider, 0
		for ; i < len(j.Attempts) && j.Attempts[i].CapacityProvider == provider; i++ {
			n += 1 + j.Attempts[i].Repeats
		}
		part := providerName(provider)
		if n > 1 {
			part += " x" + strconv.Itoa(n)
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// ranFor is how long an attempt ran, so far if it still does.
func ranFor(a *jobs.Attempt, now time.Time) time.Duration {
	switch {
	case a.StartedAt.IsZero(): // it never ran, or ECS told of its exit code alone
		return 0
	case a.StoppedAt.IsZero():
		return now.Sub(a.StartedAt.Time)
	}
	return a.StoppedAt.Sub(a.StartedAt.Time)
}
