package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/doctor"
)

// someFindings is one of each.
func someFindings() []doctor.Finding {
	return []doctor.Finding{
		{Check: "identity", Status: doctor.OK, Found: "arn:aws:sts::123456789012:assumed-role/Administrator/me@example.com in eu-west-1"},
		{Check: "cluster", Status: doctor.Problem, Found: "there is no cluster prod-Cluster", Mend: "deploy the stack again; in a new account first: aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"},
		{Check: "jobs dead letters", Status: doctor.Warning, Found: "3 messages", Mend: "mend the cause, then: aws sqs start-message-move-task --region eu-west-1 --source-arn arn:aws:sqs:eu-west-1:123456789012:dead"},
		{Check: "sweep", Status: doctor.Unknown, Found: "not allowed to look", Mend: "allow scheduler:ListSchedules, scheduler:GetSchedule"},
	}
}

func TestFindingsAreTold(t *testing.T) {
	t.Parallel()
	for name, width := range map[string]int{"any": 0, "80": 80} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(newFake())
			s.cli.window = func(any) (int, int, bool) { return width, 24, width > 0 }
			s.cli.getenv = func(string) string { return "dumb" }
			err := s.cli.tellFindings(someFindings(), output{form: formTable})
			if codeOfError(err) != exitFailed {
				t.Errorf("got %v", err)
			}
			golden(t, "doctor-"+name, s.stdout.String())
			for line := range strings.Lines(s.stdout.String()) {
				if width > 0 && len(strings.TrimSpace(line)) > width && !strings.HasPrefix(line, "  mend: ") {
					t.Errorf("%q is wider than %d", line, width)
				}
			}
		})
	}
}

func TestFindingsAsDocuments(t *testing.T) {
	t.Parallel()
	s := newShell(newFake())
	if err := s.cli.tellFindings(someFindings()[:2], output{form: formJSON}); codeOfError(err) != exitFailed {
		t.Fatal(err)
	}
	var got []doctor.Finding
	if err := json.Unmarshal(s.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(someFindings()[:2], got); diff != "" {
		t.Error(diff)
	}
}

// TestDoctorLooksAtTheStack runs the whole verb against a deployment of which hardly anything may be seen.
func TestDoctorLooksAtTheStack(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		f.identity = "arn:aws:iam::123456789012:user/me"
		golden(t, "doctor-stack", s.run(t.Context(), "", "doctor", "--stack", "prod").String())
	})
}

func TestDoctorIsForAWS(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"give --stack NAME, or unset SPOTBATCH_LOCAL\n": {"doctor"},
		"give --stack NAME without --local\n":           {"doctor", "--local"},
	} {
		got := newShell(newFake()).run(t.Context(), "", args...)
		if got.code != exitUsage || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("got %v", got)
		}
	}
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		f.identity = "arn:aws:iam::123456789012:user/me"
		s.cli.getenv = func(name string) string { return map[string]string{"SPOTBATCH_LOCAL": "1"}[name] }
		if got := s.run(t.Context(), "", "doctor", "--stack", "prod"); got.code != 0 {
			t.Errorf("a flag goes before the environment: %v", got)
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(nil)
	inCloud(t, func(t *testing.T, _ *fakeCloud, s *shell) {
		if got := s.run(ctx, "", "doctor", "--stack", "prod"); got.code != exitCancelled || got.stdout != "" {
			t.Errorf("got %v", got)
		}
	})
}
