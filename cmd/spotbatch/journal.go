package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// journal is a log handler for people: how a job moved in one line, everything else as it is.
type journal struct {
	c     *cli
	least slog.Level
	attrs []slog.Attr
}

func (c *cli) journal(least slog.Level) *journal { return &journal{c: c, least: least} }

// Enabled implements slog.Handler.
func (h *journal) Enabled(_ context.Context, level slog.Level) bool { return level >= h.least }

// WithAttrs implements slog.Handler.
func (h *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journal{h.c, h.least, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// WithGroup implements slog.Handler. Nothing here logs in groups.
func (h *journal) WithGroup(string) slog.Handler { return h }

// Handle implements slog.Handler.
func (h *journal) Handle(_ context.Context, r slog.Record) error {
	values := map[string]string{}
	var rest []string
	add := func(a slog.Attr) bool {
		value := plain(a.Value.String())
		values[a.Key] = value
		rest = append(rest, a.Key+"="+value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	if job, to := values["job_id"], values["to"]; r.Level == slog.LevelInfo && job != "" && to != "" {
		h.c.sayNews(newsLine{r.Time, job, to, values["reason"]})
		return nil
	}
	level := ""
	if r.Level > slog.LevelInfo {
		level = r.Level.String() + "  "
	}
	h.c.sayTimed(strings.TrimSpace(fmt.Sprintf("%s  %s%s %s", h.c.clock(r.Time), level, plain(r.Message), strings.Join(rest, " "))))
	return nil
}
