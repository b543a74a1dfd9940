package sim

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"log/slog"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// trace is what happened in a world, in words: all of it as a sum, and the lines about one job and those about none.
type trace struct {
	sum   hash.Hash64
	jobID string
	lines []string
}

func newTrace(jobID string) *trace { return &trace{sum: fnv.New64a(), jobID: jobID} }

// note adds a line to the trace, if there is one. about is a job's id, a startedBy, or "".
func (w *World) note(about, format string, args ...any) {
	if w.trace == nil {
		return
	}
	if strings.Contains(about, "/") {
		about = owner(about)
	}
	line := fmt.Sprintf("%12v  %-10s %s", w.since().Round(time.Millisecond), about, fmt.Sprintf(format, args...))
	_, _ = w.trace.sum.Write([]byte(line)) // never fails
	if w.trace.jobID != "" && (about == w.trace.jobID || about == "") {
		w.trace.lines = append(w.trace.lines, line)
	}
}

// listener hears what the engine logs. It refuses to save what jobs.Check refuses, and says so there.
type listener struct{ *coroutine }

func (l listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	if !strings.HasPrefix(r.Message, "no wake-up; ") && r.Message != "stray task" {
		l.p.owes.launch = saved{} // something failed, and was said
	}
	if strings.HasPrefix(r.Message, "the job is stored; ") || strings.HasPrefix(r.Message, "a repeated request could not ") {
		l.p.owes = debts{} // the rest is left to the due time
	}
	r.Attrs(func(a slog.Attr) bool {
		l.p.w.hear(a.Value.String())
		return true
	})
	return nil
}

func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l listener) WithGroup(string) slog.Handler      { return l }

func (w *World) hear(message string) {
	if strings.Contains(message, "may not be saved") {
		w.fail("the engine decides nothing that may not be saved", "", "%s", message)
	}
}

// brief is a job in one line.
func brief(j *jobs.Job) string {
	text := fmt.Sprintf("v%d %s %s", j.Version, j.Status, j.Cause)
	for i := range j.Attempts {
		a := &j.Attempts[i]
		text += fmt.Sprintf("; %d %s %s %s launch %d", a.Number, a.CapacityProvider, a.Status, a.Cause, a.Launches)
		if a.TaskARN != "" {
			text += " task " + jobs.TaskID(a.TaskARN)[26:]
		}
		if a.Repeats > 0 {
			text += fmt.Sprintf(" x%d", a.Repeats+1)
		}
	}
	return text + fmt.Sprintf("; due %s, unpublished %d", j.Internal.DueAt.Format("15:04:05"), j.Internal.Unpublished)
}
