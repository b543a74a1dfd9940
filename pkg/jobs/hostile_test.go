package jobs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// hostile is a request that nobody in his right mind sends.
type hostile struct {
	document string
	problem  string // the beginning of one of its problems; "" = it is good
}

// overrides is a request with these overrides, environment one with these entries, whose values are all secret.
func overrides(members string) string { return request(`"containerOverrides":{` + members + `}`) }

func environment(names ...string) string {
	var entries []string
	for _, name := range names {
		entries = append(entries, fmt.Sprintf(`{"name":"%s","value":%q}`, name, secret))
	}
	return overrides(`"environment":[` + strings.Join(entries, ",") + `]`)
}

// named is a request with a jobId, a jobName or a task definition.
func named(field, value string) string {
	fields := map[string]string{"jobName": "n", "taskDefinition": "t", field: value}
	var members []string
	for name, text := range fields {
		members = append(members, fmt.Sprintf(`"%s":"%s"`, name, text))
	}
	return "{" + strings.Join(members, ",") + "}"
}

// deep is a value in so many arrays or objects.
func deep(opening, value, closing string, levels int) string {
	return strings.Repeat(opening, levels) + value + strings.Repeat(closing, levels)
}

// hostileSizes are requests that are large, deep or many.
func hostileSizes() map[string]hostile {
	crowd := strings.Repeat(`"a":"`+secret+`",`, 10_000)
	entry := fmt.Sprintf(`{"name":"","value":%q},`, secret)
	return map[string]hostile{
		"1 MiB of white space": {
			request("") + strings.Repeat(" ", 1<<20),
			"request: must not be larger than 262144 bytes",
		},
		"1 MiB of one string": {
			overrides(`"command":["` + strings.Repeat(secret, 1<<20/len(secret)) + `"]`),
			"request: must not be larger",
		},
		"a command of 400 KB": {
			overrides(`"command":["` + strings.Repeat("x", 400_000) + `"]`),
			"request: must not be larger",
		},
		"10,000 tags": {request(`"tags":` + manyTags(10_000)), "tags: must not be more than 40"},
		"10,000 times the same tag": {
			request(`"tags":{` + strings.TrimSuffix(crowd, ",") + `}`),
			"tags: must not be more than 40",
		},
		"10,000 unknown fields": {request(strings.TrimSuffix(crowd, ",")), "a: unknown field"},
		"6,000 bad environment variables": {
			overrides(`"environment":[` + strings.TrimSuffix(strings.Repeat(entry, 6_000), ",") + `]`),
			"containerOverrides.environment[0].name: must be 1 to 255",
		},
		"20,000 words that are no words": {
			overrides(`"command":[` + strings.TrimSuffix(strings.Repeat(`1,`, 20_000), ",") + `]`),
			"containerOverrides.command[0]: must be a string",
		},
		"10,000 exit rules": {
			request(`"retryStrategy":{"evaluateOnExit":[` + strings.TrimSuffix(strings.Repeat(`{},`, 10_000), ",") + `]}`),
			"retryStrategy.evaluateOnExit: must not have more than 5",
		},
		"9,000 arrays in a command": {
			overrides(`"command":` + deep("[", "1", "]", 9_000)),
			"containerOverrides.command[0]: must be a string, not an array",
		},
		"9,000 objects in tags": {
			request(`"tags":` + deep(`{"a":`, `"`+secret+`"`, "}", 9_000)),
			"tags.a: must be a string, not an object",
		},
		"9,000 objects in an unknown one":  {request(`"x":` + deep(`{"jobName":`, "1", "}", 9_000)), "x: unknown field"},
		"10,000 arrays":                    {deep("[", "", "]", 10_000), "request: must be an object, not an array"},
		"10,001 arrays":                    {deep("[", "", "]", 10_001), "request: is not valid JSON, at byte 10001"},
		"10,000 objects":                   {deep(`{"jobId":`, "1", "}", 10_000), "jobName: is required"},
		"10,001 objects":                   {deep(`{"jobId":`, "1", "}", 10_001), "request: is not valid JSON, at byte"},
		"100,000 arrays that are not over": {strings.Repeat("[", 100_000), "request: is not valid JSON, at byte 10001"},
		"a number of 200,000 digits": {
			request(`"ephemeralStorageGiB":` + strings.Repeat("9", 200_000)),
			"ephemeralStorageGiB: must be a whole number",
		},
		"a jobId of 200,000 characters": {named("jobId", strings.Repeat("x", 200_000)), "jobId: must be 1 to 64"},
		"a name of 200,000 characters":  {request(`"` + strings.Repeat("\u202e", 80_000) + `":1`), `"\u202e\u202e`},
		"a pattern of 200,000 asterisks": {
			request(`"retryStrategy":{"evaluateOnExit":[{"action":"EXIT","onReason":"` + strings.Repeat("*", 200_000) + `"}]}`),
			"retryStrategy.evaluateOnExit[0].onReason: must be",
		},
		"a task definition of colons": {
			named("taskDefinition", strings.Repeat("a:", 100_000)),
			"taskDefinition: must be a family",
		},
		"forty of the largest tags": {request(`"tags":` + largestTags(40)), ""},
	}
}

// largestTags are tags of the most characters, of four bytes each.
func largestTags(n int) string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprintf("%0128d", i)] = strings.Repeat("𠀀", 256)
	}
	written, _ := json.Marshal(tags)
	return string(written)
}

// hostileTypes are values of the wrong type, and numbers that are none.
func hostileTypes() map[string]hostile {
	cases := map[string]hostile{
		"-0 is 0": {request(`"retryStrategy":{"backoffSeconds":-0}`), ""},
		"a number in the exponent": {
			request(`"retryStrategy":{"attempts":1e0}`),
			"retryStrategy.attempts: must be a whole number",
		},
		"an infinite number": {
			request(`"timeout":{"totalSeconds":1e999}`),
			"timeout.totalSeconds: must be a whole number",
		},
		"an infinitely small number": {
			request(`"timeout":{"totalSeconds":1e-999}`),
			"timeout.totalSeconds: must be a whole number",
		},
		"1.0 where an integer is due": {
			request(`"retryStrategy":{"attempts":1.0}`),
			"retryStrategy.attempts: must be a whole number",
		},
		"2^53+1": {
			request(`"timeout":{"startWithinSeconds":9007199254740993}`),
			"timeout.startWithinSeconds: must be a whole number",
		},
		"2^64+1, which wraps to 1": {
			request(`"capacity":{"spotAttempts":18446744073709551617}`),
			"capacity.spotAttempts: must be a whole number",
		},
		"2^32+60, which wraps to 60": {
			request(`"timeout":{"attemptDurationSeconds":4294967356}`),
			"timeout.attemptDurationSeconds: must be a whole number",
		},
		"a negative number": {
			request(`"timeout":{"totalSeconds":-1}`),
			"timeout.totalSeconds: must be a whole number",
		},
		"digits of another script": {overrides(`"cpu":"２５６"`), "containerOverrides.cpu: must be a decimal string"},
		"a size with a sign": {
			overrides(`"memory":"+512"`),
			"containerOverrides.memory: must be a decimal string",
		},
		"NaN":                     {request(`"ephemeralStorageGiB":NaN`), "request: is not valid JSON"},
		"a number in hexadecimal": {request(`"ephemeralStorageGiB":0x1f`), "request: is not valid JSON"},
		"a comment":               {request(`"tags":{}`) + "// " + secret, "request: is not valid JSON"},
		"two documents":           {request("") + request(""), "request: is not valid JSON"},
		"a byte order mark":       {"\ufeff" + request(""), "request: is not valid JSON"},
		"the same member, the last one good": {
			request(`"containerOverrides":{"command":[1]},"containerOverrides":{"command":["a"]}`),
			"containerOverrides: is given more than once",
		},
		"the same member, differently escaped": {
			`{"jobName":"n","job\u004eame":"m","taskDefinition":"t"}`, "jobName: is given more than once",
		},
		"a variable with two values": {
			overrides(`"environment":[{"name":"A","value":"` + secret + `","value":"b"}]`),
			"containerOverrides.environment[0].value: is given more than once",
		},
		"a variable given twice": {
			environment("A", "A"),
			"containerOverrides.environment[1].name: is the name of environment[0] already",
		},
		"a variable by its name as the field": {
			overrides(`"environment":[{"PASSWORD":"` + secret + `"}]`),
			"containerOverrides.environment[0].PASSWORD: unknown field",
		},
		"a variable whose value is an object": {
			overrides(`"environment":[{"name":"A","value":{"` + secret + `":1}}]`),
			"containerOverrides.environment[0].value: must be a string, not an object",
		},
		"a command that is one secret string": {
			overrides(`"command":"` + secret + `"`),
			"containerOverrides.command: must be an array, not a string",
		},
		"a tag that is a list of secret strings": {
			request(`"tags":{"a":["` + secret + `"]}`),
			"tags.a: must be a string, not an array",
		},
		"another prototype": {request(`"__proto__":{"jobId":"x"}`), "__proto__: unknown field"},
	}
	for _, field := range []string{
		"jobName", "jobId", "schedule", "taskDefinition", "containerOverrides", "ephemeralStorageGiB", "capacity", "retryStrategy",
		"timeout", "tags",
	} {
		for _, value := range []string{"null", "true", "[]", "[[]]", "-1.5e3", `""`} {
			cases[field+" is "+value] = hostile{`{"` + field + `":` + value + `}`, field + ": must be"}
		}
	}
	return cases
}

// hostileTexts are characters that are none, names that lead elsewhere, and variables that would take over the task.
func hostileTexts() map[string]hostile {
	cases := map[string]hostile{
		"bad UTF-8 in a value": {
			overrides("\"command\":[\"" + secret + "\xc3\x28\"]"),
			"request: is not valid UTF-8",
		},
		"UTF-8 longer than need be": {named("jobId", "a\xc0\xafb"), "request: is not valid UTF-8"},
		"a surrogate in UTF-8":      {named("jobId", "\xed\xa0\x80"), "request: is not valid UTF-8"},
		"a high surrogate alone": {
			overrides(`"command":["` + secret + `\ud800"]`),
			"request: has half a character at byte 93",
		},
		"a low surrogate alone": {
			overrides(`"environment":[{"name":"A","value":"\uDFFF` + secret + `"}]`),
			"request: has half a character at byte",
		},
		"surrogates in the wrong order": {
			overrides(`"command":["\udc00\ud800"]`),
			"request: has half a character at byte",
		},
		"two high surrogates, one with its half": {
			overrides(`"command":["\ud83d\ud83d\ude00"]`),
			"request: has half a character at byte",
		},
		"half a name":                       {request(`"\ud800":1`), "request: has half a character at byte"},
		"a pair of surrogates":              {overrides(`"command":["\ud83d\ude00"]`), ""},
		"an escaped backslash before ud800": {overrides(`"command":["\\ud800"]`), ""},
		"a control character as it is":      {overrides("\"command\":[\"\x01\"]"), "request: is not valid JSON"},
		"control characters in a command":   {overrides(`"command":["\u0001\u001b[2J\u009b\u007f\r\n"]`), ""},
		"NUL in a command": {
			overrides(`"command":["` + secret + `\u0000"]`),
			"containerOverrides.command[0]: must not contain NUL",
		},
		"NUL in a value": {
			overrides(`"environment":[{"name":"A","value":"` + secret + `\u0000"}]`),
			"containerOverrides.environment[0].value: must not contain NUL",
		},
		"an escape sequence for a name": {
			request(`"\u001b]0;` + "owned" + `\u0007":1`),
			`"\x1b]0;owned\a": unknown field`,
		},
		"a name that runs backwards":     {request(`"\u202etag":1`), `"\u202etag": unknown field`},
		"a name that looks like another": {request(`"jоbId":"x"`), `"j\u043ebId": unknown field`},
		"a container elsewhere":          {overrides(`"name":"../main"`), "containerOverrides.name: must be"},
		"a schedule that was not substituted": {
			request(`"schedule":{"arn":"<aws.scheduler.schedule-arn>","scheduledTime":"<aws.scheduler.scheduled-time>"}`),
			"schedule.arn: holds a context attribute",
		},
		"a schedule that was escaped": {
			request(`"schedule":{"arn":"\u003caws.scheduler.schedule-arn\u003e","scheduledTime":"x"}`),
			"schedule.arn: holds a context attribute",
		},
		"a schedule with a new line": {
			request(`"schedule":{"arn":"a\nb","scheduledTime":"x"}`),
			"schedule.arn: must be 1 to 1224 printable",
		},
		"a task definition of another service": {
			named("taskDefinition", "arn:aws:iam::123456789012:role/admin"),
			"taskDefinition: must be",
		},
		"revision 0":             {named("taskDefinition", "t:0"), "taskDefinition: must be"},
		"a revision without end": {named("taskDefinition", "t:99999999999"), "taskDefinition: must be"},
		"a tag of AWS's": {
			request(`"tags":{"aws:ecs:clusterName":"` + secret + `"}`),
			"tags.aws:ecs:clusterName: key must not begin with aws:",
		},
		"a tag of AWS's in another case": {
			request(`"tags":{"aWs:x":"` + secret + `"}`),
			"tags.aWs:x: key must not begin with aws:",
		},
		"a tag's value of AWS's": {
			request(`"tags":{"a":"AWS:` + secret + `"}`),
			"tags.a: value must not begin with aws:",
		},
		"a tag with a bracket": {request(`"tags":{"a":"<` + secret + `>"}`), "tags.a: value must be letters"},
		"a tag with NUL": {
			request(`"tags":{"a":"` + secret + `\u0000"}`),
			"tags.a: value must be letters",
		},
		"a tag that begins with aws": {request(`"tags":{"awsome":"awake"}`), ""},
		"a variable that nobody reserved": {
			environment("PATH", "aws_region", "Ld_Preload", "spring.profiles.active", "a-b", "_", "AWS", "LD"),
			"",
		},
		"variables that differ in case": {environment("Path", "PATH"), ""},
	}
	for _, text := range []string{
		"../..", "..", ".", "%2e%2e", "a/b", `a\\b`, "a b", "a\\u0000b", "a\\nb", "\\u200b", "ａ", "а", "a.b",
		"a:b", "a%00", "~", "$(id)", "-\u0301", strings.Repeat("a", 129),
	} {
		cases["jobId "+text] = hostile{named("jobId", text), "jobId: must be 1 to 64 letters"}
		cases["jobName "+text] = hostile{named("jobName", text), "jobName: must be 1 to 128 letters"}
	}
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_", "ECS_CONTAINER_METADATA_URI_V4", "SPOTBATCH_ATTEMPT", "LD_PRELOAD", "LD_LIBRARY_PATH",
	} {
		cases["variable "+name] = hostile{environment(name), "containerOverrides.environment[0].name: must not begin with "}
	}
	for _, name := range []string{
		"", "A=B", "=A", "A B", " AWS_REGION", "AWS_REGION\\u0000", "\\u0000", "A\\n", "ＡＷＳ_REGION", "\\u200bAWS_REGION",
		strings.Repeat("A", 256),
	} {
		cases["variable "+name] = hostile{environment(name), "containerOverrides.environment[0].name: must be 1 to 255 printable"}
	}
	return cases
}

func TestHostileRequestsAreRefusedByTheirFieldAndQuoteNothing(t *testing.T) {
	t.Parallel()
	for group, cases := range map[string]map[string]hostile{
		"sizes": hostileSizes(), "types": hostileTypes(), "texts": hostileTexts(),
	} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			for name, c := range cases {
				t.Run(cut(name), func(t *testing.T) {
					t.Parallel()
					checkHostile(t, c)
				})
			}
		})
	}
}

// cut shortens the name of a test.
func cut(name string) string { return name[:min(len(name), 60)] }

// answerMax bounds the whole of an answer, in bytes: 101 problems, none of which is long.
const answerMax = 64 << 10

func checkHostile(t *testing.T, c hostile) {
	t.Helper()
	got, err := jobs.ParseRequest([]byte(c.document))
	// Whatever the request is, its identity is read before it is judged.
	id := jobs.ResolveID([]byte(c.document), "../../message")
	if _, fingerprintErr := jobs.Fingerprint([]byte(c.document)); err == nil && fingerprintErr != nil {
		t.Errorf("it is accepted and has no fingerprint: %v", fingerprintErr)
	}
	name, _ := jobs.UsableName([]byte(c.document))
	if id != "" && !jobs.ValidID(id) {
		t.Errorf("its id is %q", id)
	}
	if strings.ContainsAny(name, "./\\%$ ") {
		t.Errorf("its name is %q", name)
	}
	if c.problem == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		checkRoundTrip(t, got)
		return
	}
	checkProblems(t, err)
	invalid, _ := errors.AsType[*jobs.InvalidRequest](err)
	found := false
	for _, problem := range invalid.Problems {
		found = found || strings.HasPrefix(problem, c.problem)
	}
	if !found {
		t.Errorf("no problem begins with %q:\n%s", c.problem, strings.Join(invalid.Problems[:min(len(invalid.Problems), 10)], "\n"))
	}
	if strings.Contains(err.Error(), secret) {
		t.Error("the answer quotes a value")
	}
	if len(err.Error()) > answerMax {
		t.Errorf("the answer has %d bytes", len(err.Error()))
	}
}
