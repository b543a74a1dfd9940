package jobs_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// request returns a request that is valid without more, with more members.
func request(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"jobName":"report","taskDefinition":"report:7"` + more + `}`
}

// accepted is what request("") becomes, changed by edit.
func accepted(edit func(*jobs.Request)) jobs.Request {
	r := jobs.Request{
		JobName:        "report",
		TaskDefinition: "report:7",
		Capacity: jobs.Capacity{
			Strategy: jobs.SpotThenOnDemand, SpotAttempts: 1, ExitZeroOnInterruption: jobs.ExitZeroRetry,
		},
		RetryStrategy: jobs.RetryStrategy{Attempts: 1, BackoffSeconds: 10},
		Timeout:       jobs.Timeout{AttemptDurationSeconds: 86400, StartWithinSeconds: 86400, TotalSeconds: 1209600},
	}
	if edit != nil {
		edit(&r)
	}
	return r
}

func TestParseRequestAccepts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more string
		edit func(*jobs.Request)
	}{
		"the two required fields alone, and fills in every default": {"", nil},
		"a jobId of 64 characters": {
			fmt.Sprintf(`"jobId":%q`, strings.Repeat("a", 64)),
			func(r *jobs.Request) { r.JobID = strings.Repeat("a", 64) },
		},
		"a schedule whose attributes were substituted": {
			`"schedule":{"arn":"arn:aws:scheduler:eu-west-1:123456789012:schedule/default/s","scheduledTime":"2026-01-15T02:00:00Z"}`,
			func(r *jobs.Request) {
				r.Schedule = &jobs.Schedule{
					ARN: "arn:aws:scheduler:eu-west-1:123456789012:schedule/default/s", ScheduledTime: "2026-01-15T02:00:00Z",
				}
			},
		},
		"container overrides": {
			`"containerOverrides":{"name":"main","command":["run","","--at=<aws.x>"],"cpu":"1024","memory":"2048",
			 "environment":[{"name":"spring.profiles.active","value":""},{"name":"MY_AWS_REGION","value":"=\u0001"}]}`,
			func(r *jobs.Request) {
				r.ContainerOverrides = jobs.ContainerOverrides{
					Name: "main", Command: []string{"run", "", "--at=<aws.x>"}, CPU: "1024", Memory: "2048",
					Environment: []jobs.EnvVar{{Name: "spring.profiles.active"}, {Name: "MY_AWS_REGION", Value: "=\x01"}},
				}
			},
		},
		"empty objects and arrays as if they were absent": {
			`"containerOverrides":{"command":[],"environment":[]},"capacity":{},"retryStrategy":{"evaluateOnExit":[]},"timeout":{},"tags":{}`,
			nil,
		},
		"the smallest ephemeral storage": {
			`"ephemeralStorageGiB":21`, func(r *jobs.Request) { r.EphemeralStorageGiB = 21 },
		},
		"the largest ephemeral storage": {
			`"ephemeralStorageGiB":200`, func(r *jobs.Request) { r.EphemeralStorageGiB = 200 },
		},
		"strategy SPOT, with ten interruptions by default": {
			`"capacity":{"strategy":"SPOT"}`,
			func(r *jobs.Request) { r.Capacity.Strategy, r.Capacity.SpotAttempts = jobs.SpotOnly, 10 },
		},
		"strategy SPOT with its own spotAttempts": {
			`"capacity":{"spotAttempts":3,"strategy":"SPOT"}`,
			func(r *jobs.Request) { r.Capacity.Strategy, r.Capacity.SpotAttempts = jobs.SpotOnly, 3 },
		},
		"strategy ON_DEMAND, which has no Spot attempts": {
			`"capacity":{"strategy":"ON_DEMAND","spotAttempts":3,"exitZeroOnInterruption":"SUCCEED"}`,
			func(r *jobs.Request) {
				r.Capacity = jobs.Capacity{Strategy: jobs.OnDemand, ExitZeroOnInterruption: jobs.ExitZeroSucceed}
			},
		},
		"a retry strategy, its actions in any case as AWS Batch prints them": {
			`"retryStrategy":{"attempts":10,"backoffSeconds":0,"evaluateOnExit":[
			 {"onExitCode":"1*","action":"retry"},
			 {"onReason":"OutOfMemoryError: Container killed (137)*","onStatusReason":"*","action":"EXIT"},
			 {"action":"Exit"}]}`,
			func(r *jobs.Request) {
				r.RetryStrategy = jobs.RetryStrategy{Attempts: 10, BackoffSeconds: 0, EvaluateOnExit: []jobs.ExitRule{
					{OnExitCode: "1*", Action: jobs.ActionRetry},
					{OnReason: "OutOfMemoryError: Container killed (137)*", OnStatusReason: "*", Action: jobs.ActionExit},
					{Action: jobs.ActionExit},
				}}
			},
		},
		"the shortest clocks": {
			`"timeout":{"attemptDurationSeconds":60,"startWithinSeconds":1,"totalSeconds":1}`,
			func(r *jobs.Request) {
				r.Timeout = jobs.Timeout{AttemptDurationSeconds: 60, StartWithinSeconds: 1, TotalSeconds: 1}
			},
		},
		"thirty days in all": {
			`"timeout":{"totalSeconds":2592000}`, func(r *jobs.Request) { r.Timeout.TotalSeconds = 2592000 },
		},
		"tags in any script": {
			`"tags":{"team":"","Größe @x":"1 + 1 = 2_:/.-","見積":"はい"}`,
			func(r *jobs.Request) {
				r.Tags = map[string]string{"team": "", "Größe @x": "1 + 1 = 2_:/.-", "見積": "はい"}
			},
		},
		"escaped names, which are the same names": {
			`"\u0074ags":{"a":"b"}`, func(r *jobs.Request) { r.Tags = map[string]string{"a": "b"} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jobs.ParseRequest([]byte(request(c.more)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(accepted(c.edit), got); diff != "" {
				t.Error(diff)
			}
			checkRoundTrip(t, got)
		})
	}
}

// checkRoundTrip: what was accepted, with its defaults, is accepted again and is the same.
func checkRoundTrip(t *testing.T, request jobs.Request) {
	t.Helper()
	written, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jobs.ParseRequest(written)
	if err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	if diff := cmp.Diff(request, again); diff != "" {
		t.Errorf("read again: %s", diff)
	}
}

func TestParseRequestAcceptsTaskDefinitions(t *testing.T) {
	t.Parallel()
	arn := "arn:aws:ecs:us-east-1:123456789012:task-definition/report"
	for name, ok := range map[string]bool{
		"report": true, "report:7": true, arn: true, arn + ":7": true, "a_b-C1": true, strings.Repeat("f", 255): true,
		"arn:aws-us-gov:ecs:us-gov-east-1:123456789012:task-definition/report:1": true,

		"": false, "report:0": false, "report:": false, "report:latest": false, "report:7:8": false, "re port": false,
		"team/report": false, strings.Repeat("f", 256): false, "report:12345678901": false, "report\n": false,
		"arn:aws:ecs:us-east-1:123456789012:cluster/report": false, "arn:aws:ecs:us-east-1::task-definition/report": false,
	} {
		_, err := jobs.ParseRequest(fmt.Appendf(nil, `{"jobName":"n","taskDefinition":%q}`, name))
		if (err == nil) != ok {
			t.Errorf("%q: got error %v, want accepted %v", name, err, ok)
		}
	}
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	const (
		name    = "must be 1 to 128 letters, digits, '-' or '_'"
		id      = "must be 1 to 64 letters, digits, '-' or '_'"
		pattern = "must be 1 to 512 printable characters or white space, with * at the end alone"
		digits  = "must be digits, up to 512 characters, and may end with *"
		envName = "must be 1 to 255 printable ASCII characters without '=' and spaces"
		cpu     = `must be a decimal string of CPU units, such as "1024" for 1 vCPU`
		attr    = "holds a context attribute that was not substituted: EventBridge Scheduler replaces " +
			"<aws.scheduler.schedule-arn> and <aws.scheduler.scheduled-time>, spelled so, in its target's input alone"
	)
	for what, c := range map[string]struct {
		document string
		want     []string
	}{
		"nothing":               {"", []string{"request: is empty"}},
		"white space":           {" \n", []string{"request: is empty"}},
		"bad JSON":              {`{"jobName":`, []string{"request: is not valid JSON, at byte 11"}},
		"trailing data":         {request("") + `{}`, []string{"request: is not valid JSON, at byte 49"}},
		"bad UTF-8":             {"{\"jobName\":\"\xff\"}", []string{"request: is not valid UTF-8"}},
		"a string":              {`"report"`, []string{"request: must be an object, not a string"}},
		"an array":              {`[{}]`, []string{"request: must be an object, not an array"}},
		"null":                  {`null`, []string{"request: must be an object, not null"}},
		"a number":              {` 7`, []string{"request: must be an object, not a number"}},
		"a boolean":             {`true`, []string{"request: must be an object, not a boolean"}},
		"more than 256 KiB":     {strings.Repeat(" ", 256<<10) + "{}", []string{"request: must not be larger than 262144 bytes"}},
		"a document too deep":   {strings.Repeat("[", 20000), []string{"request: is not valid JSON, at byte 10001"}},
		"an empty object":       {`{}`, []string{"jobName: is required", "taskDefinition: is required"}},
		"null for a field":      {request(`"jobId":null`), []string{"jobId: must be a string, not null"}},
		"an unknown field":      {request(`"image":"x"`), []string{"image: unknown field"}},
		"a field in wrong case": {request(`"job-id":"x"`), []string{"job-id: unknown field, did you mean jobId?"}},
		"a field given twice":   {request(`"jobName":"x"`), []string{"jobName: is given more than once"}},
		"an unknown field with control characters": {
			request(`"\u001b[31m\n":1`), []string{`"\x1b[31m\n": unknown field`},
		},
		"an unknown field with an endless name": {
			request(`"` + strings.Repeat("x", 5000) + `":1`), []string{strings.Repeat("x", 64) + "...: unknown field"},
		},
		"an unknown field without a name": {request(`"":1`), []string{`"": unknown field`}},
		"unknown fields at every depth": {
			request(`"schedule":{"arn":"a","scheduledTime":"b","x":1},"capacity":{"x":1},"timeout":{"x":1},
			 "containerOverrides":{"x":1,"environment":[{"name":"A","value":"","x":1}]},
			 "retryStrategy":{"evaluateOnExit":[{"action":"EXIT","x":1}]}`),
			[]string{
				"schedule.x: unknown field", "containerOverrides.x: unknown field",
				"containerOverrides.environment[0].x: unknown field", "capacity.x: unknown field",
				"retryStrategy.evaluateOnExit[0].x: unknown field", "timeout.x: unknown field",
			},
		},
		"a repeated field at depth": {
			request(`"capacity":{"strategy":"SPOT","strategy":"SPOT"}`), []string{"capacity.strategy: is given more than once"},
		},
		"an empty jobName":    {`{"jobName":"","taskDefinition":"t"}`, []string{"jobName: " + name}},
		"a long jobName":      {fmt.Sprintf(`{"jobName":"%0129d","taskDefinition":"t"}`, 0), []string{"jobName: " + name}},
		"a jobName in ümlaut": {`{"jobName":"ü","taskDefinition":"t"}`, []string{"jobName: " + name}},
		"a jobId of 65":       {request(fmt.Sprintf(`"jobId":"%065d"`, 0)), []string{"jobId: " + id}},
		"an empty jobId":      {request(`"jobId":""`), []string{"jobId: " + id}},
		"a jobId with /":      {request(`"jobId":"a/b"`), []string{"jobId: " + id}},
		"a task definition that is a number": {
			`{"jobName":"n","taskDefinition":7}`, []string{"taskDefinition: must be a string, not a number"},
		},
		"an empty schedule": {request(`"schedule":{}`), []string{"schedule.arn: is required", "schedule.scheduledTime: is required"}},
		"a schedule with a jobId": {
			request(`"jobId":"x","schedule":{"arn":"a","scheduledTime":"b"}`),
			[]string{"schedule: must not be given together with jobId, for either alone identifies the job"},
		},
		"attributes that were not substituted": {
			request(`"schedule":{"arn":"<aws.scheduler.schedule-arn>","scheduledTime":"at <aws.scheduler.schedule-time>"}`),
			[]string{"schedule.arn: " + attr, "schedule.scheduledTime: " + attr},
		},
		"attributes that are nothing": {
			request(`"schedule":{"arn":"","scheduledTime":"\n"}`),
			[]string{"schedule.arn: must be 1 to 1224 printable characters", "schedule.scheduledTime: must be 1 to 64 printable characters"},
		},
		"overrides that are no object": {
			request(`"containerOverrides":[]`), []string{"containerOverrides: must be an object, not an array"},
		},
		"a command that is a string": {
			request(`"containerOverrides":{"command":"run me"}`),
			[]string{"containerOverrides.command: must be an array, not a string"},
		},
		"words that are no strings, and NUL": {
			request(`"containerOverrides":{"name":"a b","command":["a",1,null,"\u0000"]}`),
			[]string{
				"containerOverrides.name: must be 1 to 255 letters, digits, '-' or '_'",
				"containerOverrides.command[1]: must be a string, not a number",
				"containerOverrides.command[2]: must be a string, not null",
				"containerOverrides.command[3]: must not contain NUL",
			},
		},
		"an environment that is an object": {
			request(`"containerOverrides":{"environment":{"A":"b"}}`),
			[]string{"containerOverrides.environment: must be an array, not an object"},
		},
		"every bad environment name": {
			request(`"containerOverrides":{"environment":[{"name":"AWS_REGION","value":""},{"name":"ECS_X","value":""},
			 {"name":"SPOTBATCH_JOB_ID","value":""},{"name":"LD_PRELOAD","value":""},{"name":"A=B","value":""},
			 {"name":"","value":""},{"name":"A B","value":""},{"name":"ü","value":""},{"name":"A","value":"\u0000"},
			 {"name":"A","value":""},{"name":1,"value":2},{},7]}`),
			[]string{
				"containerOverrides.environment[0].name: must not begin with AWS_, which is reserved",
				"containerOverrides.environment[1].name: must not begin with ECS_, which is reserved",
				"containerOverrides.environment[2].name: must not begin with SPOTBATCH_, which is reserved",
				"containerOverrides.environment[3].name: must not begin with LD_, which is reserved",
				"containerOverrides.environment[4].name: " + envName,
				"containerOverrides.environment[5].name: " + envName,
				"containerOverrides.environment[6].name: " + envName,
				"containerOverrides.environment[7].name: " + envName,
				"containerOverrides.environment[8].value: must not contain NUL",
				"containerOverrides.environment[9].name: is the name of environment[8] already",
				"containerOverrides.environment[10].name: must be a string, not a number",
				"containerOverrides.environment[10].value: must be a string, not a number",
				"containerOverrides.environment[11].name: is required",
				"containerOverrides.environment[11].value: is required",
				"containerOverrides.environment[12]: must be an object, not a number",
				"containerOverrides.environment[12].name: is required",
				"containerOverrides.environment[12].value: is required",
			},
		},
		"a cpu that is a number": {
			request(`"containerOverrides":{"cpu":1024}`), []string{"containerOverrides.cpu: must be a string, not a number"},
		},
		"a cpu in vCPUs":           {request(`"containerOverrides":{"cpu":"1 vCPU"}`), []string{"containerOverrides.cpu: " + cpu}},
		"a cpu with leading zeros": {request(`"containerOverrides":{"cpu":"0256"}`), []string{"containerOverrides.cpu: " + cpu}},
		"an empty cpu":             {request(`"containerOverrides":{"cpu":""}`), []string{"containerOverrides.cpu: " + cpu}},
		"a memory in words": {
			request(`"containerOverrides":{"memory":"2GB"}`),
			[]string{`containerOverrides.memory: must be a decimal string of MiB, such as "2048"`},
		},
		"Fargate's own 20 GiB":   {request(`"ephemeralStorageGiB":20`), []string{"ephemeralStorageGiB: must be a whole number from 21 to 200"}},
		"201 GiB":                {request(`"ephemeralStorageGiB":201`), []string{"ephemeralStorageGiB: must be a whole number from 21 to 200"}},
		"a fraction":             {request(`"ephemeralStorageGiB":21.0`), []string{"ephemeralStorageGiB: must be a whole number from 21 to 200"}},
		"a number without bound": {request(`"ephemeralStorageGiB":1e999`), []string{"ephemeralStorageGiB: must be a whole number from 21 to 200"}},
		"a number in quotes":     {request(`"ephemeralStorageGiB":"21"`), []string{"ephemeralStorageGiB: must be a number, not a string"}},
		"a bad capacity": {
			request(`"capacity":{"strategy":"spot","spotAttempts":0,"exitZeroOnInterruption":"FAIL"}`),
			[]string{
				"capacity.strategy: must be SPOT_THEN_ON_DEMAND, SPOT or ON_DEMAND",
				"capacity.spotAttempts: must be a whole number from 1 to 10",
				"capacity.exitZeroOnInterruption: must be RETRY or SUCCEED",
			},
		},
		"eleven Spot attempts, even on-demand": {
			request(`"capacity":{"strategy":"ON_DEMAND","spotAttempts":11}`),
			[]string{"capacity.spotAttempts: must be a whole number from 1 to 10"},
		},
		"a bad retry strategy": {
			request(`"retryStrategy":{"attempts":11,"backoffSeconds":901,"evaluateOnExit":[
			 {"onExitCode":"1*2","action":"EXIT"},{"onExitCode":"-1","action":"EXIT"},{"onExitCode":"","action":"MAYBE"},
			 {"onReason":"a*b","onStatusReason":"\u0007"},{"onReason":"","onStatusReason":"**","action":1},{}]}`),
			[]string{
				"retryStrategy.attempts: must be a whole number from 1 to 10",
				"retryStrategy.evaluateOnExit: must not have more than 5 rules",
				"retryStrategy.evaluateOnExit[0].onExitCode: " + digits,
				"retryStrategy.evaluateOnExit[1].onExitCode: " + digits,
				"retryStrategy.evaluateOnExit[2].onExitCode: " + digits,
				"retryStrategy.evaluateOnExit[2].action: must be RETRY or EXIT",
				"retryStrategy.evaluateOnExit[3].onReason: " + pattern,
				"retryStrategy.evaluateOnExit[3].onStatusReason: " + pattern,
				"retryStrategy.evaluateOnExit[3].action: is required",
				"retryStrategy.evaluateOnExit[4].onReason: " + pattern,
				"retryStrategy.evaluateOnExit[4].onStatusReason: " + pattern,
				"retryStrategy.evaluateOnExit[4].action: must be a string, not a number",
				"retryStrategy.backoffSeconds: must be a whole number from 0 to 900",
			},
		},
		"patterns of 513 characters": {
			request(fmt.Sprintf(`"retryStrategy":{"evaluateOnExit":[{"onExitCode":"%0513d","onReason":"%0513d","action":"EXIT"}]}`, 0, 0)),
			[]string{
				"retryStrategy.evaluateOnExit[0].onExitCode: " + digits, "retryStrategy.evaluateOnExit[0].onReason: " + pattern,
			},
		},
		"bad clocks": {
			request(`"timeout":{"attemptDurationSeconds":59,"startWithinSeconds":0,"totalSeconds":2592001}`),
			[]string{
				"timeout.attemptDurationSeconds: must be a whole number from 60 to 2147483647",
				"timeout.startWithinSeconds: must be a whole number from 1 to 2147483647",
				"timeout.totalSeconds: must be a whole number from 1 to 2592000",
			},
		},
		"bad tags": {
			request(`"tags":{"":"x","aws:a":"x","a":"AWS:x","b":"x;y","c":1,"d\n":"x","e":"","e":""}`),
			[]string{
				`tags."": key must be 1 to 128 characters`,
				"tags.aws:a: key must not begin with aws:, which is reserved",
				"tags.a: value must not begin with aws:, which is reserved",
				"tags.b: value must be letters, digits, spaces and + - = . _ : / @",
				"tags.c: must be a string, not a number",
				`tags."d\n": key must be letters, digits, spaces and + - = . _ : / @`,
				"tags.e: is given more than once",
			},
		},
		"tags that are too long": {
			request(fmt.Sprintf(`"tags":{"%0129d":"x","a":"%0257d"}`, 0, 0)),
			[]string{
				"tags." + strings.Repeat("0", 64) + "...: key must be 1 to 128 characters",
				"tags.a: value must be 0 to 256 characters",
			},
		},
		"tags as a list": {request(`"tags":[{"key":"a","value":"b"}]`), []string{"tags: must be an object, not an array"}},
		"forty-one tags": {request(`"tags":` + manyTags(41)), []string{"tags: must not be more than 40"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, err := jobs.ParseRequest([]byte(c.document))
			invalid, ok := errors.AsType[*jobs.InvalidRequest](err)
			if !ok {
				t.Fatalf("got error %v, want an *InvalidRequest", err)
			}
			if diff := cmp.Diff(c.want, invalid.Problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func manyTags(n int) string {
	tags := map[string]string{}
	for i := range n {
		tags[fmt.Sprint("k", i)] = "v"
	}
	written, _ := json.Marshal(tags)
	return string(written)
}

func TestParseRequestTellsEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := jobs.ParseRequest([]byte(`{
	 "jobID": "x", "jobId": "a b", "jobName": "", "schedule": {"arn": "<aws.scheduler.arn>"},
	 "containerOverrides": {"command": ["s3cret", 1], "environment": [{"name": "AWS_KEY", "value": "s3cret"}], "cpu": 1},
	 "ephemeralStorageGiB": 20, "capacity": {"strategy": "CHEAP"}, "retryStrategy": {"attempts": 0},
	 "timeout": {"totalSeconds": "1h"}, "tags": {"a": "s3cret!"}}`))
	want := "invalid request, 15 problems: jobID: unknown field, did you mean jobId?; taskDefinition: is required; " +
		"jobName: must be 1 to 128 letters, digits, '-' or '_'; jobId: must be 1 to 64 letters, digits, '-' or '_'; " +
		"schedule: must not be given together with jobId, for either alone identifies the job; " +
		"schedule.scheduledTime: is required; " +
		"schedule.arn: holds a context attribute that was not substituted: EventBridge Scheduler replaces " +
		"<aws.scheduler.schedule-arn> and <aws.scheduler.scheduled-time>, spelled so, in its target's input alone; " +
		"containerOverrides.command[1]: must be a string, not a number; " +
		"containerOverrides.environment[0].name: must not begin with AWS_, which is reserved; " +
		"containerOverrides.cpu: must be a string, not a number; " +
		"ephemeralStorageGiB: must be a whole number from 21 to 200; " +
		"capacity.strategy: must be SPOT_THEN_ON_DEMAND, SPOT or ON_DEMAND; " +
		"retryStrategy.attempts: must be a whole number from 1 to 10; " +
		"timeout.totalSeconds: must be a number, not a string; " +
		"tags.a: value must be letters, digits, spaces and + - = . _ : / @"
	if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestParseRequestBoundsItsOwnAnswer(t *testing.T) {
	t.Parallel()
	_, err := jobs.ParseRequest([]byte(request(`"containerOverrides":{"command":[1` + strings.Repeat(",1", 499) + `]}`)))
	invalid, ok := errors.AsType[*jobs.InvalidRequest](err)
	if !ok || len(invalid.Problems) != 101 {
		t.Fatalf("got %v", err)
	}
	if got, want := invalid.Problems[100], "request: has 400 more problems"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInvalidRequestWithOneProblemReadsAsASentence(t *testing.T) {
	t.Parallel()
	_, err := jobs.ParseRequest([]byte(`{"jobName":"n"}`))
	if got, want := fmt.Sprint(err), "invalid request: taskDefinition: is required"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
