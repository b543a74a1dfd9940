package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// column is one column of a table.
type column struct {
	title string
	right bool
	// shrinks is the column's place in the order in which columns become narrower when the display is too narrow, down
	// to least; 0 = it does not.
	shrinks, least int
	// floor is the width that the column has at least where there is room.
	floor int
}

// cell is one cell: a text, and its colour.
type cell struct{ text, sgr string }

// table lays rows out under their columns, two spaces apart.
type table struct {
	columns []column
	rows    [][]cell
}

// lines renders the table within the display's width. A line is never wrapped: what does not fit ends in an ellipsis.
func (t *table) lines(d display) []string {
	widths := t.widths(d.width)
	header := make([]cell, len(t.columns))
	for i, c := range t.columns {
		header[i] = cell{c.title, bold}
	}
	lines := []string{t.line(header, widths, d)}
	for _, row := range t.rows {
		lines = append(lines, t.line(row, widths, d))
	}
	return lines
}

const gap = 2

// widths gives each column what its cells need, and takes away what the display does not have.
func (t *table) widths(display int) []int {
	widths := make([]int, len(t.columns))
	total := gap * (len(t.columns) - 1)
	for i, c := range t.columns {
		widths[i] = max(columns(c.title), c.floor)
		for _, row := range t.rows {
			widths[i] = max(widths[i], columns(row[i].text))
		}
		total += widths[i]
	}
	if display == 0 {
		return widths
	}
	for rank := 1; rank <= len(t.columns); rank++ {
		for i, c := range t.columns {
			if over := total - display; over > 0 && c.shrinks == rank && widths[i] > c.least {
				less := min(over, widths[i]-c.least)
				widths[i] -= less
				total -= less
			}
		}
	}
	for ; total > display; total-- { // a very narrow one: the widest column gives way
		widest := 0
		for i, width := range widths {
			if width > widths[widest] {
				widest = i
			}
		}
		if widths[widest] == 1 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *table) line(row []cell, widths []int, d display) string {
	var b strings.Builder
	for i, c := range row {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		text := pad(cut(c.text, widths[i]), widths[i], t.columns[i].right)
		if i == len(row)-1 && !t.columns[i].right {
			text = strings.TrimRight(text, " ")
		}
		b.WriteString(d.paint(c.sgr, text))
	}
	return strings.TrimRight(b.String(), " ")
}

// jobTable is the table of `list`, one row a job.
func jobTable(list []*jobs.Job, now time.Time) *table {
	t := &table{columns: []column{
		{title: "JOB ID", shrinks: 4, least: 13}, // the last to shrink: a cut id cannot be pasted
		{title: "NAME", shrinks: 1, least: 6},
		{title: "STATUS"},
		{title: "CAUSE", shrinks: 2, least: 10},
		{title: "ATTEMPTS", shrinks: 3, least: 6},
		{title: "AGE", right: true},
	}}
	for _, j := range list {
		t.rows = append(t.rows, []cell{
			{text: j.JobID},
			{text: dash(plain(j.JobName))},
			{string(j.Status), statusColour(j.Status)},
			{text: dash(string(causeOf(j)))},
			{text: attemptsWord(j)},
			{text: age(now.Sub(j.CreatedAt.Time))},
		})
	}
	return t
}

// causeOf is the cause of a job's end, or of what a live job waits after.
func causeOf(j *jobs.Job) jobs.Cause {
	last := j.Last()
	if j.Ended() || last == nil || j.Status == jobs.StatusRunning && last.InterruptedAt.IsZero() {
		return j.Cause
	}
	if last.Status == jobs.AttemptStopping && !last.InterruptedAt.IsZero() {
		return jobs.CauseSpotInterruption
	}
	return last.Cause
}

// attemptTable is the table of a job's attempts.
func attemptTable(j *jobs.Job, now time.Time) *table {
	t := &table{columns: []column{
		{title: "ATTEMPT", right: true},
		{title: "CAPACITY"},
		{title: "STATUS"},
		{title: "CAUSE"},
		{title: "EXIT", right: true},
		{title: "RAN", right: true},
		{title: "REASON", shrinks: 1, least: 8},
	}}
	for i := range j.Attempts {
		a := &j.Attempts[i]
		t.rows = append(t.rows, []cell{
			{text: attemptNumbers(a)},
			{text: providerName(a.CapacityProvider)},
			{text: string(a.Status)},
			{dash(string(a.Cause)), causeColour(a.Cause)},
			{text: exitWord(a)},
			{text: ranWord(a, now)},
			{text: dash(plain(a.Reason))},
		})
	}
	return t
}

// attemptNumbers is an attempt's number, or the range of those that are folded into it.
func attemptNumbers(a *jobs.Attempt) string {
	if a.Repeats > 0 {
		return strconv.Itoa(a.Number-a.Repeats) + "-" + strconv.Itoa(a.Number)
	}
	return strconv.Itoa(a.Number)
}

func exitWord(a *jobs.Attempt) string {
	if a.ExitCode == nil {
		return "-"
	}
	return strconv.Itoa(*a.ExitCode)
}

func ranWord(a *jobs.Attempt, now time.Time) string {
	if !a.Ran() {
		return "-"
	}
	return span(ranFor(a, now))
}

func causeColour(c jobs.Cause) string {
	switch c {
	case "":
		return ""
	case jobs.CauseSucceeded:
		return green
	case jobs.CauseSpotInterruption, jobs.CauseNoCapacity, jobs.CauseQuota, jobs.CauseSubnetFull, jobs.CauseCancelled:
		return yellow
	case jobs.CauseExitNonzero, jobs.CauseOutOfMemory, jobs.CausePlatformFailure, jobs.CauseDeploymentFault,
		jobs.CauseStartFailed, jobs.CauseLaunchRejected, jobs.CauseTimedOut, jobs.CauseRequestRejected:
	}
	return red
}

// dash stands for what is not there.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
