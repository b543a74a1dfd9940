package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/price"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// totals adds up jobs that have ended.
type totals struct {
	byCause       map[jobs.Cause]int
	spot, demand  int // attempts
	interruptions int
	bill          price.Bill
	unsuccessful  []string // the first of them
}

func newTotals() totals { return totals{byCause: map[jobs.Cause]int{}} }

func (t *totals) add(j *jobs.Job, b price.Bill) {
	t.byCause[j.Cause]++
	for i := range j.Attempts {
		a := &j.Attempts[i]
		n := 1 + a.Repeats
		if a.CapacityProvider == jobs.FargateSpot {
			t.spot += n
		} else {
			t.demand += n
		}
		if a.Cause == jobs.CauseSpotInterruption {
			t.interruptions++
		}
	}
	t.bill.Add(b)
	if j.Status != jobs.StatusSucceeded && len(t.unsuccessful) < fewJobs {
		t.unsuccessful = append(t.unsuccessful, j.JobID)
	}
}

func (t *totals) jobs() int {
	n := 0
	for _, of := range t.byCause {
		n += of
	}
	return n
}

func (t *totals) allSucceeded() bool { return t.jobs() == t.byCause[jobs.CauseSucceeded] }

// lines tells the totals in sentences.
func (t *totals) lines(took time.Duration) []string {
	if t.jobs() == 0 {
		return nil
	}
	return append([]string{fmt.Sprintf("%s in %s: %s.", count(t.jobs(), "job"), span(took), t.causes())}, t.attempts()...)
}

// attempts tells in sentences what capacity the jobs had, and what it cost.
func (t *totals) attempts() []string {
	var lines []string
	if attempts := t.spot + t.demand; attempts > 0 {
		text := fmt.Sprintf("%s: %d on Spot, %d on-demand; ", count(attempts, "attempt"), t.spot, t.demand)
		switch t.interruptions {
		case 0:
			text += "Spot took none away."
		case 1:
			text += "Spot took one away."
		default:
			text += fmt.Sprintf("Spot took %d away.", t.interruptions)
		}
		lines = append(lines, text)
	}
	if text := billText(t.bill); text != "" {
		lines = append(lines, text)
	}
	return lines
}

// causes counts the jobs by cause, in the order of docs/states.md.
func (t *totals) causes() string {
	var parts []string
	for _, cause := range jobs.Causes() {
		if n := t.byCause[cause]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, cause))
		}
	}
	return strings.Join(parts, ", ")
}
