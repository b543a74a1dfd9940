package jobs_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestNormalizeID(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ identity, want string }{
		"a jobId is itself":           {"nightly_2026-01-15", "nightly_2026-01-15"},
		"a UUID is itself":            {"11111111-2222-4333-8444-123456789012", "11111111-2222-4333-8444-123456789012"},
		"an ARN becomes its digest":   {"arn:aws:events:us-east-1:123456789012:rule/r", "18f9af574621ff81bbfcb61c282fd8a6"},
		"65 characters become theirs": {strings.Repeat("a", 65), "635361c48bb9eab14198e76ea8ab7f1a"},
		"so does nothing":             {"", "e3b0c44298fc1c149afbf4c8996fb924"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := jobs.NormalizeID(c.identity); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestResolveID(t *testing.T) {
	t.Parallel()
	const schedule = `"schedule":{"arn":"arn:s","scheduledTime":"2026-01-15T02:00:00Z"}`
	fired := jobs.ScheduleID("arn:s", "2026-01-15T02:00:00Z")
	for name, c := range map[string]struct {
		document  string
		envelopes []string
		want      string
	}{
		"the jobId comes first":                {request(`"jobId":"mine",` + schedule), []string{"event"}, "mine"},
		"then the schedule's firing":           {request(schedule), []string{"event", "message"}, fired},
		"then the event":                       {request(""), []string{"event", "message"}, "event"},
		"then the message":                     {request(""), []string{"", "message"}, "message"},
		"an envelope's identity is normalized": {request(""), []string{"a b"}, jobs.NormalizeID("a b")},
		"then nothing, and the caller rolls":   {request(""), []string{"", ""}, ""},
		"a bad jobId is never replaced":        {request(`"jobId":"a b"`), []string{"event"}, ""},
		"a repeated jobId is not usable":       {`{"jobId":"a","jobId":"b"}`, []string{"event"}, ""},
		"a literal attribute identifies nothing": {
			request(`"schedule":{"arn":"<aws.scheduler.schedule-arn>","scheduledTime":"x"}`), []string{"event"}, "",
		},
		"half a schedule identifies nothing":           {request(`"schedule":{"arn":"x"}`), []string{"event"}, ""},
		"what is no document is known by its envelope": {"job please", []string{"", "message"}, "message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := jobs.ResolveID([]byte(c.document), c.envelopes...); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if len(fired) != 32 || jobs.ScheduleID("arn:s", "") != "" || jobs.ScheduleID("arn:s", "2026-01-15T02:01:00Z") == fired {
		t.Errorf("ScheduleID: got %q", fired)
	}
}

func TestUsableName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ document, want string }{
		"that of a request that is bad otherwise": {`{"jobId":"a","jobName":"n","x":1,"x":2}`, "n"},
		"none where it is bad itself":             {`{"jobId":"a b","jobName":7}`, ""},
		"none where it is given twice":            {`{"jobName":"n","jobName":"n"}`, ""},
		"none of what is no document":             {`{"jobId":"a","jobName":"n"`, ""},
		"none where there is none":                {`{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, ok := jobs.UsableName([]byte(c.document)); got != c.want || ok != (c.want != "") {
				t.Errorf("got %q, %v", got, ok)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	const one = `{"jobName":"n","tags":{"a":"1","b":"é"},"timeout":{"totalSeconds":60}}`
	for name, c := range map[string]struct {
		other string
		same  bool
	}{
		"the order of names does not matter":     {`{"timeout":{"totalSeconds":60},"tags":{"b":"é","a":"1"},"jobName":"n"}`, true},
		"nor do white space and escapes":         {"{ \"jobName\" : \"\\u006e\",\n\"tags\":{\"a\":\"1\",\"b\":\"\\u00e9\"},\"timeout\":{\"totalSeconds\":60} }", true},
		"nor does the firing of a schedule":      {strings.Replace(one, "{", `{"schedule":{"arn":"x","scheduledTime":"y"},`, 1), true},
		"a number counts as it is written":       {strings.Replace(one, "60", "6e1", 1), false},
		"a string is no number":                  {strings.Replace(one, "60", `"60"`, 1), false},
		"another value is another request":       {strings.Replace(one, `"1"`, `"2"`, 1), false},
		"a default that is written out is too":   {strings.Replace(one, "{", `{"capacity":{"spotAttempts":1},`, 1), false},
		"a schedule further down is not skipped": {strings.Replace(one, `"a":"1"`, `"a":"1","schedule":"x"`, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fingerprint(t, one) == fingerprint(t, c.other); got != c.same {
				t.Errorf("same: got %v, want %v", got, c.same)
			}
		})
	}
}

// TestFingerprintIsStable: fingerprints are stored, so another release must compute the same.
func TestFingerprintIsStable(t *testing.T) {
	t.Parallel()
	const want = "32705671b2166466dcc1fef6e03f9e68"
	if got := fingerprint(t, `{"jobName":"n","containerOverrides":{"command":["<&>","\u2028é",1.50,true,null,{}]}}`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func fingerprint(t *testing.T, document string) string {
	t.Helper()
	got, err := jobs.Fingerprint([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return got
}

func TestFingerprintRefusesWhatHasNoCanonicalForm(t *testing.T) {
	t.Parallel()
	for _, document := range []string{
		``, `[]`, `{`, `{"a":1,"a":1}`, `{"a":[{"b":1,"b":2}]}`, `{"a":` + strings.Repeat("[", 16) + strings.Repeat("]", 16) + `}`,
	} {
		if got, err := jobs.Fingerprint([]byte(document)); err == nil {
			t.Errorf("%s: got %s, want an error", document, got)
		}
	}
}

func TestNormalizeIDIsAlwaysAnIDAndIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := jobs.NormalizeID(rapid.String().Draw(t, "identity"))
		if !jobs.ValidID(id) || jobs.NormalizeID(id) != id {
			t.Fatalf("got %q", id)
		}
	})
}
