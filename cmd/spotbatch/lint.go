package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/internal/local"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func (c *cli) lintCommand() *cobra.Command {
	var file string
	var definitions []string
	cmd := &cobra.Command{
		Use:   "lint [-f FILE|-]",
		Short: "Check job requests without submitting them",
		Long: "Check job requests without submitting them, with no AWS account. Every problem of every request is reported with its\n" +
			"place; the exit code is then 2.\n\n" +
			"With --task-definitions requests are also checked against the task definitions that they name, of whatever\n" +
			"revision: container, size, and the length of all overrides.",
		Example: "  spotbatch lint -f jobs.jsonl --task-definitions task-definitions/",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.lint(cmd.Context(), file, definitions)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` of job requests, - for standard input")
	cmd.Flags().StringArrayVar(&definitions, "task-definitions", nil, "`DIR|FILE` of ECS task definitions (repeatable)")
	return cmd
}

func (c *cli) lint(ctx context.Context, file string, definitions []string) error {
	check := func(body []byte) error {
		_, err := jobs.ParseRequest(body)
		return err
	}
	if len(definitions) > 0 {
		d, err := loadDefinitions(ctx, definitions)
		if err != nil {
			return err
		}
		check = d.check
	}
	in, err := c.openRequests(ctx, file)
	if err != nil {
		return err
	}
	defer in.Close()
	good, bad, named := 0, 0, namedRequests{}
	for {
		r, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			_, problem := named.identify(r)
			err = withProblem(check(r.Body), problem)
		}
		switch {
		case err == nil:
			good++
			continue
		case !c.refused(outcome{where: r.Where, err: err}):
			return fmt.Errorf("read the job requests: %w", err)
		case isEmpty(err): // there is none to count
			return exitWith(exitUsage)
		}
		if bad++; r.Where == "" { // no further request can be found
			break
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if bad > 0 {
		c.say("%s bad, %d good.", count(bad, "request"), good)
		return exitWith(exitUsage)
	}
	c.say("%s good.", count(good, "request"))
	return nil
}

// isEmpty reports whether a file of requests holds nothing.
func isEmpty(err error) bool {
	syntax, ok := errors.AsType[*intake.SyntaxError](err)
	return ok && syntax.Problem == intake.NoRequest
}

// withProblem adds a problem, if it is one, to what is wrong with a request already.
func withProblem(err error, problem string) error {
	invalid, bad := errors.AsType[*jobs.InvalidRequest](err)
	switch {
	case problem == "" || err != nil && !bad:
		return err
	case bad:
		return &jobs.InvalidRequest{Problems: append(slices.Clone(invalid.Problems), problem)}
	}
	return &jobs.InvalidRequest{Problems: []string{problem}}
}

// definitionSet is the task definitions of files, by family.
type definitionSet map[string]spot.TaskDefinition

// loadDefinitions reads task definitions as this machine's stand-in for ECS does, which checks them, too.
func loadDefinitions(ctx context.Context, paths []string) (set definitionSet, err error) {
	dir, err := os.MkdirTemp("", "spotbatch-lint-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	system, err := local.Open(ctx, local.Options{DataDir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, system.Close()) }()
	loaded, err := system.Cluster.LoadTaskDefinitions(ctx, paths...)
	if err != nil {
		return nil, usageError(err)
	}
	set = definitionSet{}
	for _, l := range loaded {
		definition, err := system.Engine.Launcher.TaskDefinition(ctx, l.ARN)
		if err != nil {
			return nil, err
		}
		set[definition.Family] = definition
	}
	return set, nil
}

// idLength is that of an SQS message's id, the longest that spotbatch itself gives a job that names none.
const idLength = 36

// check finds what is wrong with a request, as the engine would.
func (s definitionSet) check(body []byte) error {
	request, err := jobs.ParseRequest(body)
	if err != nil {
		return err
	}
	family := familyOf(request.TaskDefinition)
	definition, ok := s[family]
	if !ok {
		return &jobs.InvalidRequest{Problems: []string{"taskDefinition: no file has the family " + family}}
	}
	id := jobs.ResolveID(body)
	if id == "" {
		id = strings.Repeat("x", idLength)
	}
	if _, problems := spot.Pin(id, request, definition, nil); len(problems) > 0 {
		return &jobs.InvalidRequest{Problems: problems}
	}
	return nil
}

// familyOf is the family of a task definition's name: family, family:revision or ARN.
func familyOf(name string) string {
	name = lastPart(name)
	family, _, _ := strings.Cut(name, ":")
	return family
}

// lastPart is what comes after the last slash.
func lastPart(name string) string { return name[strings.LastIndex(name, "/")+1:] }
