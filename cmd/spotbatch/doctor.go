package main

import (
	"context"
	"encoding/json"
	"errors"
	"unicode/utf8"

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
			"dead letters, quotas. It changes nothing. The exit code is 1 if there is a problem; what may not be looked at is\n" +
			"unknown, with the action to allow.\n\n" +
			"Without --stack the parts of the deployment are taken from SPOTBATCH_RUNNER, SPOTBATCH_TABLE, SPOTBATCH_CLUSTER,\n" +
			"SPOTBATCH_SUBMIT_FUNCTION, SPOTBATCH_WATCH_FUNCTION, SPOTBATCH_JOBS_QUEUE_URL, SPOTBATCH_EVENTS_QUEUE_URL and\n" +
			"SPOTBATCH_REJECTED_QUEUE_URL; other verbs need of them what they use.",
		Example: "  spotbatch doctor --stack spotbatch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(out.check(), c.choose()); err != nil {
				return err
			}
			if c.onLocal {
				return usageError(errors.New("doctor examines a deployment on AWS: give --stack NAME without --local"))
			}
			return c.doctor(cmd.Context(), out)
		},
	}
	out.addFlags(cmd, "")
	cmd.Flags().Lookup("output").Usage = "output `FORM`: table or json"
	return cmd
}

func (c *cli) doctor(ctx context.Context, out output) error {
	d, cfg, err := c.findDeployment(ctx)
	if err != nil {
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
	failed := exitOK
	for _, f := range findings {
		if f.Status == doctor.Problem {
			failed = exitFailed
		}
	}
	var err error
	if out.form == formJSON {
		err = c.printFindings(findings)
	} else {
		err = c.printLines(findingLines(findings, c.displayOf(c.stdout)))
	}
	if err != nil {
		return err
	}
	return exitWith(failed)
}

func (c *cli) printFindings(findings []doctor.Finding) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}

// findingLines is a line a check and, below it, how to mend what is wrong. That line is left to the terminal to break: what
// is copied from it is a command.
func findingLines(findings []doctor.Finding, d display) []string {
	var lines []string
	widest := 0
	for _, f := range findings {
		widest = max(widest, utf8.RuneCountInString(f.Check))
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
