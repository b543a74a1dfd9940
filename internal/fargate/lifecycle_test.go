package fargate

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func failsToStart(reason string, version int64) []seen {
	return []seen{{Status: "STOPPED", Desired: "STOPPED", StopCode: "TaskFailedToStart", Reason: reason, Version: version, ExitCode: "-"}}
}

func TestATaskThatEndsByItself(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script Script
		inject string
		events []seen
		reason string // of the container
	}{
		"exits 0":       {script: Script{RunFor: 5 * time.Second}, events: exits("0")},
		"exits at once": {script: Script{}, events: exits("0")},
		"exits 3":       {script: Script{ExitCode: 3}, events: exits("3")},
		"runs out of memory": {
			script: Script{RunFor: time.Second, ExitCode: 137, Reason: "OutOfMemoryError: Container killed due to memory usage"},
			events: exits("137"), reason: "OutOfMemoryError: Container killed due to memory usage",
		},
		"has an image that cannot be pulled": {
			script: Script{StartDelay: time.Second, StartError: &StartError{Reason: "CannotPullContainerError: not found"}},
			events: failsToStart("CannotPullContainerError: not found", 4), reason: "CannotPullContainerError: not found",
		},
		"meets trouble in the executor": {
			script: Script{StartError: errors.New("no more file descriptors")},
			events: failsToStart("InternalError: no more file descriptors", 4), reason: "InternalError: no more file descriptors",
		},
		"gets no network interface": {
			inject: "start-failure:1",
			events: failsToStart("Timeout waiting for network interface provisioning to complete.", 3),
		},
		"is lost with its supervisor": {
			script: Script{RunFor: time.Second, NoExitCode: true},
			events: []seen{
				{Status: "RUNNING", Desired: "RUNNING", Version: 3, ExitCode: "-"},
				{Status: "STOPPED", Desired: "STOPPED", Reason: reasonExecutorDied, Version: 5, ExitCode: "-"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, Options{}, always(test.script))
				w.register(nil)
				w.inject(test.inject)
				w.start()
				arn := w.run(nil)
				settle(6 * time.Second)
				if diff := cmp.Diff(test.events, w.events()); diff != "" {
					t.Errorf("events: %s", diff)
				}
				task := w.describe(arn)
				if *task.LastStatus != "STOPPED" || deref(task.Containers[0].Reason) != test.reason {
					t.Errorf("the task is %s, its container's reason %q", *task.LastStatus, deref(task.Containers[0].Reason))
				}
				if test.inject == "" && !w.called("Forget", arn) {
					t.Error("the executor keeps it")
				}
			})
		})
	}
}

func TestTimesOfATask(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{StartDelay: 2 * time.Second, RunFor: 10 * time.Second}))
		w.register(nil)
		w.start()
		began := time.Now()
		arn := w.run(nil)
		settle(time.Second)
		if task := w.describe(arn); *task.LastStatus != "PENDING" || task.StartedAt != nil {
			t.Errorf("while it is pulled it is %s", *task.LastStatus)
		}
		settle(15 * time.Second)
		task := w.describe(arn)
		got := map[string]time.Duration{
			"created": task.CreatedAt.Sub(began), "pulling": task.PullStartedAt.Sub(began), "pulled": task.PullStoppedAt.Sub(began),
			"started": task.StartedAt.Sub(began), "execution stopped": task.ExecutionStoppedAt.Sub(began), "stopped": task.StoppedAt.Sub(began),
		}
		want := map[string]time.Duration{
			"created": 0, "pulling": 0, "pulled": 2 * time.Second,
			"started": 2 * time.Second, "execution stopped": 12 * time.Second, "stopped": 12 * time.Second,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestATaskWithSeveralContainers(t *testing.T) {
	t.Parallel()
	withSidecar := func(in *ecs.RegisterTaskDefinitionInput) {
		in.ContainerDefinitions = append(in.ContainerDefinitions, types.ContainerDefinition{
			Name: new("side"), Image: new("side"), Essential: new(false), StopTimeout: new(int32(5)),
		})
	}
	scripts := func(main, side Script) func(TaskSpec, ContainerSpec) Script {
		return func(_ TaskSpec, c ContainerSpec) Script {
			if c.Name == mainContainer {
				return main
			}
			return side
		}
	}

	t.Run("goes on when a container exits that is not essential", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, scripts(Script{RunFor: time.Hour}, Script{RunFor: time.Second, ExitCode: 9}))
			w.register(withSidecar)
			w.start()
			arn := w.run(nil)
			settle(2 * time.Second)
			task := w.describe(arn)
			if *task.LastStatus != "RUNNING" || *task.Containers[1].LastStatus != "STOPPED" || *task.Containers[1].ExitCode != 9 {
				t.Errorf("the task is %s: %s", *task.LastStatus, encodeShape(task.Containers))
			}
		})
	})

	t.Run("stops the others when an essential one exits: SIGTERM, stopTimeout, SIGKILL", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, scripts(Script{RunFor: 10 * time.Second}, Script{Forever: true, IgnoreTerm: true}))
			w.register(withSidecar)
			w.start()
			began := time.Now()
			arn := w.run(nil)
			settle(12 * time.Second)
			if task := w.describe(arn); *task.LastStatus != "STOPPING" || *task.DesiredStatus != "STOPPED" {
				t.Errorf("the task is %s", *task.LastStatus)
			}
			settle(5 * time.Second)
			want := []string{terminated + " after 10s", "side: " + killed + " after 15s"}
			if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
				t.Error(diff)
			}
			task := w.describe(arn)
			if *task.Containers[0].ExitCode != 0 || *task.Containers[1].ExitCode != 137 || task.StopCode != "EssentialContainerExited" {
				t.Errorf("it ended as %s", encodeShape(task))
			}
		})
	})
}

func TestStopTask(t *testing.T) {
	t.Parallel()
	stop := func(w *world, arn, reason string) types.Task {
		w.t.Helper()
		out, err := w.StopTask(w.t.Context(), &ecs.StopTaskInput{Task: &arn, Reason: optional(reason)})
		if err != nil {
			w.t.Fatal(err)
		}
		return *out.Task
	}

	t.Run("sends SIGTERM, and SIGKILL after 30 seconds", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true, IgnoreTerm: true}))
			w.register(nil)
			w.start()
			arn := w.run(nil)
			settle(time.Second)
			began := time.Now()
			if task := stop(w, arn, "enough"); *task.LastStatus != "RUNNING" || *task.DesiredStatus != "STOPPED" || *task.StoppedReason != "enough" {
				t.Errorf("the answer is %s", encodeShape(task))
			}
			stop(w, arn, "again")
			settle(32 * time.Second)
			want := []string{terminated + " after 0s", mainContainer + ": " + killed + " after 30s"}
			if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
				t.Error(diff)
			}
			wantEvents := []seen{
				{Status: "RUNNING", Desired: "RUNNING", Version: 3, ExitCode: "-"},
				{Status: "RUNNING", Desired: "STOPPED", StopCode: "UserInitiated", Reason: "enough", Version: 4, ExitCode: "-"},
				{Status: "STOPPED", Desired: "STOPPED", StopCode: "UserInitiated", Reason: "enough", Version: 6, ExitCode: "137"},
			}
			if diff := cmp.Diff(wantEvents, w.events()); diff != "" {
				t.Error(diff)
			}
		})
	})

	t.Run("honours stopTimeout and the time scale", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{TimeScale: 10}, always(Script{Forever: true, IgnoreTerm: true}))
			w.register(func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].StopTimeout = new(int32(120)) })
			w.start()
			arn := w.run(nil)
			settle(time.Second)
			began := time.Now()
			stop(w, arn, "")
			settle(14 * time.Second)
			want := []string{terminated + " after 0s", mainContainer + ": " + killed + " after 12s"}
			if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
				t.Error(diff)
			}
		})
	})

	t.Run("ends a waiting task at once, without an exit code", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		w.register(nil)
		arn := w.run(func(in *ecs.RunTaskInput) { in.Tags = []types.Tag{{Key: new("a"), Value: new("b")}} })
		task := stop(w, arn, "")
		if *task.LastStatus != "STOPPED" || task.Containers[0].ExitCode != nil || task.StopCode != "UserInitiated" || len(task.Tags) != 0 {
			t.Errorf("the answer is %s", encodeShape(task))
		}
		want := []seen{{Status: "STOPPED", Desired: "STOPPED", StopCode: "UserInitiated", Reason: "Task stopped by user", Version: 3, ExitCode: "-"}}
		if diff := cmp.Diff(want, w.events()); diff != "" {
			t.Error(diff)
		}
		stop(w, arn, "again") // no error
		if diff := cmp.Diff(want, w.events()); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("ends a task that stands in line without starting it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{MaxTasks: 1}, always(Script{RunFor: time.Hour}))
			w.register(nil)
			w.start()
			w.run(nil)
			settle(time.Second)
			arn := w.run(nil)
			settle(time.Second)
			stop(w, arn, "")
			settle(time.Second)
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || w.called("Start", arn) {
				t.Errorf("the task is %s", *task.LastStatus)
			}
		})
	})

	t.Run("gives up a start that is under way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{MaxTasks: 1}, always(Script{StartDelay: time.Hour}))
			w.register(nil)
			w.start()
			arn := w.run(nil)
			settle(time.Second)
			stop(w, arn, "")
			settle(time.Second)
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || task.StopCode != "UserInitiated" || task.StartedAt != nil {
				t.Errorf("the task is %s", encodeShape(task))
			}
		})
	})

	t.Run("does not know a task that is not there", func(t *testing.T) {
		t.Parallel()
		w := setup(t, Options{}, nil)
		_, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: new(w.taskARN("0"))})
		if _, ok := errors.AsType[*types.InvalidParameterException](err); !ok {
			t.Errorf("the answer is %v", err)
		}
	})
}

func TestASpotInterruption(t *testing.T) {
	t.Parallel()
	running := seen{Status: "RUNNING", Desired: "RUNNING", Version: 3, ExitCode: "-"}
	notice := seen{Status: "RUNNING", Desired: "STOPPED", StopCode: "SpotInterruption", Reason: reasonSpot, Version: 4, ExitCode: "-"}
	stopped := func(code string) seen {
		return seen{Status: "STOPPED", Desired: "STOPPED", StopCode: "SpotInterruption", Reason: reasonSpot, Version: 6, ExitCode: code}
	}
	tests := map[string]struct {
		script      Script
		stopTimeout int32
		scale       float64
		signals     []string
		code        string
	}{
		"ends a task that does not handle SIGTERM": {
			script: Script{Forever: true}, signals: []string{terminated + " after 0s"}, code: "143",
		},
		"lets a task finish within stopTimeout": {
			script: Script{Forever: true, TermDelay: 8 * time.Second, TermExitsZero: true}, stopTimeout: 10,
			signals: []string{terminated + " after 0s"}, code: "0",
		},
		"kills a task that takes longer than stopTimeout": {
			script: Script{Forever: true, TermDelay: 9 * time.Second}, stopTimeout: 5,
			signals: []string{terminated + " after 0s", "main: " + killed + " after 5s"}, code: "137",
		},
		"is as much faster as the time scale says": {
			script: Script{Forever: true, IgnoreTerm: true}, stopTimeout: 120, scale: 60,
			signals: []string{terminated + " after 0s", "main: " + killed + " after 2s"}, code: "137",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := setup(t, Options{TimeScale: test.scale}, always(test.script))
				w.register(func(in *ecs.RegisterTaskDefinitionInput) {
					if test.stopTimeout > 0 {
						in.ContainerDefinitions[0].StopTimeout = &test.stopTimeout
					}
				})
				w.start()
				arn := w.run(nil)
				settle(time.Second)
				began := time.Now()
				if err := w.open().Interrupt(t.Context(), arn); err != nil { // as another process does
					t.Fatal(err)
				}
				settle(10 * time.Second)
				if diff := cmp.Diff([]seen{running, notice, stopped(test.code)}, w.events()); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(test.signals, w.signals(arn, began)); diff != "" {
					t.Error(diff)
				}
				if at := w.describe(arn).StoppingAt; !at.Equal(began) {
					t.Errorf("stoppingAt is %v after the notice", at.Sub(began))
				}
			})
		})
	}

	t.Run("comes by itself with the fault, in real time, so many times", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{TimeScale: 10}, always(Script{Forever: true}))
			w.register(nil)
			w.inject("interrupt@5s:1")
			w.start()
			onDemand := w.run(func(in *ecs.RunTaskInput) { in.CapacityProviderStrategy[0].CapacityProvider = new("FARGATE") })
			settle(time.Second)
			first := w.run(nil)
			settle(time.Second)
			second := w.run(nil)
			settle(8 * time.Second)
			task := w.describe(first)
			if task.StopCode != "SpotInterruption" || task.StoppingAt.Sub(*task.StartedAt) != 5*time.Second {
				t.Errorf("the first is %s", encodeShape(task))
			}
			for _, arn := range []string{onDemand, second} {
				if task := w.describe(arn); *task.LastStatus != "RUNNING" {
					t.Errorf("another one is %s", encodeShape(task))
				}
			}
		})
	})

	t.Run("is refused where nothing can be interrupted", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true}))
			w.register(nil)
			waiting := w.run(nil)
			refused := func(arn, why string) {
				t.Helper()
				if err := w.Interrupt(t.Context(), arn); err == nil || !strings.Contains(err.Error(), why) {
					t.Errorf("the answer is %v, without %q", err, why)
				}
			}
			refused(waiting, "does not run yet: it is PROVISIONING")
			refused(w.run(func(in *ecs.RunTaskInput) { in.CapacityProviderStrategy, in.LaunchType = nil, types.LaunchTypeFargate }),
				"does not run on FARGATE_SPOT")
			refused("none", "was not found")
			w.start()
			settle(time.Second)
			if err := w.Interrupt(t.Context(), waiting); err != nil {
				t.Fatal(err)
			}
			refused(waiting, "is being stopped already: Your Spot Task was interrupted.")
			settle(time.Second)
			refused(waiting, "has stopped already")
		})
	})
}

// TestTheLifeCycleKeepsItsPromises throws facts at a task in any order.
func TestTheLifeCycleKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		task := &task{id: "0", phase: phaseHanded}
		task.detail = detail{LastStatus: statusProvisioning, DesiredStatus: statusRunning, Version: 1, CapacityProviderName: providerSpot}
		task.Containers = []container{{Name: "main", LastStatus: statusPending}, {Name: "side", LastStatus: statusPending}}
		now := time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)
		facts := []func(){
			func() { task.pulling(now) },
			func() { task.started(now) },
			func() { task.stopRequested(now, "") },
			func() { task.reclaimed(now) },
			func() { task.termSent(now) },
			func() { task.neverStarted(now) },
			func() { task.failedToStart(now, "no", "no") },
			func() { task.lost(now) },
			func() { task.exited(now, ContainerExit{Container: "main", ExitCode: new(0), At: now}, true) },
			func() { task.exited(now, ContainerExit{Container: "side", ExitCode: new(1), At: now}, false) },
		}
		var ended string
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(facts)-1), 1, 20).Draw(t, "facts") {
			before, emitted, wanted := task.Version, len(task.emitted), task.DesiredStatus
			facts[i]()
			now = now.Add(time.Second)
			if ended != "" && string(encodeJSON(task.detail)) != ended {
				t.Fatalf("a stopped task changed: %s", encodeJSON(task.detail))
			}
			if task.Version < before || (len(task.emitted) > emitted && task.Version == before) {
				t.Fatalf("an event came without a new version")
			}
			if wanted == statusStopped && task.DesiredStatus != statusStopped {
				t.Fatal("a task that was to stop runs on")
			}
			if (task.phase == phaseStopped) != (task.LastStatus == statusStopped) || (task.StoppedAt != nil) != (task.phase == phaseStopped) {
				t.Fatalf("phase %s, status %s", task.phase, task.LastStatus)
			}
			if task.phase == phaseStopped {
				ended = string(encodeJSON(task.detail))
				if string(task.emitted[len(task.emitted)-1]) != ended {
					t.Fatal("the end is not the last event")
				}
			}
			for _, c := range task.Containers {
				if c.ExitCode != nil && task.StartedAt == nil {
					t.Fatal("there is an exit code of a container that never ran")
				}
			}
		}
	})
}
