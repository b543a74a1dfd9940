package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/doctor"
	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

func (c *cli) doctorCommand() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine a deployment on AWS and say how to mend it",
		Long: "Examine a deployment on AWS and say how to mend it: identity, functions, table, cluster, queues, rule, sweep,\n" +
			"dead letters, quotas. It changes nothing. What may not be looked at is unknown, with the action to allow. The exit\n" +
			"code is 1 if there is a problem, or nothing that may be looked at.\n\n" +
			"Without --stack the parts of the deployment are taken from SPOTBATCH_RUNNER, SPOTBATCH_TABLE, SPOTBATCH_CLUSTER,\n" +
			"SPOTBATCH_SUBMIT_FUNCTION, SPOTBATCH_WATCH_FUNCTION, SPOTBATCH_JOBS_QUEUE_URL, SPOTBATCH_EVENTS_QUEUE_URL and\n" +
			"SPOTBATCH_REJECTED_QUEUE_URL; other verbs need of them what they use.",
		Example: "  spotbatch doctor --stack spotbatch",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(out.check(), c.choose()); err != nil {
				return err
			}
			if c.onLocal {
				return usageError(errors.New("doctor examines a deployment on AWS: give --stack NAME" + c.elsewhere()))
			}
			return c.doctor(cmd.Context(), out)
		},
	}
	out.addFlags(cmd, "")
	cmd.Flags().Lookup("output").Usage = "output `FORM`: table or json"
	return cmd
}

// elsewhere says what else keeps a verb on this machine: --stack goes before the environment, but not before --local.
func (c *cli) elsewhere() string {
	if c.given("local") {
		return " without --local"
	}
	return ", or unset SPOTBATCH_LOCAL"
}

func (c *cli) doctor(ctx context.Context, out output) error {
	d, cfg, err := c.findDeployment(ctx)
	if err != nil {
		return err
	}
	if err := d.complete(); err != nil {
		return err
	}
	name := func(p part) string { return d.names[p] }
	findings := doctor.Examine(ctx, doctor.Deployment{
		Region: cfg.Region, Runner: name(partRunner), Table: name(partTable), Cluster: name(partCluster),
		SubmitFunction: name(partSubmit), WatchFunction: name(partWatch), JobsQueueURL: name(partJobsQueue),
		EventsQueueURL: name(partEventsQueue), RejectedQueueURL: name(partRejectedQueue),
	}, doctor.OnAWS(cfg), dynamo.New(cfg, name(partTable), dynamo.WithClock(c.now)), c.now())
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return c.tellFindings(findings, out)
}

// tellFindings prints the findings; the error is the exit code.
func (c *cli) tellFindings(findings []doctor.Finding, out output) error {
	var err error
	if out.form == formJSON {
		err = c.printJSON(findings)
	} else {
		err = c.printLines(findingLines(findings, c.displayOf(c.stdout)))
	}
	if err != nil || doctor.Passed(findings) {
		return err
	}
	return exitWith(exitFailed)
}

// findingLines is a line a check and, below it, how to mend what is wrong. That line is left to the terminal to break: what
// is copied from it is a command.
func findingLines(findings []doctor.Finding, d display) []string {
	var lines []string
	widest := 0
	for _, f := range findings {
		widest = max(widest, columns(f.Check))
	}
	for _, f := range findings {
		head := pad(string(f.Status), len(doctor.Problem), false)
		check := "  " + pad(f.Check, widest, false) + "  "
		indent := len(head) + len(check)
		for i, line := range hang(head+check+plain(f.Found), indent, d.width) {
			if i == 0 {
				line = d.paint(findingColour(f.Status), head) + line[len(head):]
			}
			lines = append(lines, line)
		}
		if f.Mend != "" {
			lines = append(lines, "  mend: "+plain(f.Mend))
		}
	}
	return lines
}

func findingColour(s doctor.Status) string {
	switch s {
	case doctor.OK:
		return green
	case doctor.Problem:
		return red
	case doctor.Warning, doctor.Unknown:
	}
	return yellow
}
