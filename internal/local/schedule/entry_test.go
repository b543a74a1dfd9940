package schedule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/local/schedule"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// load writes a file of schedules and loads it.
func load(t *testing.T, content string) ([]schedule.Entry, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "schedules.json")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return schedule.Load(file)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	entries, err := load(t, `[
	 {"name":"nightly","scheduleExpression":"cron(0 3 * * ? *)","scheduleExpressionTimezone":"Europe/Berlin",
	  "input":{"jobName":"report","taskDefinition":"report"}},
	 {"name":"often","scheduleExpression":"rate(5 minutes)",
	  "input":"{\"jobName\":\"poll\",\"taskDefinition\":\"poll\",\"schedule\":{\"arn\":\"<aws.scheduler.schedule-arn>\",\"scheduledTime\":\"<aws.scheduler.scheduled-time>\"},\"containerOverrides\":{\"command\":[\"--at\",\"<aws.scheduler.scheduled-time>\",\"<aws.scheduler.attempt-number>\"]}}"}
	]`)
	if err != nil {
		t.Fatal(err)
	}
	const nightly = "arn:aws:scheduler:local:000000000000:schedule/default/nightly"
	const often = "arn:aws:scheduler:local:000000000000:schedule/default/often"
	want := []string{
		`nightly 2026-03-29T01:00:00Z {"schedule":{"arn":"` + nightly + `","scheduledTime":"2026-03-29T01:00:00Z"},` +
			`"jobName":"report","taskDefinition":"report"}`,
		`often 2026-03-28T12:05:00Z {"jobName":"poll","taskDefinition":"poll",` +
			`"schedule":{"arn":"` + often + `","scheduledTime":"2026-03-28T12:05:00Z"},` +
			`"containerOverrides":{"command":["--at","2026-03-28T12:05:00Z","1"]}}`,
	}
	var got []string
	ids := map[string]bool{}
	for _, entry := range entries {
		due, _ := entry.Next(moment("2026-03-28T12:00:00Z"))
		request := entry.Request(due)
		got = append(got, entry.Name+" "+due.Format("2006-01-02T15:04:05Z")+" "+string(request))
		ids[jobs.ResolveID(request)] = true
		ids[jobs.ResolveID(entry.Request(due.AddDate(0, 0, 1)))] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(ids) != 4 || ids[""] {
		t.Errorf("each firing must be a job of its own: %v", ids)
	}
}

func TestLoadTellsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, `[
	 {"name":"a b","scheduleExpression":"rate(5)","input":{"jobName":"n","image":"x"},"target":1},
	 {"name":7,"name":"x","scheduleExpression":"","input":[]},
	 {"input":"job please"},
	 {"name":"x","scheduleExpression":"rate(1 day)","scheduleExpressionTimezone":"Mars/Olympus","input":{"jobName":"n","taskDefinition":"t","jobId":"fixed"}},
	 {"name":"y","scheduleExpression":"rate(1 day)","input":{"jobName":"n","taskDefinition":"t"}},
	 {"name":"y","scheduleExpression":"rate(1 day)","input":{}},
	 {"name":"y","scheduleExpression":"rate(1 day)","input":{"jobName":"n","taskDefinition":"t"}},
	 7]`)
	if err == nil {
		t.Fatal("want an error")
	}
	_, got, _ := strings.Cut(err.Error(), "schedules.json: ")
	want := []string{
		"[0].target: unknown field",
		"[0].name: must be 1 to 64 letters, digits, '.', '-' or '_'",
		"[0].scheduleExpression: rate(5): must be a number from 1 to 999999 and minutes, hours or days",
		"[0].input.image: unknown field",
		"[0].input.taskDefinition: is required",
		"[1].name: is given more than once",
		"[1].name: must be a string, not a number",
		"[1].scheduleExpression: must not be empty",
		"[1].input: must be a job request, as an object or as a string, not an array",
		"[2].name: is required",
		"[2].scheduleExpression: is required",
		"[2].input: is not valid JSON, at byte 1",
		`[3].scheduleExpression: time zone "Mars/Olympus": must be an IANA name such as Europe/Berlin`,
		"[3].input.schedule: must not be given together with jobId, for either alone identifies the job",
		"[5].input.jobName: is required",
		"[5].input.taskDefinition: is required",
		"[6].name: is the name of another schedule already",
		"[7]: must be an object, not a number",
	}
	if diff := cmp.Diff(want, strings.Split(got, "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestLoadRefusesWhatIsNoList(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "{}", "null", "[", "[]]", strings.Repeat(" ", 4<<20) + "[]"} {
		if entries, err := load(t, content); err == nil {
			t.Errorf("%.20q: got %v, want an error", content, entries)
		}
	}
	if _, err := schedule.Load(filepath.Join(t.TempDir(), "missing.json")); err == nil {
		t.Error("a missing file: want an error")
	}
	if entries, err := load(t, " []\n"); err != nil || len(entries) != 0 {
		t.Errorf("an empty list: got %v, %v", entries, err)
	}
}
