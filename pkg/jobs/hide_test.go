package jobs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// keeper is a job whose request holds values that must not be told.
func keeper() *jobs.Job {
	return jobs.Accepted(jobs.Acceptance{JobID: "j", Request: accepted(func(r *jobs.Request) {
		r.ContainerOverrides = jobs.ContainerOverrides{
			Command: []string{"run", "--password=word"},
			Environment: []jobs.EnvVar{
				{Name: "DEBUG", Value: "1"},
				{Name: "LEVEL", Value: "short"},
				{Name: "EMPTY", Value: ""},
				{Name: "A", Value: "secret"},
				{Name: "B", Value: "secret-and-more"},
				{Name: "C", Value: "qu\"oted\\\n<end>"},
				{Name: "D", Value: "日本語の秘密"},
			},
		}
		r.Tags = map[string]string{"team": "payments"}
	})}, time.Unix(0, 0))
}

func TestValuesAreHiddenInWhatOthersWrote(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a value of the environment":              {"A is secret.", "A is ***."},
		"twice":                                   {"secret, secret", "***, ***"},
		"the longer value that holds another":     {"B is secret-and-more.", "B is ***."},
		"a value as it is":                        {"C is qu\"oted\\\n<end>.", "C is ***."},
		"a value in JSON":                         {`{"value":"qu\"oted\\\n<end>"}`, `{"value":"***"}`},
		"a value of six characters, not of bytes": {"D is 日本語の秘密.", "D is ***."},
		"a word of the command":                   {`exec: "--password=word": not found`, `exec: "***": not found`},
		"a tag":                                   {"tag payments", "tag ***"},
		"what is too short to be a secret stays":  {"1 short run", "1 short run"},
		"nothing":                                 {"", ""},
		"a value that was cut":                    {"C is secret, B is secret-and-m…", "C is ***, B is ***…"},
		"a value that was cut before its middle":  {"exec: --passw…", "exec: ***…"},
		"a value that others cut":                 {"exec: --passw", "exec: ***"},
		"a value that others cut, and went on":    {"exec: --passw: not found", "exec: ***: not found"},
		"a value cut to what tells nothing stays": {"exec: --pas…", "exec: --pas…"},
		"what only begins like one stays":         {"--passwd: --passage", "--passwd: --passage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := keeper().HideValues(c.text); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := (&jobs.Job{}).HideValues("secret"); got != "secret" {
		t.Errorf("a job without a request makes %q of it", got)
	}
}

// TestNoReasonOfAJobHoldsItsEnvironment goes through every transition that keeps somebody else's words. A reason may name the
// command, which the document shows as well.
func TestNoReasonOfAJobHoldsItsEnvironment(t *testing.T) {
	t.Parallel()
	const reason = "exec: --password=word with secret-and-more"
	now := time.Unix(0, 0)
	for name, move := range map[string]func(*jobs.Job){
		"LaunchPutOff":  func(j *jobs.Job) { j.LaunchPutOff(reason, true, now) },
		"LaunchRefused": func(j *jobs.Job) { j.LaunchRefused(jobs.CauseQuota, reason, now) },
		"TaskStopping":  func(j *jobs.Job) { j.TaskStopping(reason) },
		"StopAttempt and WaitUntil": func(j *jobs.Job) {
			j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseNoCapacity, Reason: reason, StoppedAt: now})
			j.WaitUntil(now, reason)
		},
		"End":           func(j *jobs.Job) { j.End(jobs.StatusFailed, jobs.CauseLaunchRejected, reason, now) },
		"RequestCancel": func(j *jobs.Job) { j.RequestCancel(reason, now) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := keeper()
			j.BeginAttempt(jobs.FargateSpot, now)
			move(j)
			kept := strings.Join([]string{j.StatusReason, j.Last().Reason, j.Internal.RefusedReason, j.Internal.CancelReason}, " ")
			if strings.Contains(kept, "secret") || !strings.Contains(kept, "exec: --password=word with ***") {
				t.Errorf("the job keeps %q", kept)
			}
		})
	}
}
