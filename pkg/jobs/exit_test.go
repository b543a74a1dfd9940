package jobs_test

import (
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	const timedOut = "Job attempt duration exceeded timeout"
	code := func(n int) *int { return &n }
	exitOn := func(rules ...jobs.ExitRule) []jobs.ExitRule { return rules }
	for name, c := range map[string]struct {
		rules []jobs.ExitRule
		exit  jobs.Exit
		want  jobs.ExitAction
	}{
		"no rule matches a failure: it is retried": {nil, jobs.Exit{Code: code(1)}, jobs.ActionRetry},
		"no rule matches a time-out: it is not":    {nil, jobs.Exit{TimedOut: true, StatusReason: timedOut}, jobs.ActionExit},
		"an exit code is compared whole": {
			exitOn(jobs.ExitRule{OnExitCode: "1", Action: jobs.ActionExit}), jobs.Exit{Code: code(10)}, jobs.ActionRetry,
		},
		"an exit code with an asterisk by its start": {
			exitOn(jobs.ExitRule{OnExitCode: "1*", Action: jobs.ActionExit}), jobs.Exit{Code: code(137)}, jobs.ActionExit,
		},
		"no exit code matches no pattern for one": {
			exitOn(jobs.ExitRule{OnExitCode: "*", Action: jobs.ActionExit}), jobs.Exit{}, jobs.ActionRetry,
		},
		"no exit code matches a rule that asks for none": {
			exitOn(jobs.ExitRule{OnReason: "OutOfMemory*", Action: jobs.ActionExit}),
			jobs.Exit{Reason: "OutOfMemoryError: Container killed due to memory usage"},
			jobs.ActionExit,
		},
		"the usual rule for everything else matches an empty reason": {
			exitOn(jobs.ExitRule{OnReason: "*", Action: jobs.ActionExit}), jobs.Exit{Code: code(1)}, jobs.ActionExit,
		},
		"a rule without patterns matches every failure": {
			exitOn(jobs.ExitRule{Action: jobs.ActionExit}), jobs.Exit{Code: code(1)}, jobs.ActionExit,
		},
		"the first rule that matches wins": {
			exitOn(
				jobs.ExitRule{OnExitCode: "2", Action: jobs.ActionExit},
				jobs.ExitRule{OnExitCode: "1", Action: jobs.ActionRetry},
				jobs.ExitRule{OnExitCode: "*", Action: jobs.ActionExit},
			),
			jobs.Exit{Code: code(1)},
			jobs.ActionRetry,
		},
		"one of several patterns does not match: the rule does not": {
			exitOn(jobs.ExitRule{OnExitCode: "1", OnStatusReason: "Essential*", OnReason: "x", Action: jobs.ActionExit}),
			jobs.Exit{Code: code(1), StatusReason: "Essential container in task exited"},
			jobs.ActionRetry,
		},
		"patterns look at case": {
			exitOn(jobs.ExitRule{OnReason: "outofmemory*", Action: jobs.ActionExit}), jobs.Exit{Reason: "OutOfMemoryError"}, jobs.ActionRetry,
		},
		"a time-out is met by its status reason": {
			exitOn(jobs.ExitRule{OnStatusReason: "Job attempt duration*", Action: jobs.ActionRetry}),
			jobs.Exit{TimedOut: true, Code: code(143), StatusReason: timedOut},
			jobs.ActionRetry,
		},
		"a time-out is not met by its exit code": {
			exitOn(jobs.ExitRule{OnExitCode: "143", Action: jobs.ActionRetry}),
			jobs.Exit{TimedOut: true, Code: code(143), StatusReason: timedOut},
			jobs.ActionExit,
		},
		"a time-out is not met by a rule without patterns": {
			exitOn(jobs.ExitRule{Action: jobs.ActionRetry}), jobs.Exit{TimedOut: true, StatusReason: timedOut}, jobs.ActionExit,
		},
		"a time-out must meet the other patterns of the rule as well": {
			exitOn(jobs.ExitRule{OnStatusReason: "*", OnExitCode: "1", Action: jobs.ActionRetry}),
			jobs.Exit{TimedOut: true, Code: code(143), StatusReason: timedOut},
			jobs.ActionExit,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (jobs.RetryStrategy{EvaluateOnExit: c.rules}).Evaluate(c.exit); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// FuzzGlob compares the glob with its definition in words.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"", ""}, {"*", ""}, {"Host EC2*", "Host EC2 (i-1) terminated"}, {"a", "ab"}, {"a*", "ab"}, {"**", "*"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		rules := jobs.RetryStrategy{EvaluateOnExit: []jobs.ExitRule{{OnReason: pattern, Action: jobs.ActionExit}}}
		want := pattern == "" || pattern == text && !strings.HasSuffix(pattern, "*")
		if n := len(pattern) - 1; n >= 0 && pattern[n] == '*' {
			want = len(text) >= n && text[:n] == pattern[:n]
		}
		if got := rules.Evaluate(jobs.Exit{Reason: text}) == jobs.ActionExit; got != want {
			t.Errorf("%q matches %q: got %v, want %v", pattern, text, got, want)
		}
	})
}
