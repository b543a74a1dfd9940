package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	ended := func(m *fakeMachine) {
		m.put(newJob("done"), newJob("live"))
		m.write("done", 1, "hello\n")
		finish(m, "done", jobs.CauseExitNonzero, 3)
		m.move("live", func(j *jobs.Job) {
			begin(j, jobs.FargateSpot, epoch)
			j.TaskRunning(epoch)
		})
	}
	idle := func(m *fakeMachine) { ended(m); m.write("live", 1, "hello\n"); m.idle = true }
	billed := func(m *fakeMachine) { // interrupted on Spot after an hour, then on-demand
		ended(m)
		j := newJob("billed")
		ran(j, jobs.FargateSpot, 0, 3600, jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, ExitCode: exitCode(143)})
		ran(j, jobs.FargateOnDemand, 3700, 36000, jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0)})
		j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "", epoch.Add(39710*time.Second))
		m.put(j)
	}
	for name, c := range map[string]struct {
		setup func(*fakeMachine)
		stdin string
		args  []string
	}{
		"submit one":                           {nil, good, []string{"submit"}},
		"submit several, some of them bad":     {nil, withID("a") + "\n{\"jobName\":7}\n{\n" + withID("b"), []string{"submit", "-f", "-"}},
		"submit an id of another request":      {nil, withID("a") + "\n" + withID("a") + "\n" + strings.Replace(withID("a"), "nightly", "daily", 1) + "\n" + withID("b"), []string{"submit"}},
		"submit says that nothing executes":    {func(m *fakeMachine) { m.idle = true }, good, []string{"submit", "-q"}},
		"submit as documents":                  {nil, "[" + withID("a") + "," + withID("b") + "]", []string{"submit", "-o", "json"}},
		"submit without any request":           {nil, "", []string{"submit"}},
		"submit to a store that fails":         {func(m *fakeMachine) { m.refuse = "bad" }, withID("a") + "\n" + strings.Replace(good, "nightly", "bad", 1), []string{"submit"}},
		"submit from a file that is not there": {nil, "", []string{"submit", "-f", "testdata/nothing.json"}},
		"run one, which fails": {func(m *fakeMachine) {
			m.accepted = func(m *fakeMachine, j *jobs.Job) {
				m.write(j.JobID, 1, "hello\n")
				finish(m, j.JobID, jobs.CauseExitNonzero, 3)
			}
		}, good, []string{"run"}},
		"run one as a document": {func(m *fakeMachine) { m.accepted = succeed }, good, []string{"run", "-o", "json"}},
		"run several":           {func(m *fakeMachine) { m.accepted = succeed }, withID("a") + withID("b"), []string{"run"}},
		"run several, of which one does not end well": {
			func(m *fakeMachine) {
				m.accepted = func(m *fakeMachine, j *jobs.Job) {
					if j.JobID == "b" {
						finish(m, "b", jobs.CauseCancelled, 143)
						return
					}
					succeed(m, j)
				}
			}, withID("a") + withID("b") + withID("c"), []string{"run"},
		},
		"run quietly, with a bad request": {func(m *fakeMachine) { m.accepted = succeed }, withID("a") + withID("b") + `{}`, []string{"run", "-q"}},
		"run only bad requests":           {nil, `[{}, {"jobName":"x"}]`, []string{"run"}},
		"local run":                       {func(m *fakeMachine) { m.accepted = succeed }, good, []string{"local", "run", "-f", "-", "--max-tasks", "2"}},
		"local run with nothing to do":    {nil, "", []string{"local", "run"}},
		"local run beside an engine": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error { return local.ErrLocked }
		}, good, []string{"local", "run", "-f", "-"}},
		"local run with flags that cannot be":        {nil, "", []string{"local", "run", "--executor", "vm", "--time-scale", "0", "--max-tasks", "-1", "--launch-delay", "-1s"}},
		"list":                                       {ended, "", []string{"list"}},
		"list by status":                             {ended, "", []string{"list", "--status", "failed", "-q"}},
		"list by a status that is none":              {ended, "", []string{"list", "--status", "DONE"}},
		"list one of many":                           {ended, "", []string{"list", "--limit", "1"}},
		"list nothing":                               {nil, "", []string{"list"}},
		"list nothing as documents":                  {nil, "", []string{"list", "-o", "json"}},
		"list one as documents":                      {ended, "", []string{"list", "-o", "json", "--limit", "1"}},
		"list since a time that is none":             {nil, "", []string{"list", "--since", "soon"}},
		"describe as a document":                     {ended, "", []string{"describe", "done", "-o", "json"}},
		"describe a job that is not":                 {ended, "", []string{"describe", "nothing"}},
		"why":                                        {ended, "", []string{"why", "done"}},
		"logs":                                       {ended, "", []string{"logs", "done"}},
		"list where nothing executes":                {idle, "", []string{"list"}},
		"why where nothing executes":                 {idle, "", []string{"why", "live"}},
		"describe where nothing executes":            {idle, "", []string{"describe", "live", "-o", "json"}},
		"logs where nothing executes":                {idle, "", []string{"logs", "live"}},
		"why of an ended job where nothing executes": {idle, "", []string{"why", "done"}},
		"logs of an attempt that is not":             {ended, "", []string{"logs", "done", "--attempt", "2"}},
		"logs of a job without any":                  {func(m *fakeMachine) { m.put(newJob("new")) }, "", []string{"logs", "new"}},
		"logs followed of an attempt that is not":    {ended, "", []string{"logs", "-f", "done", "--attempt", "9"}},
		"run a directory":                            {nil, "", []string{"run", "-f", "."}},
		"local run a directory":                      {nil, "", []string{"local", "run", "-f", "."}},
		"local up with faults that are none":         {nil, "", []string{"local", "up", "--inject", "no-such-fault,interrupt"}},
		"local up with a bad file": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error {
				return fmt.Errorf("%w: schedules.json: %w", local.ErrUsage, &jobs.InvalidRequest{Problems: []string{"jobName is missing"}})
			}
		}, "", []string{"local", "up", "--schedules", "schedules.json"}},
		"local run with a bad file": {func(m *fakeMachine) {
			m.up = func(context.Context, func(local.Status)) error { return fmt.Errorf("%w: work.json", local.ErrUsage) }
		}, "", []string{"local", "run", "--task-definitions", "work.json"}},
		"submit to no directory":        {nil, good, []string{"submit", "--data", ""}},
		"logs of a job that is not":     {nil, "", []string{"logs", "nothing", "-f"}},
		"wait for a job that has ended": {ended, "", []string{"wait", "done"}},
		"wait for a job that is not":    {ended, "", []string{"wait", "done", "nothing"}},
		"wait in vain":                  {ended, "", []string{"wait", "live", "--timeout", "30s"}},
		"cancel in any state": {
			func(m *fakeMachine) { ended(m); m.put(newJob("new")) }, "",
			[]string{"cancel", "done", "live", "new", "nothing", "--reason", "not needed"},
		},
		"cancel again":                        {func(m *fakeMachine) { ended(m); _, _ = m.Cancel(context.Background(), "live", "") }, "", []string{"cancel", "live"}},
		"retry":                               {ended, "", []string{"retry", "done", "live"}},
		"cost of some jobs":                   {ended, "", []string{"cost", "done", "live", "done"}},
		"cost as a document":                  {billed, "", []string{"cost", "--name", "nightly", "--since", "24h", "-o", "json"}},
		"cost of all jobs":                    {billed, "", []string{"cost"}},
		"cost of no job":                      {nil, "", []string{"cost", "--since", "1h"}},
		"cost of a job that is not":           {ended, "", []string{"cost", "done", "nothing"}},
		"cost of jobs and a name":             {nil, "", []string{"cost", "done", "--name", "nightly"}},
		"local interrupt":                     {ended, "", []string{"local", "interrupt", "live", "nothing"}},
		"an unknown verb":                     {nil, "", []string{"sumbit"}},
		"an unknown verb of local":            {nil, "", []string{"local", "down"}},
		"help about an unknown verb":          {nil, "", []string{"help", "bogus"}},
		"help about an unknown verb of local": {nil, "", []string{"help", "local", "down"}},
		"completion for an unknown shell":     {nil, "", []string{"completion", "tcsh"}},
		"an unknown flag":                     {nil, "", []string{"list", "--all"}},
		"a number that is none":               {nil, "", []string{"list", "--limit", "x"}},
		"a number that is too large":          {nil, "", []string{"list", "--limit", "99999999999999999999"}},
		"neither true nor false":              {nil, "", []string{"list", "--local=perhaps"}},
		"an argument too few":                 {nil, "", []string{"why"}},
		"an argument too many":                {nil, "", []string{"why", "a", "b"}},
		"an attempt that cannot be":           {nil, "", []string{"logs", "a", "--attempt", "0"}},
		"a file without its flag":             {nil, "", []string{"submit", "job.json"}},
		"an argument where none is":           {nil, "", []string{"list", "a"}},
		"an argument that is no id":           {nil, "", []string{"why", "a b"}},
		"a form that is none":                 {nil, "", []string{"list", "-o", "yaml"}},
		"two forms at once":                   {nil, "", []string{"list", "-o", "json", "-q"}},
		"without a backend":                   {nil, "", []string{"list", "--local=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newFake()
				shift := time.Since(epoch)
				m.now = func() time.Time { return time.Now().Add(-shift) } // the bubble's clock begins in 2000
				if c.setup != nil {
					c.setup(m)
				}
				if end := m.accepted; end != nil { // the jobs end one after another, once all are submitted
					m.accepted = func(m *fakeMachine, j *jobs.Job) {
						time.AfterFunc(time.Duration(2+strings.Index("abc", j.JobID))*time.Second, func() { end(m, j) })
					}
				}
				got := newShell(m).run(t.Context(), c.stdin, c.args...)
				golden(t, "cli/"+strings.NewReplacer(" ", "-", ",", "").Replace(name), "$ spotbatch "+strings.Join(c.args, " ")+"\n"+got.String())
			})
		})
	}
}

func TestHelpFitsEightyColumns(t *testing.T) {
	t.Parallel()
	root := newShell(newFake()).cli.root()
	var text strings.Builder
	for _, cmd := range append(root.Commands(), root) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		got := newShell(newFake()).run(t.Context(), "", args...)
		checkWidth(t, strings.Split(got.stdout, "\n"), display{width: 80})
		text.WriteString(got.stdout)
	}
	for _, parent := range root.Commands() {
		for _, cmd := range parent.Commands() {
			if parent.Name() == "local" {
				got := newShell(newFake()).run(t.Context(), "", "local", cmd.Name(), "--help")
				checkWidth(t, strings.Split(got.stdout, "\n"), display{width: 80})
				text.WriteString(got.stdout)
			}
		}
	}
	golden(t, "help", text.String())
}
