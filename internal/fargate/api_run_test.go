package fargate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

func TestRunTaskAnswersAsECSDoes(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{Name: "batch"}, nil)
	w.register(nil)
	in := spotRequest()
	in.Cluster = new("batch")
	in.Tags = []types.Tag{{Key: new("team"), Value: new("a<b")}}
	in.Overrides = &types.TaskOverride{
		Cpu: new("2048"), Memory: new("4096"), EphemeralStorage: &types.EphemeralStorage{SizeInGiB: 50},
		ContainerOverrides: []types.ContainerOverride{{
			Name: new(mainContainer), Command: []string{"run", `a "quoted" <word>`},
			Environment: []types.KeyValuePair{{Name: new("A"), Value: new("1")}},
		}},
	}
	out, err := w.RunTask(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	task := out.Tasks[0]
	arn := "arn:aws:ecs:local:000000000000:task/batch/"
	if id, ok := strings.CutPrefix(*task.TaskArn, arn); !ok || len(id) != 32 {
		t.Errorf("the ARN is %s", *task.TaskArn)
	}
	got := map[string]any{
		"lastStatus": *task.LastStatus, "desiredStatus": *task.DesiredStatus, "version": task.Version, "cpu": *task.Cpu,
		"memory": *task.Memory, "group": *task.Group, "launchType": string(task.LaunchType), "startedBy": *task.StartedBy,
		"provider": *task.CapacityProviderName, "definition": *task.TaskDefinitionArn, "cluster": *task.ClusterArn,
		"storage": task.EphemeralStorage.SizeInGiB, "container": *task.Containers[0].LastStatus,
		"overrides": string(encodeShape(task.Overrides)), "tags": string(encodeShapes(task.Tags)),
	}
	want := map[string]any{
		"lastStatus": "PROVISIONING", "desiredStatus": "RUNNING", "version": int64(1), "cpu": "2048",
		"memory": "4096", "group": "family:job", "launchType": "FARGATE", "startedBy": "spotbatch/j1/1",
		"provider": "FARGATE_SPOT", "definition": "arn:aws:ecs:local:000000000000:task-definition/job:1",
		"cluster": "arn:aws:ecs:local:000000000000:cluster/batch", "storage": int32(50), "container": "PENDING",
		"overrides": string(encodeShape(in.Overrides)), "tags": `[{"key":"team","value":"a<b"}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestATaskHasItsOwnTagsAndThoseOfItsDefinitionIfAskedFor(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(func(in *ecs.RegisterTaskDefinitionInput) {
		in.Tags = []types.Tag{{Key: new("team"), Value: new("defined")}, {Key: new("kind"), Value: new("batch")}}
	})
	for propagate, want := range map[types.PropagateTags]string{
		types.PropagateTagsTaskDefinition: `[{"key":"team","value":"own"},{"key":"kind","value":"batch"}]`,
		types.PropagateTagsNone:           `[{"key":"team","value":"own"}]`,
	} {
		in := spotRequest()
		in.Tags, in.PropagateTags = []types.Tag{{Key: new("team"), Value: new("own")}}, propagate
		in.PlatformVersion = new("LATEST")
		out, err := w.RunTask(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(encodeShapes(out.Tasks[0].Tags)); got != want {
			t.Errorf("%s: %s, want %s", propagate, got, want)
		}
	}
}

func TestRunTaskRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		edit func(*ecs.RunTaskInput)
		want error // of that type
		text string
	}{
		"an unknown family": {
			func(in *ecs.RunTaskInput) { in.TaskDefinition = new("other") },
			&types.ClientException{}, "TaskDefinition not found.",
		},
		"an unknown revision": {
			func(in *ecs.RunTaskInput) { in.TaskDefinition = new("job:9") },
			&types.ClientException{}, "TaskDefinition not found.",
		},
		"another account's task definition": {
			func(in *ecs.RunTaskInput) {
				in.TaskDefinition = new("arn:aws:ecs:us-east-1:123456789012:task-definition/job:2")
			},
			&types.ClientException{}, "TaskDefinition not found.",
		},
		"an inactive revision": {
			func(in *ecs.RunTaskInput) { in.TaskDefinition = new("job:1") },
			&types.ClientException{}, "TaskDefinition is inactive",
		},
		"no task definition": {
			func(in *ecs.RunTaskInput) { in.TaskDefinition = nil },
			&types.ClientException{}, "TaskDefinition cannot be empty.",
		},
		"another cluster": {
			func(in *ecs.RunTaskInput) { in.Cluster = new("other") },
			&types.ClusterNotFoundException{}, "Cluster not found.",
		},
		"launch type and capacity provider strategy together": {
			func(in *ecs.RunTaskInput) { in.LaunchType = types.LaunchTypeFargate },
			&types.InvalidParameterException{}, "Specifying both a launch type and capacity provider strategy",
		},
		"an unknown capacity provider": {
			func(in *ecs.RunTaskInput) { in.CapacityProviderStrategy[0].CapacityProvider = new("MY_ASG") },
			&types.InvalidParameterException{}, "'MY_ASG' was not found",
		},
		"two capacity providers": {
			func(in *ecs.RunTaskInput) {
				in.CapacityProviderStrategy = append(in.CapacityProviderStrategy, in.CapacityProviderStrategy[0])
			},
			&types.InvalidParameterException{}, "one item",
		},
		"a platform version that there is not": {
			func(in *ecs.RunTaskInput) { in.PlatformVersion = new("1.5.0") },
			&types.PlatformUnknownException{}, "does not exist",
		},
		"tags of a service": {
			func(in *ecs.RunTaskInput) { in.PropagateTags = types.PropagateTagsService },
			&types.InvalidParameterException{}, "propagateTags",
		},
		"a placement constraint": {
			func(in *ecs.RunTaskInput) { in.PlacementConstraints = make([]types.PlacementConstraint, 1) },
			&types.InvalidParameterException{}, "placementConstraints",
		},
		"a placement strategy": {
			func(in *ecs.RunTaskInput) { in.PlacementStrategy = make([]types.PlacementStrategy, 1) },
			&types.InvalidParameterException{}, "placementStrategy",
		},
		"a volume": {
			func(in *ecs.RunTaskInput) { in.VolumeConfigurations = make([]types.TaskVolumeConfiguration, 1) },
			&types.InvalidParameterException{}, "volumeConfigurations",
		},
		"a file of environment variables": {
			func(in *ecs.RunTaskInput) {
				in.Overrides.ContainerOverrides[0].EnvironmentFiles = make([]types.EnvironmentFile, 1)
			},
			&types.InvalidParameterException{}, "environmentFiles",
		},
		"a GPU": {
			func(in *ecs.RunTaskInput) {
				in.Overrides.ContainerOverrides[0].ResourceRequirements = make([]types.ResourceRequirement, 1)
			},
			&types.InvalidParameterException{}, "resourceRequirements",
		},
		"a count of 0": {
			func(in *ecs.RunTaskInput) { in.Count = new(int32(0)) },
			&types.InvalidParameterException{}, "between 1 and 10",
		},
		"a count of 11": {
			func(in *ecs.RunTaskInput) { in.Count = new(int32(11)) },
			&types.InvalidParameterException{}, "between 1 and 10",
		},
		"startedBy with a colon": {
			func(in *ecs.RunTaskInput) { in.StartedBy = new("a:b") },
			&types.InvalidParameterException{}, "startedBy",
		},
		"startedBy of 129 characters": {
			func(in *ecs.RunTaskInput) { in.StartedBy = new(strings.Repeat("a", 129)) },
			&types.InvalidParameterException{}, "startedBy",
		},
		"a clientToken with a space": {
			func(in *ecs.RunTaskInput) { in.ClientToken = new("a b") },
			&types.InvalidParameterException{}, "clientToken",
		},
		"overrides of more than 8192 characters": {
			func(in *ecs.RunTaskInput) {
				in.Overrides.ContainerOverrides[0].Command = []string{strings.Repeat("é", 8192)}
			},
			&types.InvalidParameterException{}, "at most 8192",
		},
		"an override of a container that is not there": {
			func(in *ecs.RunTaskInput) { in.Overrides.ContainerOverrides[0].Name = new("side") },
			&types.InvalidParameterException{}, "side is not a container",
		},
		"an override to a size that Fargate does not have": {
			func(in *ecs.RunTaskInput) { in.Overrides.Memory = new("512") },
			&types.ClientException{}, "No Fargate configuration exists for given values: 1024 CPU, 512 memory",
		},
		"a container's override to more memory than the task has": {
			func(in *ecs.RunTaskInput) { in.Overrides.ContainerOverrides[0].Memory = new(int32(4096)) },
			&types.ClientException{}, "Invalid setting for container main",
		},
		"ephemeral storage of 20 GiB": {
			func(in *ecs.RunTaskInput) { in.Overrides.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: 20} },
			&types.InvalidParameterException{}, "between 21 and 200",
		},
		"a tag of AWS's own": {
			func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: new("AWS:x"), Value: new("")}} },
			&types.InvalidParameterException{}, "reserved",
		},
		"51 tags": {
			func(in *ecs.RunTaskInput) {
				for i := range 51 {
					in.Tags = append(in.Tags, types.Tag{Key: new(fmt.Sprint(i)), Value: new("")})
				}
			},
			&types.InvalidParameterException{}, "more than 50",
		},
	}
	w := setup(t, Options{}, nil)
	w.register(nil)
	if _, err := w.DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: new("job:1")}); err != nil {
		t.Fatal(err)
	}
	w.register(nil)
	for name, test := range tests {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			in := spotRequest()
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{Name: new(mainContainer)}}}
			test.edit(in)
			_, err := w.RunTask(t.Context(), in)
			if got, want := fmt.Sprintf("%T", err), fmt.Sprintf("%T", test.want); got != want {
				t.Fatalf("the error is a %s (%v), not a %s", got, err, want)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("the error is %q, without %q", err, test.text)
			}
		})
	}
}

func TestRunTaskFindsTheTaskDefinition(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	for range 2 {
		w.register(nil)
	}
	for name, want := range map[string]string{"job": "job:2", "job:1": "job:1", arnBase + "task-definition/job:1": "job:1"} {
		t.Run("by "+name, func(t *testing.T) {
			t.Parallel()
			in := spotRequest()
			in.TaskDefinition = &name
			out, err := w.RunTask(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if got := lastPart(*out.Tasks[0].TaskDefinitionArn); got != want {
				t.Errorf("it ran %s, not %s", got, want)
			}
		})
	}
}

func TestRunTaskNoticesThatAUsedRevisionBecomesInactive(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	w.run(nil)
	if _, err := w.open().DeregisterTaskDefinition(t.Context(), &ecs.DeregisterTaskDefinitionInput{TaskDefinition: new("job:1")}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"job:1": "ClientException: TaskDefinition is inactive", "job": "ClientException: TaskDefinition not found."} {
		in := spotRequest()
		in.TaskDefinition = &name
		if got := outcome(w.RunTask(t.Context(), in)); got != want {
			t.Errorf("of %s the answer is %s", name, got)
		}
	}
}

func TestAQuotaCountsTheTasksThatARequestWants(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	w.inject("quota:2")
	w.run(nil)
	in := spotRequest()
	in.Count = new(int32(2))
	if got := outcome(w.RunTask(t.Context(), in)); got != failureQuota {
		t.Errorf("the answer is %s", got)
	}
}

func TestAClientToken(t *testing.T) {
	t.Parallel()
	withToken := func(in *ecs.RunTaskInput) { in.ClientToken = new("token-1") }
	count := func(w *world) int {
		counts, err := w.Live(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		return counts.Waiting + counts.Handed
	}

	t.Run("brings the first answer back for the same parameters", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		w.register(nil)
		first, second := w.run(withToken), w.run(withToken)
		if first != second || count(w) != 1 {
			t.Errorf("there are two tasks: %s and %s", first, second)
		}
	})

	t.Run("is a conflict with other parameters, and names the tasks", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		w.register(nil)
		arn := w.run(withToken)
		in := spotRequest()
		in.ClientToken, in.StartedBy = new("token-1"), new("spotbatch/j1/2")
		_, err := w.RunTask(t.Context(), in)
		conflict, ok := errors.AsType[*types.ConflictException](err)
		if !ok || !cmp.Equal(conflict.ResourceIds, []string{arn}) || *conflict.Message != reasonConflict {
			t.Errorf("the answer is %v", err)
		}
	})

	t.Run("brings a refusal back, too, and then conflicts without tasks", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		w.register(nil)
		w.inject("no-capacity:1")
		for range 2 {
			in := spotRequest()
			withToken(in)
			out, err := w.RunTask(t.Context(), in)
			if err != nil || len(out.Tasks) != 0 || *out.Failures[0].Reason != failureCapacity {
				t.Fatalf("the answer is %+v, %v", out, err)
			}
		}
		in := spotRequest()
		withToken(in)
		in.Count = new(int32(2))
		_, err := w.RunTask(t.Context(), in)
		if conflict, ok := errors.AsType[*types.ConflictException](err); !ok || len(conflict.ResourceIds) != 0 {
			t.Errorf("the answer is %v", err)
		}
	})

	t.Run("finds the task of an answer that was lost", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		w.register(nil)
		w.inject("lost-answer:1")
		in := spotRequest()
		withToken(in)
		_, err := w.RunTask(t.Context(), in)
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("the error is %v, no timeout", err)
		}
		if w.run(withToken); count(w) != 1 {
			t.Error("the repetition started another task")
		}
	})

	t.Run("shows only ARN and status of a task that stopped, and is dead an hour later", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, nil)
			w.register(nil)
			arn := w.run(withToken)
			if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(59 * time.Minute)
			in := spotRequest()
			withToken(in)
			out, err := w.RunTask(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			want := types.Task{TaskArn: &arn, LastStatus: new("STOPPED"), DesiredStatus: new("STOPPED")}
			if got := out.Tasks[0]; string(encodeShape(got)) != string(encodeShape(want)) {
				t.Errorf("the answer is %s", encodeShape(got))
			}
			time.Sleep(2 * time.Minute)
			if again := w.run(withToken); again == arn {
				t.Error("the token still stands for a task that ECS has forgotten")
			}
		})
	})

	t.Run("is dead after 24 hours", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, nil)
			w.register(nil)
			first := w.run(withToken)
			time.Sleep(24*time.Hour - time.Second)
			if w.run(withToken) != first {
				t.Error("it was dead too early")
			}
			time.Sleep(2 * time.Second)
			if w.run(withToken) == first {
				t.Error("it is still alive")
			}
		})
	})
}

func TestFaultsOfRunTask(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		inject   string
		onDemand bool
		want     []string // answers in order
	}{
		"no-capacity refuses Spot so many times":            {"no-capacity:2", false, []string{failureCapacity, failureCapacity, "started"}},
		"no-capacity leaves on-demand alone":                {"no-capacity", true, []string{"started"}},
		"no-capacity-on-demand refuses on-demand":           {"no-capacity-on-demand:1", true, []string{failureCapacity, "started"}},
		"no-capacity-on-demand leaves Spot alone":           {"no-capacity-on-demand", false, []string{"started"}},
		"throttle answers ThrottlingException":              {"throttle:1", false, []string{"ThrottlingException: Rate exceeded", "started"}},
		"quota allows so many tasks at once":                {"quota:2", false, []string{"started", "started", failureQuota, failureQuota}},
		"a fault without a count is for always":             {"no-capacity", false, []string{failureCapacity, failureCapacity, failureCapacity}},
		"two faults of one name come one after the other":   {"throttle:1,throttle:1", false, []string{"ThrottlingException: Rate exceeded", "ThrottlingException: Rate exceeded", "started"}},
		"lost-answer takes effect so many times, for quota": {"lost-answer:1,quota:1", false, []string{"lost", failureQuota}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, Options{}, nil)
			w.register(nil)
			w.inject(test.inject)
			other := w.open() // another process honours them, too
			var got []string
			for i := range test.want {
				in := spotRequest()
				if test.onDemand {
					in.CapacityProviderStrategy[0].CapacityProvider = new("FARGATE")
				}
				cluster := []*Cluster{w.Cluster, other}[i%2]
				got = append(got, outcome(cluster.RunTask(t.Context(), in)))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func outcome(out *ecs.RunTaskOutput, err error) string {
	switch {
	case errors.Is(err, errAnswerLost):
		return "lost"
	case err != nil:
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			return api.ErrorCode() + ": " + api.ErrorMessage()
		}
		return err.Error()
	case len(out.Failures) > 0:
		return *out.Failures[0].Reason
	default:
		return "started"
	}
}

func TestFaultsAreUsedUpOnceByCallsAtTheSameTime(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	w.register(nil)
	w.inject("no-capacity:7")
	other := w.open()
	outcomes := make(chan string)
	for i := range 40 {
		cluster := []*Cluster{w.Cluster, other}[i%2]
		go func() { outcomes <- outcome(cluster.RunTask(context.Background(), spotRequest())) }()
	}
	got := map[string]int{}
	for range 40 {
		got[<-outcomes]++
	}
	if want := map[string]int{failureCapacity: 7, "started": 33}; !cmp.Equal(got, want) {
		t.Errorf("the outcomes are %v", got)
	}
}
