package main

import (
	"fmt"
	"sync"
	"time"
)

// newsLine is what is new of a job, to be shown in a line.
type newsLine struct {
	at     time.Time
	jobID  string
	status string
	text   string
}

// idColumnMax is how wide the column of job ids becomes; generated ids have 20 characters. A longer id stands out.
const idColumnMax = 24

// idColumn is the column of job ids in lines that come one by one: as wide as the longest id so far, within reason.
type idColumn struct {
	mu    sync.Mutex
	width int
}

// see makes room for ids.
func (c *idColumn) see(ids ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if n := columns(id); n <= idColumnMax {
			c.width = max(c.width, n)
		}
	}
}

func (c *idColumn) pad(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pad(id, c.width, false)
}

// tellDone prints what was done to a job. What a line of the terminal has no room for goes on below.
func (c *cli) tellDone(id, what string) error {
	return c.printLines(hang(c.ids.pad(id)+"  "+what, 2, c.displayOf(c.stdout).width))
}

// newsLines lays lines out under one another, and under those before.
func (c *cli) newsLines(news ...newsLine) []string {
	for _, n := range news {
		c.ids.see(n.jobID)
	}
	var lines []string
	for _, n := range news {
		lines = append(lines, fmt.Sprintf("%s  %s  %-9s  %s", c.clock(n.at), c.ids.pad(n.jobID), n.status, n.text))
	}
	return lines
}

// sayNews writes the lines for people.
func (c *cli) sayNews(news ...newsLine) { c.sayTimed(c.newsLines(news...)...) }

// sayTimed writes lines that begin with a time of day. What a line of the terminal has no room for goes on below.
func (c *cli) sayTimed(lines ...string) {
	width := c.displayOf(c.stderr).width
	var broken []string
	for _, line := range lines {
		broken = append(broken, hang(line, len("15:04:05  "), width)...)
	}
	c.console.print(broken...)
}
