package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// pageMax is the most jobs that a store lists at once.
const pageMax = 1000

// listing is what `list` shows.
type listing struct {
	out    output
	query  jobs.Query
	limit  int
	follow bool
}

func (c *cli) listCommand() *cobra.Command {
	var l listing
	var status, since string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List jobs, newest first",
		Example: "  spotbatch list --status FAILED --since 24h\n  spotbatch list -w",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(l.out.check(), l.parse(status, since, c.now().In(c.zone))); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(b backend) error {
				if l.follow {
					return c.followList(cmd.Context(), b, l)
				}
				return c.list(cmd.Context(), b, l)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "jobs with `STATUS` alone: "+statusNames())
	flags.StringVar(&l.query.Name, "name", "", "jobs with this job `NAME` alone")
	flags.StringVar(&since, "since", "", sinceUsage)
	flags.IntVar(&l.limit, "limit", 100, "at most `N` jobs, 0 for all")
	flags.BoolVarP(&l.follow, "watch", "w", false, "go on and show every change")
	l.out.addFlags(cmd, "print ids only")
	names := make([]string, 0, len(jobs.Statuses()))
	for _, s := range jobs.Statuses() {
		names = append(names, string(s))
	}
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func statusNames() string {
	names := ""
	for i, s := range jobs.Statuses() {
		if i > 0 {
			names += ", "
		}
		names += string(s)
	}
	return names
}

// parse reads the flags that select jobs.
func (l *listing) parse(status, since string, now time.Time) error {
	l.query.Status = jobs.Status(strings.ToUpper(status))
	if status != "" && !slices.Contains(jobs.Statuses(), l.query.Status) {
		return usageError(errors.New("--status must be one of " + statusNames()))
	}
	if l.limit < 0 {
		return usageError(errors.New("--limit must not be negative"))
	}
	if since == "" {
		return nil
	}
	var err error
	if l.query.Since, err = parseSince(since, now); err != nil {
		return usageError(err)
	}
	return nil
}

// listJobs hands the jobs of a query on, page by page; it tells whether there are more than limit (0 = all).
func listJobs(ctx context.Context, b backend, query jobs.Query, limit int, each func([]*jobs.Job) error) (more bool, err error) {
	for left := limit; ; {
		query.Limit = pageMax
		if limit > 0 {
			query.Limit = min(left, pageMax)
		}
		page, err := b.List(ctx, query)
		if err != nil {
			return false, err
		}
		if err := each(page.Jobs); err != nil {
			return false, err
		}
		left -= len(page.Jobs)
		if page.Next == "" || limit > 0 && left <= 0 {
			return page.Next != "", nil
		}
		query.Cursor = page.Next
	}
}

// eachLive does something with every job that has not ended.
func eachLive(ctx context.Context, b backend, do func(*jobs.Job)) error {
	for _, status := range jobs.Statuses() {
		if status.Ended() {
			continue
		}
		_, err := listJobs(ctx, b, jobs.Query{Status: status}, 0, func(page []*jobs.Job) error {
			for _, j := range page {
				do(j)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func anyLive(list []*jobs.Job) bool {
	return slices.ContainsFunc(list, func(j *jobs.Job) bool { return !j.Ended() })
}

func (c *cli) list(ctx context.Context, b backend, l listing) error {
	var rows []*jobs.Job
	live := false
	docs := documents{w: c.stdout}
	docs.several()
	more, err := listJobs(ctx, b, l.query, l.limit, func(page []*jobs.Job) error {
		live = live || anyLive(page)
		for _, j := range page {
			switch {
			case l.out.form == formJSON:
				if err := docs.add(j, false); err != nil {
					return err
				}
			case l.out.quiet:
				if _, err := fmt.Fprintln(c.stdout, j.JobID); err != nil {
					return err
				}
			default:
				rows = append(rows, j)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case l.out.form == formJSON:
		err = docs.close()
	case !l.out.quiet && len(rows) == 0:
		c.say("No jobs.")
	case !l.out.quiet:
		err = c.printLines(jobTable(rows, c.now()).lines(c.displayOf(c.stdout)))
	}
	if more && !l.out.quiet {
		c.say("There are more jobs than %d: --limit 0 lists all, --status, --name and --since select.", l.limit)
	}
	if live {
		c.noteIdle(b)
	}
	return err
}

func (c *cli) printLines(lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(c.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// followList shows the list and every change of it until it is interrupted: a view on a terminal, elsewhere a line or a
// document for each job that changed.
func (c *cli) followList(ctx context.Context, b backend, l listing) error {
	w := &listWatch{c: c, l: l, seen: map[string]int64{}, screen: c.screen(c.stdout)}
	changed := b.Watch(ctx)
	for first := true; ; first = false {
		var rows []*jobs.Job
		_, err := listJobs(ctx, b, l.query, l.limit, func(page []*jobs.Job) error { rows = append(rows, page...); return nil })
		if first && anyLive(rows) {
			c.noteIdle(b)
		}
		if err == nil {
			err = w.show(rows)
		}
		if err == nil {
			err = pause(ctx, max(c.pace, b.manners().pace), changed, nil)
		}
		if ctx.Err() != nil {
			return nil // being interrupted is how this ends
		}
		if err != nil {
			return err
		}
	}
}

// listWatch shows the changes of a list.
type listWatch struct {
	c      *cli
	l      listing
	seen   map[string]int64
	begun  bool
	screen *screen
}

func (w *listWatch) show(rows []*jobs.Job) error {
	if w.l.out.form == formTable && !w.l.out.quiet && w.c.displayOf(w.c.stdout).live {
		w.screen.setView(func(d display) []string {
			return jobTable(rows[:min(len(rows), max(d.height-2, 1))], w.c.now()).lines(d)
		})
		return nil
	}
	seen := make(map[string]int64, len(rows))
	var fresh []*jobs.Job
	for _, j := range slices.Backward(rows) { // the oldest first: what happens is told in its order
		if seen[j.JobID] = j.Version; w.seen[j.JobID] != j.Version {
			fresh = append(fresh, j)
		}
	}
	w.seen = seen
	switch {
	case w.l.out.form == formJSON:
		return w.documents(fresh)
	case w.l.out.quiet:
		for _, j := range fresh {
			if _, err := fmt.Fprintln(w.c.stdout, j.JobID); err != nil {
				return err
			}
		}
		return nil
	case len(fresh) == 0:
		return nil
	}
	t := jobTable(fresh, w.c.now())
	for i, floor := range []int{20, 20, 9, 17, 15, 3} { // each look is laid out alone, and is to line up with those before
		t.columns[i].floor = floor
	}
	lines := t.lines(display{})
	if w.begun {
		lines = lines[1:]
	}
	w.begun = true
	return w.c.printLines(lines)
}

// documents prints one document a line.
func (w *listWatch) documents(fresh []*jobs.Job) error {
	for _, j := range fresh {
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(j.Document(false)); err != nil {
			return err
		}
		if _, err := w.c.stdout.Write(line.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
