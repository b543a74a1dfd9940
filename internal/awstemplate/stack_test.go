package awstemplate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"testing"
)

// deployment is the parameters of a deployment that uses everything: an existing cluster, families of its own, the example.
func deployment() map[string]string {
	return map[string]string{
		"Subnets": "subnet-1,subnet-2", "SecurityGroups": "sg-1", "ClusterName": "spotbatch", "TaskFamilies": "report,etl",
		"PassRoleArns":     "arn:aws:iam::123456789012:role/report-task,arn:aws:iam::123456789012:role/report-execution",
		"TaskLogGroupArns": "arn:aws:logs:us-east-1:123456789012:log-group:/jobs/report:*",
		"AlarmTopicArn":    "arn:aws:sns:us-east-1:123456789012:alarms",
	}
}

// with returns the deployment with other parameters.
func with(parameters map[string]string) map[string]string {
	all := deployment()
	maps.Copy(all, parameters)
	return all
}

// load returns a template of the test's own: it may break it.
func load(t *testing.T) *Template {
	t.Helper()
	template, _, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func resolved(t *testing.T, template *Template, parameters map[string]string) *Stack {
	t.Helper()
	stack, err := template.Resolve(parameters)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

func TestTheTransformedTemplateIsMadeFromThisTemplate(t *testing.T) {
	t.Parallel()
	_, recorded, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(source)
	if got := hex.EncodeToString(sum[:]); got != recorded {
		t.Errorf("testdata/transformed.json was made from another template.yaml: run integration/template/transform")
	}
}

// A condition that guards too little shows as a Ref to what is not created.
func TestTheTemplateResolvesForEveryKindOfDeployment(t *testing.T) {
	t.Parallel()
	for name, parameters := range map[string]map[string]string{
		"everything":                 {},
		"a cluster of its own":       {"ClusterName": ""},
		"the example alone":          {"TaskFamilies": "", "PassRoleArns": "", "TaskLogGroupArns": "", "AlarmTopicArn": ""},
		"no example":                 {"Example": "false"},
		"no example and no roles":    {"Example": "false", "PassRoleArns": ""},
		"ten families":               {"TaskFamilies": "a,b,c,d,e,f,g,h,i,j"},
		"a launch rate of its own":   {"LaunchesPerSecond": "12.5"},
		"another bus and protection": {"EventBusName": "jobs", "DeletionProtection": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stack := resolved(t, load(t), with(parameters))
			for _, found := range findings(stack) {
				t.Error(found)
			}
		})
	}
}

func TestAnIntrinsicFunctionThatIsNotUnderstoodIsAnError(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"an unknown function":             `{"Fn::Cidr": ["10.0.0.0/8", 2, 8]}`,
		"a Ref to nothing":                `{"Ref": "Nobody"}`,
		"an attribute that is not known":  `{"Fn::GetAtt": ["JobsQueue", "Colour"]}`,
		"a placeholder of nothing":        `{"Fn::Sub": "x-${Nobody}"}`,
		"an element beyond the list":      `{"Fn::Select": [3, ["a"]]}`,
		"a mapping without the key":       `{"Fn::FindInMap": ["LaunchShare", "3", "PerSecond"]}`,
		"a condition that is not defined": `{"Fn::If": ["Nobody", 1, 2]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template := load(t)
			var value any
			if err := json.Unmarshal([]byte(body), &value); err != nil {
				t.Fatal(err)
			}
			template.Resources["JobsQueue"].Properties["X"] = value
			if _, err := template.Resolve(deployment()); err == nil {
				t.Error("it was resolved")
			}
		})
	}
}
