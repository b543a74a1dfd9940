package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	// latestMax is how many events the view keeps.
	latestMax = 6
	// barWidth is that of the bar in the view.
	barWidth = 20
)

// progress shows how followed jobs come on: as a view on a terminal, as lines elsewhere.
type progress struct {
	c      *cli
	f      *follower
	screen *screen

	mu     sync.Mutex // guards the four below; held together with no other lock
	single bool       // of one job the lines are shown on a terminal too, between those of its log
	latest []newsLine
	held   []newsLine // lines that are printed only if no more than a few jobs come
	last   []newsLine // how the single job ended, for after its log

	pulsed time.Time // the last summary; guarded by the follower's lock
}

// watch makes the follower tell its progress on standard error.
func (c *cli) watch(f *follower) *progress {
	p := &progress{c: c, f: f, screen: c.console, pulsed: c.now()}
	f.tell, f.show = p.tell, p.show
	return p
}

// alone takes the view away for good: there is one job, and its log is being printed.
func (p *progress) alone() {
	p.mu.Lock()
	p.single = true
	latest := p.latest
	p.latest = nil
	p.mu.Unlock()
	p.screen.setView(nil)
	p.c.sayNews(latest...)
}

// view reports whether there is a view.
func (p *progress) view() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.single && p.c.displayOf(p.c.stderr).live
}

// tell takes in what is new of a job.
func (p *progress) tell(j *jobs.Job, news []newsLine) {
	now, view := p.c.now(), p.view()
	p.mu.Lock()
	for _, line := range news {
		line.at = now
		if p.single && j.Ended() {
			p.last = append(p.last, line)
			continue
		}
		if !view {
			p.held = append(p.held, line)
			continue
		}
		if p.latest = append(p.latest, line); len(p.latest) > latestMax {
			p.latest = p.latest[1:]
		}
	}
	p.mu.Unlock()
	p.release()
}

// settled is how long jobs may take to come in before it counts how many there are.
const settled = time.Second

// release prints the lines held back, or drops them where there are too many jobs for lines.
func (p *progress) release() {
	p.f.mu.Lock()
	many := p.f.len() > fewJobs
	wait := p.f.open && p.c.now().Sub(p.f.began) < settled
	p.f.mu.Unlock()
	if wait && !many {
		return
	}
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.mu.Unlock()
	if !many {
		p.c.sayNews(held...)
	}
}

// show repaints the view, or prints a summary where it is time for one.
func (p *progress) show() {
	if p.view() {
		p.screen.setView(p.lines)
		return
	}
	p.release()
	if summary := p.due(p.c.now()); summary != "" {
		p.screen.print(cut(summary, p.c.displayOf(p.c.stderr).width))
	}
}

// due is a summary, if there are many jobs and it is time for one.
func (p *progress) due(now time.Time) string {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.len() <= fewJobs || now.Sub(p.pulsed) < p.c.pulse {
		return ""
	}
	p.pulsed = now
	return p.c.clock(now) + "  " + p.summary(now)
}

// end takes the view away, and tells what was held back.
func (p *progress) end() {
	p.screen.setView(nil)
	p.release()
	p.mu.Lock()
	last := p.last
	p.last = nil
	p.mu.Unlock()
	p.c.sayNews(last...)
}

// summary is the state of all jobs in one line. The follower is locked.
func (p *progress) summary(now time.Time) string {
	f := p.f
	parts := []string{fmt.Sprintf("%d of %s ended", f.ended(), count(f.len(), "job"))}
	for _, status := range jobs.Statuses() {
		if n := f.counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	return strings.Join(parts, ", ") + p.speed(now)
}

// speed tells the rate and what is left, once there is something to tell it from.
func (p *progress) speed(now time.Time) string {
	ended, took := p.f.ended(), now.Sub(p.f.began)
	if ended == 0 || took < time.Second || p.f.live() == 0 {
		return ""
	}
	rate := float64(ended) / took.Seconds()
	left := time.Duration(float64(p.f.live()) / rate * float64(time.Second))
	unit, shown := "s", rate
	if rate < 1 {
		unit, shown = "min", rate*60
	}
	return fmt.Sprintf("; %.1f/%s, about %s to go", shown, unit, span(left))
}

// lines is the view: how many jobs stand where, the live ones, and what happened last. It fits the display.
func (p *progress) lines(d display) []string {
	p.mu.Lock()
	latest := slices.Clone(p.latest)
	p.mu.Unlock()
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	now := p.c.now()
	lines := p.head(d, now)
	rows := max(d.height-len(lines)-latestMax-5, 3) // two empty lines, the titles, "and more", and the cursor's
	t, left := p.live(now, rows)
	if len(t.rows) > 0 {
		lines = append(append(lines, ""), t.lines(d)...)
		if left > 0 {
			lines = append(lines, d.paint(dim, fmt.Sprintf("and %d more", left)))
		}
	}
	if len(latest) > 0 {
		lines = append(lines, "")
		for _, line := range p.c.newsLines(latest...) {
			lines = append(lines, d.paint(dim, cut(line, d.width)))
		}
	}
	return lines
}

// head is the bar and the counts.
func (p *progress) head(d display, now time.Time) []string {
	f := p.f
	total := max(f.len(), 1)
	full := barWidth * f.ended() / total
	bar := strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
	first := fmt.Sprintf("%s %3d %%  %d of %s, %s%s",
		bar, 100*f.ended()/total, f.ended(), count(f.len(), "job"), span(now.Sub(f.began)), p.speed(now))
	var parts []string
	for _, status := range jobs.Statuses() {
		if n := f.counts[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", status, n))
		}
	}
	return []string{cut(first, d.width), cut(strings.Join(parts, "   "), d.width)}
}

// live lists the live jobs, those that run first; left is how many there was no room for.
func (p *progress) live(now time.Time, rows int) (t *table, left int) {
	t = &table{columns: []column{
		{title: "JOB ID", shrinks: 3, least: 13},
		{title: "NAME", shrinks: 1, least: 8},
		{title: "STATUS"},
		{title: "ATTEMPT", right: true},
		{title: "CAPACITY"},
		{title: "FOR", right: true},
		{title: "", shrinks: 2, least: 4},
	}}
	f := p.f
	shown := map[int]bool{}
	add := func(i int) {
		if len(t.rows) == rows || shown[i] || i < f.base || f.at(i).status.Ended() {
			return
		}
		k := f.at(i)
		shown[i] = true
		t.rows = append(t.rows, []cell{
			{text: k.id},
			{text: dash(plain(k.name))},
			{string(k.status), statusColour(k.status)},
			{text: fmt.Sprint(k.attempt)},
			{text: dash(providerName(k.provider))},
			{text: span(now.Sub(k.since.Time))},
			{k.note(now), yellow},
		})
	}
	for _, i := range f.running {
		add(i)
	}
	for i := f.head; i < f.len() && i < f.head+batchMax; i++ {
		add(i)
	}
	return t, f.live() - len(t.rows)
}

// note is what is out of the ordinary of a live job.
func (m mark) note(now time.Time) string {
	switch {
	case m.cancel:
		return "cancelled"
	case m.state == jobs.AttemptStopping && m.interrupted:
		return "interrupted"
	case m.state == jobs.AttemptStopping:
		return "stopping"
	case m.next.After(now):
		return "next in " + span(m.next.Sub(now))
	}
	return ""
}
