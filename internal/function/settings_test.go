package function

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// environment is a whole and valid one, changed by pairs of name and value.
func environment(changes ...string) func(string) string {
	values := map[string]string{
		"SPOTBATCH_RUNNER": "nightly", "SPOTBATCH_TABLE": "jobs", "SPOTBATCH_CLUSTER": "batch", "SPOTBATCH_SUBNETS": "subnet-1, subnet-2",
		"SPOTBATCH_SECURITY_GROUPS": "sg-1", "SPOTBATCH_ASSIGN_PUBLIC_IP": "true", "SPOTBATCH_ALLOWED_FAMILIES": "report,etl",
		"SPOTBATCH_REJECTED_QUEUE_URL": "https://sqs/rejected", "SPOTBATCH_EVENTS_QUEUE_URL": "https://sqs/events",
		"SPOTBATCH_JOBS_QUEUE_URL": "https://sqs/jobs", "SPOTBATCH_EVENT_BUS": "default", "SPOTBATCH_LAUNCHES_PER_SECOND": "2.5",
		"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret",
	}
	for i := 0; i < len(changes); i += 2 {
		values[changes[i]] = changes[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestTheSettingsAreReadFromTheEnvironment(t *testing.T) {
	t.Parallel()
	got, err := ReadSettings(environment("SPOTBATCH_RETENTION_DAYS", "7", "SPOTBATCH_EXECUTE_COMMAND", "1", "SPOTBATCH_PLATFORM_VERSION", "1.4.0"))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Runner: "nightly", Table: "jobs", Cluster: "batch", Subnets: []string{"subnet-1", "subnet-2"}, SecurityGroups: []string{"sg-1"},
		AssignPublicIP: true, PlatformVersion: "1.4.0", ExecuteCommand: true, AllowedFamilies: []string{"report", "etl"},
		RejectedQueueURL: "https://sqs/rejected", EventsQueueURL: "https://sqs/events", JobsQueueURL: "https://sqs/jobs",
		EventBus: "default", LaunchesPerSecond: 2.5, Retention: 7 * 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryBadSettingIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := New(environment(
		"SPOTBATCH_RUNNER", "a/b", "SPOTBATCH_TABLE", "", "SPOTBATCH_SUBNETS", " , ", "SPOTBATCH_SECURITY_GROUPS", "1,2,3,4,5,6",
		"SPOTBATCH_ASSIGN_PUBLIC_IP", "ENABLED", "SPOTBATCH_LAUNCHES_PER_SECOND", "0", "SPOTBATCH_RETENTION_DAYS", "soon",
		"AWS_REGION", "", "AWS_SECRET_ACCESS_KEY", "",
	), 0)
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"SPOTBATCH_RUNNER: must be 1-32", "SPOTBATCH_TABLE: is not set", "SPOTBATCH_SUBNETS: names 0; there must be 1 to 16",
		"SPOTBATCH_SECURITY_GROUPS: names 6", "SPOTBATCH_ASSIGN_PUBLIC_IP: must be true or false", "SPOTBATCH_LAUNCHES_PER_SECOND: must be a number",
		"SPOTBATCH_RETENTION_DAYS: must be a number of days", "not set: AWS_REGION, AWS_SECRET_ACCESS_KEY",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from:\n%v", want, err)
		}
	}
}

func TestAWholeEnvironmentMakesAFunction(t *testing.T) {
	t.Parallel()
	f, err := New(environment("SPOTBATCH_RETENTION_DAYS", "7"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if f.Engine.Pacer == nil || f.Engine.Waker == nil || f.Engine.Meter == nil || f.Engine.Times.Retention != 7*24*time.Hour {
		t.Errorf("made %+v", f.Engine.Config)
	}
}
