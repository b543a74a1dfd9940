package jobs

import (
	"strconv"
	"strings"
)

// Exit is how an attempt ended, as far as evaluateOnExit may look at it.
type Exit struct {
	// TimedOut: the attempt's clock ran out. StatusReason is then "Job attempt duration exceeded timeout".
	TimedOut bool
	// Code is the container's exit code; nil where it has none.
	Code *int
	// Reason is the container's reason, StatusReason the task's stoppedReason.
	Reason, StatusReason string
}

// Evaluate says whether the attempt may be followed by another: the first rule that matches decides. Without one it is
// RETRY, and for a time-out EXIT, as AWS Batch has it.
// https://docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
func (r RetryStrategy) Evaluate(exit Exit) ExitAction {
	for _, rule := range r.EvaluateOnExit {
		if rule.matches(exit) {
			return rule.Action
		}
	}
	if exit.TimedOut {
		return ActionExit
	}
	return ActionRetry
}

// matches reports whether every pattern that the rule gives matches. A time-out is met only by a rule that asks for its
// status reason, so that a rule for exit codes does not catch the SIGTERM of a time-out by accident.
func (rule ExitRule) matches(exit Exit) bool {
	if exit.TimedOut && rule.OnStatusReason == "" {
		return false
	}
	return matchesCode(rule.OnExitCode, exit.Code) &&
		matchesText(rule.OnReason, exit.Reason) &&
		matchesText(rule.OnStatusReason, exit.StatusReason)
}

// matchesCode compares with the code's decimal representation. No code has none, not even for "*".
func matchesCode(pattern string, code *int) bool {
	if code == nil {
		return pattern == ""
	}
	return matchesText(pattern, strconv.Itoa(*code))
}

// matchesText is AWS Batch's glob: exact, or the start if the pattern ends with an asterisk. An empty pattern was not given.
// https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
func matchesText(pattern, text string) bool {
	if start, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(text, start)
	}
	return pattern == "" || pattern == text
}
