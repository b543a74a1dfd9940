package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// page is a readable page of labelled values.
type page struct {
	d     display
	lines []string
}

// labelWidth is the width of a label with the space after it.
const labelWidth = 18

func (p *page) heading(text string) {
	if len(p.lines) > 0 {
		p.lines = append(p.lines, "")
	}
	p.lines = append(p.lines, p.d.paint(bold, text))
}

// row adds a labelled value, on as many lines as it takes; an empty one is left out.
func (p *page) row(label, value, sgr string) {
	if value == "" {
		return
	}
	lines := []string{value}
	if p.d.width > 0 {
		lines = wrap(value, max(p.d.width-labelWidth-1, 20))
	}
	for i, line := range lines {
		if i > 0 {
			label = ""
		}
		p.lines = append(p.lines, pad(label, labelWidth, false)+p.d.paint(sgr, line))
	}
}

// describe is the page of a job document.
func (c *cli) describe(j *jobs.Job, d display) []string {
	now := c.now()
	p := &page{d: d}
	status := string(j.Status)
	if j.Cause != "" && j.Cause != jobs.CauseSucceeded {
		status += " (" + string(j.Cause) + ")"
	}
	p.row("Job", j.JobID, bold)
	p.row("Name", plain(j.JobName), "")
	p.row("Status", status, statusColour(j.Status))
	p.row("", plain(j.StatusReason), "")
	p.row("Retry of", j.RetryOf, "")
	p.row("Created", c.stampAgo(j.CreatedAt, now), "")
	p.row("Started", c.stampAgo(j.StartedAt, now), "")
	p.row("Cancel requested", c.stampAgo(j.CancelRequestedAt, now), "")
	p.row("Next attempt", c.stampNext(j.NextAttemptAt, now), "")
	p.row("Stopped", c.stopped(j), "")
	if j.Request != nil {
		p.heading("Request")
		p.request(j.Request)
	}
	if len(j.Attempts) > 0 {
		p.heading("Attempts")
		p.lines = append(p.lines, attemptTable(j, now).lines(d)...)
		p.tasks(c, j)
	}
	return p.lines
}

func (c *cli) stampAgo(t jobs.Time, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return c.stamp(t) + ", " + age(now.Sub(t.Time)) + " ago"
}

func (c *cli) stampNext(t jobs.Time, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	if !t.After(now) {
		return c.stamp(t) + ", due"
	}
	return c.stamp(t) + ", in " + span(t.Sub(now))
}

func (c *cli) stopped(j *jobs.Job) string {
	if j.StoppedAt.IsZero() {
		return ""
	}
	return c.stamp(j.StoppedAt) + ", " + span(j.StoppedAt.Sub(j.CreatedAt.Time)) + " after it was created"
}

// request shows what was asked for; defaults that change nothing are left out.
func (p *page) request(r *jobs.Request) {
	p.row("Task definition", plain(r.TaskDefinition), "")
	o := r.ContainerOverrides
	p.row("Container", plain(o.Name), "")
	p.row("Command", quoted(o.Command), "")
	for i, variable := range o.Environment {
		p.row(first(i, "Environment"), plain(variable.Name+"="+variable.Value), "")
	}
	p.row("Size", size(o, r.EphemeralStorageGiB), "")
	p.row("Capacity", capacity(r.Capacity), "")
	p.row("Retries", retries(r.RetryStrategy), "")
	for i, rule := range r.RetryStrategy.EvaluateOnExit {
		p.row(first(i, "On exit"), ruleWord(rule), "")
	}
	p.row("Time limits", fmt.Sprintf("attempt %s, start within %s, in all %s",
		span(r.Timeout.AttemptDuration()), span(r.Timeout.StartWithin()), span(r.Timeout.Total())), "")
	if s := r.Schedule; s != nil {
		p.row("Schedule", plain(s.ARN)+" at "+plain(s.ScheduledTime), "")
	}
	for i, key := range slices.Sorted(maps.Keys(r.Tags)) {
		p.row(first(i, "Tags"), plain(key+"="+r.Tags[key]), "")
	}
}

// first labels the first of several rows alone.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

// quoted writes a command so that its words can be told apart, by a shell too.
func quoted(command []string) string {
	words := make([]string, len(command))
	for i, word := range command {
		words[i] = plain(word)
		if word == "" || word != words[i] || strings.ContainsAny(word, " \"'\\$`;&|<>()*?[]{}~#") {
			words[i] = strconv.Quote(word)
		}
	}
	return strings.Join(words, " ")
}

func size(o jobs.ContainerOverrides, storage int) string {
	var parts []string
	if o.CPU != "" {
		parts = append(parts, o.CPU+" CPU units")
	}
	if o.Memory != "" {
		parts = append(parts, o.Memory+" MiB")
	}
	if storage > 0 {
		parts = append(parts, strconv.Itoa(storage)+" GiB storage")
	}
	return strings.Join(parts, ", ")
}

func capacity(c jobs.Capacity) string {
	text := string(c.Strategy)
	if c.Strategy != jobs.OnDemand {
		text += ", " + count(c.SpotAttempts, "Spot attempt")
		if c.ExitZeroOnInterruption == jobs.ExitZeroSucceed {
			text += ", exit 0 after a notice is success"
		}
	}
	return text
}

func retries(r jobs.RetryStrategy) string {
	text := count(r.Attempts, "attempt")
	if r.Attempts > 1 {
		text += ", backoff from " + span(time.Duration(r.BackoffSeconds)*time.Second)
	}
	return text
}

func ruleWord(rule jobs.ExitRule) string {
	var parts []string
	add := func(name, pattern string) {
		if pattern != "" {
			parts = append(parts, name+" "+plain(pattern))
		}
	}
	add("exit code", rule.OnExitCode)
	add("reason", rule.OnReason)
	add("status reason", rule.OnStatusReason)
	if len(parts) == 0 {
		parts = append(parts, "anything")
	}
	return strings.Join(parts, ", ") + ": " + string(rule.Action)
}

// tasks names the task and the log stream of each attempt.
func (p *page) tasks(c *cli, j *jobs.Job) {
	for i := range j.Attempts {
		a := &j.Attempts[i]
		if a.TaskARN == "" {
			continue
		}
		p.heading("Attempt " + attemptNumbers(a))
		p.row("Task", plain(a.TaskARN), "")
		if a.LogGroup != "" {
			p.row("Log", plain(a.LogGroup+" "+a.LogStream), "")
		}
		p.row("Launched", c.stamp(a.CreatedAt), "")
		p.row("Started", c.stamp(a.StartedAt), "")
		p.row("Interrupted", c.stamp(a.InterruptedAt), "")
		p.row("Stopped", c.stamp(a.StoppedAt), "")
		p.row("Reason", plain(a.Reason), "")
	}
}

// paragraph breaks a text to fit the display's width, or 100 columns where nothing else is known.
func (d display) paragraph(indent, text string) []string {
	width := 100
	if d.width > 0 {
		width = min(d.width, 100)
	}
	lines := wrap(text, max(width-len(indent)-1, 20))
	for i := range lines {
		lines[i] = indent + lines[i]
	}
	return lines
}
