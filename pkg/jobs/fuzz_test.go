package jobs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// addRequests adds good and bad requests to a corpus.
func addRequests(f *testing.F) {
	f.Helper()
	for _, seed := range []string{
		"", "{}", "[]", `{"jobName":"a","jobName":"b"}`, "{\"\x1b\":1}", request(""), request(`"jobId":"x"`),
		request(`"schedule":{"arn":"a","scheduledTime":"<aws.x>"}`),
		request(`"containerOverrides":{"command":["a",7],"environment":[{"name":"A","value":"b"},{"name":"A=","value":null}],"cpu":"256"}`),
		request(`"capacity":{"strategy":"SPOT"},"ephemeralStorageGiB":21`),
		request(`"retryStrategy":{"attempts":3,"evaluateOnExit":[{"onExitCode":"1*","action":"exit"},{"onReason":"a*b"}]}`),
		request(`"timeout":{"attemptDurationSeconds":60,"totalSeconds":1e9}`),
		request(`"tags":{"a":"b","aws:x":"\u0000","":1}`),
	} {
		f.Add([]byte(seed))
	}
	files, err := filepath.Glob("../../events/submit/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
}

// secret is put in place of every value that an error must not quote.
const secret = "zZs3cretZz"

func FuzzParseRequest(f *testing.F) {
	addRequests(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := jobs.ParseRequest(raw)
		if err == nil {
			checkRoundTrip(t, got)
			if _, err := jobs.Fingerprint(raw); err != nil {
				t.Errorf("an accepted request has no fingerprint: %v", err)
			}
		} else {
			checkProblems(t, err)
		}
		if bytes.Contains(raw, []byte(secret)) {
			return
		}
		if _, err := jobs.ParseRequest(withSecrets(raw)); err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error quotes a secret: %v", err)
		}
	})
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	invalid, ok := errors.AsType[*jobs.InvalidRequest](err)
	if !ok || len(invalid.Problems) == 0 {
		t.Fatalf("got %T without problems", err)
	}
	for _, problem := range invalid.Problems {
		if !strings.Contains(problem, ": ") || strings.ContainsFunc(problem, unicode.IsControl) || len(problem) > 1000 {
			t.Errorf("a problem that cannot be shown: %q", problem)
		}
	}
}

// withSecrets replaces the values of command, environment and tags by the secret; what is no document stays as it is.
func withSecrets(raw []byte) []byte {
	var document map[string]any
	if json.Unmarshal(raw, &document) != nil {
		return raw
	}
	if overrides, ok := document["containerOverrides"].(map[string]any); ok {
		for _, field := range []string{"command", "environment"} {
			overrides[field] = withSecret(overrides[field])
		}
	}
	document["tags"] = withSecret(document["tags"])
	written, err := json.Marshal(document)
	if err != nil {
		return raw
	}
	return written
}

func withSecret(value any) any {
	switch value := value.(type) {
	case string:
		return secret
	case []any:
		for i := range value {
			value[i] = withSecret(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = withSecret(value[name])
		}
	}
	return value
}

func FuzzFingerprint(f *testing.F) {
	addRequests(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := jobs.Fingerprint(raw)
		if err != nil {
			return
		}
		if len(got) != 32 || !jobs.ValidID(got) {
			t.Fatalf("got %q", got)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, raw, " ", "\t"); err != nil {
			t.Fatal(err)
		}
		if again, err := jobs.Fingerprint(indented.Bytes()); err != nil || again != got {
			t.Errorf("the same document, indented: got %q, %v, want %q", again, err, got)
		}
		jobs.ResolveID(raw, "message")
		jobs.UsableName(raw)
	})
}

// FuzzMembers holds what Members finds against what encoding/json's decoder does.
func FuzzMembers(f *testing.F) {
	addRequests(f)
	for _, seed := range []string{` { "a" : 1 , "a":[{"b":"}\""}], "c\u0022,":"\\" } `, `{"":{}}`, `{"a":-1e9,"b":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		members, problem := jobs.Members(raw)
		if problem != "" {
			if utf8.Valid(raw) && json.Valid(raw) && jobs.TypeOf(raw) == jobs.TypeOf([]byte("{}")) {
				t.Errorf("a JSON object is refused: %s", problem)
			}
			return
		}
		var want []jobs.Member
		dec := json.NewDecoder(bytes.NewReader(raw))
		if _, err := dec.Token(); err != nil {
			t.Fatal(err)
		}
		for dec.More() {
			name, err := dec.Token()
			var value json.RawMessage
			if err := errors.Join(err, dec.Decode(&value)); err != nil {
				t.Fatal(err)
			}
			want = append(want, jobs.Member{Name: name.(string), Value: value})
		}
		if diff := cmp.Diff(want, members); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
