package ecs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindAsksForRunningAndStoppedTasks(t *testing.T) {
	t.Parallel()
	const wanted, other = "spotbatch/job-1/1", "spotbatch/job-2/1"
	tasks := map[string]string{"arn/1": wanted, "arn/2": wanted, "arn/3": other}
	describe := func(body map[string]any) string {
		var out []string
		for _, arn := range body["tasks"].([]any) {
			out = append(out, fmt.Sprintf(`{"taskArn":%q,"startedBy":%q,"lastStatus":"STOPPED","containers":[{"name":"main","exitCode":0}]}`, arn, tasks[arn.(string)]))
		}
		return `{"tasks":[` + strings.Join(out, ",") + `]}`
	}
	for name, refused := range map[string]bool{"where ECS takes startedBy with STOPPED": false, "where ECS refuses it, by family": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, w := launcher(func(operation string, body map[string]any) (int, string) {
				switch {
				case operation == "DescribeTasks":
					return 200, describe(body)
				case body["desiredStatus"] == nil && body["nextToken"] == nil:
					return 200, `{"taskArns":["arn/1"],"nextToken":"more"}`
				case body["desiredStatus"] == nil:
					return 200, `{"taskArns":[]}`
				case refused && body["startedBy"] != nil:
					return 400, `{"__type":"InvalidParameterException","message":"cannot specify startedBy"}`
				case refused && body["family"] == "job":
					return 200, `{"taskArns":["arn/2","arn/3"]}`
				}
				return 200, `{"taskArns":["arn/2"]}`
			})
			found, err := l.Find(t.Context(), wanted, "arn:aws:ecs:us-east-1:123456789012:task-definition/job:7")
			if err != nil {
				t.Fatal(err)
			}
			var arns []string
			for _, task := range found {
				arns = append(arns, task.ARN)
			}
			slices.Sort(arns)
			if diff := cmp.Diff([]string{"arn/1", "arn/2"}, arns); diff != "" {
				t.Errorf("%s\ncalls %v", diff, w.sent)
			}
		})
	}
}

// TestFindSucceedsInABusyFamily: ECS refuses startedBy with STOPPED, and each time forgets the oldest of the family's tasks between
// the list and DescribeTasks. One that stays listed may be the one that is looked for.
func TestFindSucceedsInABusyFamily(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listedAgain string
		fails       bool
	}{
		"a task that is not listed any more is forgotten":  {`["arn/2"]`, false},
		"a task that is listed still is not described yet": {`["arn/1","arn/2"]`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists := []string{`["arn/1","arn/2"]`, c.listedAgain}
			l, _ := launcher(func(operation string, body map[string]any) (int, string) {
				switch {
				case operation == "DescribeTasks":
					return 200, `{"tasks":[{"taskArn":"arn/2","startedBy":"spotbatch/job-1/1","lastStatus":"STOPPED"}],
						"failures":[{"arn":"arn/1","reason":"MISSING"}]}`
				case body["desiredStatus"] == nil:
					return 200, `{"taskArns":[]}`
				case body["startedBy"] != nil:
					return 400, `{"__type":"InvalidParameterException","message":"cannot specify startedBy"}`
				}
				list := lists[0]
				lists = lists[1:]
				return 200, `{"taskArns":` + list + `}`
			})
			found, err := l.Find(t.Context(), "spotbatch/job-1/1", "job:7")
			if (err != nil) != c.fails || err == nil && (len(found) != 1 || found[0].ARN != "arn/2") {
				t.Errorf("found %v, error %v", found, err)
			}
		})
	}
}

// busyFamily answers for a family of so many stopped tasks, where ECS refuses startedBy with STOPPED.
func busyFamily(all int) func(operation string, body map[string]any) (int, string) {
	return func(operation string, body map[string]any) (int, string) {
		switch {
		case operation == "DescribeTasks":
			var out []string
			for _, arn := range body["tasks"].([]any) {
				out = append(out, fmt.Sprintf(`{"taskArn":%q,"startedBy":"spotbatch/%s/1","lastStatus":"STOPPED"}`, arn, arn))
			}
			return 200, `{"tasks":[` + strings.Join(out, ",") + `]}`
		case body["desiredStatus"] == nil:
			return 200, `{"taskArns":[]}`
		case body["startedBy"] != nil:
			return 400, `{"__type":"InvalidParameterException","message":"cannot specify startedBy"}`
		}
		from := 0
		if token, ok := body["nextToken"].(string); ok {
			_, _ = fmt.Sscan(token, &from)
		}
		var arns []string
		for i := from; i < min(from+100, all); i++ {
			arns = append(arns, fmt.Sprintf(`"job-%d"`, i))
		}
		next := ""
		if from+100 < all {
			next = fmt.Sprintf(`,"nextToken":"%d"`, from+100)
		}
		return 200, `{"taskArns":[` + strings.Join(arns, ",") + `]` + next + `}`
	}
}

func TestManyLaunchesOfAFamilyAreLookedForAtOnce(t *testing.T) {
	t.Parallel()
	l, w := launcher(busyFamily(1000))
	for i := range 20 {
		found, err := l.Find(t.Context(), fmt.Sprintf("spotbatch/job-%d/1", i), "job:7")
		if err != nil || len(found) != 1 || found[0].ARN != fmt.Sprintf("job-%d", i) {
			t.Errorf("launch %d: found %v, error %v", i, found, err)
		}
	}
	if n := len(w.sent); n != 20*2+10+10 { // two lists of each launch; the family's lists and looks once
		t.Errorf("%d calls", n)
	}
}

func TestALookAtAFamilyHasALimit(t *testing.T) {
	t.Parallel()
	l, w := launcher(busyFamily(20 * 3600)) // an hour at ECS's launch rate
	for range 20 {
		if found, err := l.Find(t.Context(), "spotbatch/job-1/1", "job:7"); err == nil {
			t.Errorf("found %v", found)
		}
	}
	if n := len(w.sent); n != 20*2+51 { // two lists of each launch; the family's pages once
		t.Errorf("%d calls", n)
	}
}

func TestFindDoesNotTakeAListedTaskForNone(t *testing.T) {
	t.Parallel()
	l, _ := launcher(func(operation string, _ map[string]any) (int, string) {
		if operation == "ListTasks" {
			return 200, `{"taskArns":["arn/1"]}`
		}
		return 200, `{"tasks":[],"failures":[{"arn":"arn/1","reason":"MISSING"}]}`
	})
	if found, err := l.Find(t.Context(), "spotbatch/job-1/1", "job:7"); err == nil {
		t.Errorf("found %v; a task that is listed and not described yet was taken for none", found)
	}
}
