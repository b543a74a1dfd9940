package awstemplate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

// The comparisons as AWS's page shows them, each with what it matches and what it does not.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func TestEventPatternsMatchAsAWSDocumentsThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pattern  string
		yes, not []string
	}{
		"exact values, any of a list": {
			`{"source":["aws.ec2"],"detail":{"state":["stopped","terminated"]}}`,
			[]string{`{"source":"aws.ec2","detail":{"state":"stopped"}}`, `{"source":"aws.ec2","detail":{"state":"terminated","x":1}}`},
			[]string{`{"source":"aws.ec2","detail":{"state":"running"}}`, `{"source":"aws.ecs","detail":{"state":"stopped"}}`, `{"source":"aws.ec2"}`},
		},
		"values of an array": {
			`{"resources":["arn:1","arn:2"]}`, []string{`{"resources":["arn:0","arn:2"]}`}, []string{`{"resources":["arn:0"]}`, `{"resources":[]}`},
		},
		"objects of an array, one as a whole": {
			`{"containers":{"name":["a"],"code":[0]}}`,
			[]string{`{"containers":[{"name":"b","code":1},{"name":"a","code":0}]}`},
			[]string{`{"containers":[{"name":"a","code":1},{"name":"b","code":0}]}`},
		},
		"empty and null": {
			`{"name":[""],"middle":[null]}`, []string{`{"name":"","middle":null}`}, []string{`{"name":null,"middle":null}`, `{"name":""}`},
		},
		"a number is not its text": {`{"n":[5]}`, []string{`{"n":5.0}`}, []string{`{"n":"5"}`}},
		"prefix": {
			`{"time":[{"prefix":"2017-10-02"}]}`,
			[]string{`{"time":"2017-10-02T18:43:48Z"}`},
			[]string{`{"time":"2017-10-03"}`, `{}`, `{"time":2017}`},
		},
		"prefix, ignoring case": {
			`{"service":[{"prefix":{"equals-ignore-case":"EventB"}}]}`,
			[]string{`{"service":"eventbridge"}`},
			[]string{`{"service":"event"}`},
		},
		"suffix": {
			`{"FileName":[{"suffix":".png"}]}`,
			[]string{`{"FileName":"a.png"}`},
			[]string{`{"FileName":"a.PNG"}`},
		},
		"suffix, ignoring case": {
			`{"FileName":[{"suffix":{"equals-ignore-case":".png"}}]}`,
			[]string{`{"FileName":"a.PNG"}`},
			[]string{`{"FileName":"png.a"}`},
		},
		"anything but": {
			`{"state":[{"anything-but":"initializing"}]}`,
			[]string{`{"state":"x"}`},
			[]string{`{"state":"initializing"}`, `{}`},
		},
		"anything but a number": {`{"x-limit":[{"anything-but":123}]}`, []string{`{"x-limit":5}`}, []string{`{"x-limit":123}`}},
		"anything but several": {
			`{"x-limit":[{"anything-but":[100,200,300]}]}`,
			[]string{`{"x-limit":5}`},
			[]string{`{"x-limit":200}`},
		},
		"anything but a prefix": {
			`{"state":[{"anything-but":{"prefix":"init"}}]}`,
			[]string{`{"state":"x"}`},
			[]string{`{"state":"initializing"}`},
		},
		"anything but suffixes": {
			`{"f":[{"anything-but":{"suffix":[".txt",".rtf"]}}]}`,
			[]string{`{"f":"a.png"}`},
			[]string{`{"f":"a.rtf"}`},
		},
		"anything but a wildcard": {
			`{"FilePath":[{"anything-but":{"wildcard":"*/lib/*"}}]}`,
			[]string{`{"FilePath":"/bin/a"}`},
			[]string{`{"FilePath":"/usr/lib/a"}`},
		},
		"numeric": {
			`{"c-count":[{"numeric":[">",0,"<=",5]}],"d-count":[{"numeric":["<",10]}],"x-limit":[{"numeric":["=",3.018e2]}]}`,
			[]string{`{"c-count":5,"d-count":9,"x-limit":301.8}`},
			[]string{`{"c-count":0,"d-count":9,"x-limit":301.8}`, `{"c-count":5,"d-count":10,"x-limit":301.8}`, `{"c-count":"5","d-count":9,"x-limit":301.8}`},
		},
		"addresses": {
			`{"sourceIPAddress":[{"cidr":"10.0.0.0/24"}]}`,
			[]string{`{"sourceIPAddress":"10.0.0.255"}`},
			[]string{`{"sourceIPAddress":"10.0.1.0"}`, `{"sourceIPAddress":"x"}`},
		},
		"exists": {`{"state":[{"exists":true}]}`, []string{`{"state":null}`}, []string{`{}`, `{"state":{"a":1}}`}},
		"exists not": {
			`{"detail":{"state":[{"exists":false}]}}`,
			[]string{`{"detail":{}}`, `{}`},
			[]string{`{"detail":{"state":"x"}}`},
		},
		"ignore case": {
			`{"detail-type":[{"equals-ignore-case":"ec2 instance state-change notification"}]}`,
			[]string{`{"detail-type":"EC2 Instance State-change Notification"}`},
			[]string{`{"detail-type":"EC2"}`},
		},
		"wildcard": {
			`{"arn":[{"wildcard":"arn:*:bus/or?er*"}]}`,
			[]string{`{"arn":"arn:aws:bus/or?er/1"}`},
			[]string{`{"arn":"arn:aws:bus/order"}`},
		},
		"any of several fields": {
			`{"source":["a"],"$or":[{"c":[{"numeric":[">",5]}]},{"d":["x"]}]}`,
			[]string{`{"source":"a","c":6}`, `{"source":"a","d":"x"}`},
			[]string{`{"source":"a","c":5}`, `{"c":6}`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for want, events := range map[bool][]string{true: c.yes, false: c.not} {
				for _, event := range events {
					if got, err := Match(object(t, c.pattern), object(t, event)); err != nil || got != want {
						t.Errorf("%s: %v, %v; want %v", event, got, err, want)
					}
				}
			}
		})
	}
}

func TestAPatternThatIsNotUnderstoodIsAnError(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`{"detail-type":"ECS Task State Change"}`, `{"a":[{"regexp":"x"}]}`, `{"a":[{"prefix":1}]}`, `{"a":[["x"]]}`,
		`{"a":[{"numeric":["~",1]}]}`, `{"a":[{"numeric":[">"]}]}`, `{"$or":["x"]}`, `{"a":[{"cidr":"x"}]}`, `{"a":[{"prefix":"x","suffix":"y"}]}`,
	} {
		if _, err := Match(object(t, pattern), object(t, `{"a":"x","detail-type":"x"}`)); err == nil {
			t.Errorf("%s was matched", pattern)
		}
	}
}

// notForUs are the payloads of events/watch that are task events as EventBridge has them, and that the rule keeps from us.
var notForUs = []string{
	"deprovisioning-exit-0.json", "pending.json", "provisioning.json", // they move no job
	"running-of-someone-else.json", "stopped-of-someone-else.json", // tasks of services
	"not-ours.json",                 // a container instance
	"spot-notice-snippet-2023.json", // without startedBy
	"malformed.json",                // without detail
}

// taskRulePattern is the pattern of the rule for task events in a deployment that fits the payloads of events/.
func taskRulePattern(t *testing.T, parameters map[string]string) map[string]any {
	t.Helper()
	return resolved(t, load(t), with(parameters)).Resources["TaskRule"].Properties["EventPattern"].(map[string]any)
}

func TestTheTaskRulePassesWhatMovesAJobAndNothingElse(t *testing.T) {
	t.Parallel()
	pattern := taskRulePattern(t, nil)
	files, err := filepath.Glob("../../events/*/*.json")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d payloads: %v", len(files), err)
	}
	passed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var payload map[string]any
		if json.Unmarshal(text, &payload) != nil {
			continue // an array: no event
		}
		folder, name := filepath.Base(filepath.Dir(file)), filepath.Base(file)
		_, isEvent := payload["detail-type"]
		want := folder == "watch" && isEvent && !slices.Contains(notForUs, name)
		got, err := Match(pattern, payload)
		if err != nil || got != want {
			t.Errorf("%s/%s passes: %v, %v; want %v", folder, name, got, err, want)
		}
		if got {
			passed++
		}
	}
	if passed < 30 {
		t.Errorf("only %d payloads pass", passed)
	}
}

func TestTheTaskRuleKeepsOthersTasksAway(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../events/watch/running.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		parameters map[string]string
		old, new   string
	}{
		"another cluster":                     {nil, ":cluster/spotbatch", ":cluster/other"},
		"another Region":                      {nil, "arn:aws:ecs:us-east-1:123456789012:cluster", "arn:aws:ecs:eu-west-1:123456789012:cluster"},
		"a runner whose name ours begins":     {nil, `"spotbatch/nightly`, `"spotbatch-2/nightly`},
		"a runner whose name begins ours":     {map[string]string{"Runner": "spotbatch-2"}, "", ""},
		"a task that was started by hand":     {nil, `"startedBy": "spotbatch/nightly-report-2026-01-15/1"`, `"startedBy": ""`},
		"the same text as another's source":   {nil, `"aws.ecs"`, `"example.ecs"`},
		"a task's end that is not its own":    {nil, `"lastStatus": "RUNNING",`, `"lastStatus": "STOPPING",`},
		"a cluster that the stack creates":    {map[string]string{"ClusterName": ""}, "", ""},
		"a service's deployment in our words": {nil, "ECS Task State Change", "ECS Deployment State Change"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			event := strings.ReplaceAll(string(text), c.old, c.new)
			if c.old != "" && event == string(text) {
				t.Fatal("the payload does not hold what is to be replaced")
			}
			if c.old == "" {
				event = string(text)
			}
			if got, err := Match(taskRulePattern(t, c.parameters), object(t, event)); err != nil || got {
				t.Errorf("it passes: %v", err)
			}
		})
	}
}
