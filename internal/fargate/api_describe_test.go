package fargate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

func TestDescribeTasks(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	arn := w.run(func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: new("a"), Value: new("b")}} })

	t.Run("finds by ARN and by id, and says MISSING of the others", func(t *testing.T) {
		t.Parallel()
		out, err := w.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{
			Tasks: []string{arn, lastPart(arn), "nobody", "arn:aws:ecs:local:000000000000:task/other/" + lastPart(arn)},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, task := range out.Tasks {
			got = append(got, *task.TaskArn)
		}
		for _, failure := range out.Failures {
			got = append(got, *failure.Reason+" "+*failure.Arn)
		}
		want := []string{
			arn, arn, "MISSING " + w.taskARN("nobody"),
			"MISSING arn:aws:ecs:local:000000000000:task/other/" + lastPart(arn),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("shows tags only where they are asked for", func(t *testing.T) {
		t.Parallel()
		if tags := w.describe(arn).Tags; tags != nil {
			t.Errorf("there are tags: %s", encodeShapes(tags))
		}
		out, err := w.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{arn}, Include: []types.TaskField{types.TaskFieldTags}})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(encodeShapes(out.Tasks[0].Tags)); got != `[{"key":"a","value":"b"}]` {
			t.Errorf("the tags are %s", got)
		}
	})
	for name, test := range map[string]struct {
		tasks []string
		text  string
	}{
		"refuses 101 tasks": {make([]string, 101), "more than 100"},
		"refuses no tasks":  {nil, "cannot be empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: test.tasks})
			if _, ok := errors.AsType[*types.InvalidParameterException](err); !ok || !strings.Contains(err.Error(), test.text) {
				t.Errorf("the answer is %v", err)
			}
		})
	}
}

func TestAStoppedTaskVanishesAfterAnHourOfRealTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{TimeScale: 100}, nil)
		w.register(nil)
		arn := w.run(func(in *ecs.RunTaskInput) { in.ClientToken = new("token") })
		if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
			t.Fatal(err)
		}
		live := w.run(nil)
		rows := func() (tasks, tokens int) {
			t.Helper()
			if err := w.dropExpired(t.Context()); err != nil {
				t.Fatal(err)
			}
			return w.count("fargate_tasks"), w.count("fargate_tokens")
		}
		time.Sleep(59 * time.Minute)
		if tasks, tokens := rows(); *w.describe(arn).LastStatus != "STOPPED" || tasks != 2 || tokens != 1 {
			t.Errorf("after 59 minutes there are %d tasks and %d tokens", tasks, tokens)
		}
		time.Sleep(2 * time.Minute)
		out, err := w.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{arn, live}})
		if err != nil || len(out.Tasks) != 1 || *out.Failures[0].Reason != "MISSING" {
			t.Errorf("it is still there: %v", err)
		}
		if listed := w.list(&ecs.ListTasksInput{DesiredStatus: types.DesiredStatusStopped}); len(listed) != 0 {
			t.Errorf("it is still listed: %v", listed)
		}
		if tasks, tokens := rows(); tasks != 1 || tokens != 0 {
			t.Errorf("there are still %d tasks and %d tokens", tasks, tokens)
		}
	})
}

func TestListTasks(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	other := definitionInput("other")
	if _, err := w.RegisterTaskDefinition(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{} // ARN -> name
	for i := range 5 {
		arn := w.run(func(in *ecs.RunTaskInput) { in.StartedBy = new(fmt.Sprintf("r/j%d/1", i)) })
		names[arn] = fmt.Sprintf("j%d", i)
	}
	names[w.run(func(in *ecs.RunTaskInput) { in.TaskDefinition = new("other") })] = "other"
	for arn, name := range names {
		if name == "j1" || name == "j3" {
			if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		in   ecs.ListTasksInput
		want []string
	}{
		"hides stopped tasks by default":                         {ecs.ListTasksInput{}, []string{"j0", "j2", "j4", "other"}},
		"shows stopped ones where asked":                         {ecs.ListTasksInput{DesiredStatus: "STOPPED"}, []string{"j1", "j3"}},
		"finds nothing PENDING":                                  {ecs.ListTasksInput{DesiredStatus: "PENDING"}, nil},
		"filters by startedBy":                                   {ecs.ListTasksInput{StartedBy: new("r/j2/1")}, []string{"j2"}},
		"hides a stopped task from startedBy":                    {ecs.ListTasksInput{StartedBy: new("r/j3/1")}, nil},
		"filters by startedBy and STOPPED":                       {ecs.ListTasksInput{StartedBy: new("r/j3/1"), DesiredStatus: "STOPPED"}, []string{"j3"}},
		"filters by family":                                      {ecs.ListTasksInput{Family: new("other")}, []string{"other"}},
		"filters by family and STOPPED":                          {ecs.ListTasksInput{Family: new("job"), DesiredStatus: "STOPPED"}, []string{"j1", "j3"}},
		"knows no services":                                      {ecs.ListTasksInput{ServiceName: new("web")}, nil},
		"gives everything page by page":                          {ecs.ListTasksInput{MaxResults: new(int32(1))}, []string{"j0", "j2", "j4", "other"}},
		"gives stopped tasks of a family page by page":           {ecs.ListTasksInput{MaxResults: new(int32(1)), Family: new("job"), DesiredStatus: "STOPPED"}, []string{"j1", "j3"}},
		"ends without a further page where the last one is full": {ecs.ListTasksInput{MaxResults: new(int32(4))}, []string{"j0", "j2", "j4", "other"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, arn := range w.list(&test.in) {
				got = append(got, names[arn])
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	refusals := map[string]ecs.ListTasksInput{
		"startedBy with a family":    {StartedBy: new("a"), Family: new("job")},
		"101 results":                {MaxResults: new(int32(101))},
		"a token that is not its":    {NextToken: new("?")},
		"a status that is not ECS's": {DesiredStatus: "GONE"},
	}
	for name, in := range refusals {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			_, err := w.ListTasks(t.Context(), &in)
			if _, ok := errors.AsType[*types.InvalidParameterException](err); !ok {
				t.Errorf("the answer is %v", err)
			}
		})
	}
}

// list follows all pages.
func (w *world) list(in *ecs.ListTasksInput) []string {
	w.t.Helper()
	page := *in
	var all []string
	for {
		out, err := w.ListTasks(w.t.Context(), &page)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, out.TaskArns...)
		if out.NextToken == nil {
			return all
		}
		page.NextToken = out.NextToken
	}
}
