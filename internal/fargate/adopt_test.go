package fargate

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

func TestRunTakesOverWhereAnEarlierRunWasLeft(t *testing.T) {
	t.Parallel()
	stubborn := always(Script{Forever: true, IgnoreTerm: true})

	t.Run("a task that runs is watched on, and not signalled at the end of Run", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{RunFor: 10 * time.Second, ExitCode: 4}))
			w.register(nil)
			stop := w.start()
			arn := w.run(nil)
			settle(time.Second)
			stop()
			began := time.Now()
			settle(20 * time.Second) // it exits while nobody watches
			w.start()
			settle(time.Second)
			if diff := cmp.Diff(exits("4"), w.events()); diff != "" {
				t.Error(diff)
			}
			if signals := w.signals(arn, began); signals != nil {
				t.Errorf("it got %v", signals)
			}
		})
	})

	t.Run("the time to SIGKILL goes on, and SIGTERM is not sent again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, stubborn)
			w.register(nil)
			stop := w.start()
			arn := w.run(nil)
			settle(time.Second)
			began := time.Now()
			if err := w.Interrupt(t.Context(), arn); err != nil {
				t.Fatal(err)
			}
			settle(10 * time.Second)
			stop()
			settle(5 * time.Second)
			w.start()
			settle(20 * time.Second)
			want := []string{terminated + " after 0s", "main: " + killed + " after 30s"}
			if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
				t.Error(diff)
			}
		})
	})

	t.Run("a reclaim that was not seen leaves the scaled two minutes from SIGTERM on", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{TimeScale: 10}, stubborn)
			w.register(func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].StopTimeout = new(int32(120)) })
			stop := w.start()
			arn := w.run(nil)
			settle(time.Second)
			stop()
			began := time.Now()
			if err := w.Interrupt(t.Context(), arn); err != nil {
				t.Fatal(err)
			}
			settle(20 * time.Second)
			w.start()
			settle(13 * time.Second)
			want := []string{terminated + " after 20s", "main: " + killed + " after 32s"}
			if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
				t.Error(diff)
			}
		})
	})

	t.Run("a start that was under way is begun again", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{StartDelay: 2 * time.Second}))
			w.register(nil)
			stop := w.start()
			w.run(nil)
			settle(time.Second)
			stop()
			w.start()
			settle(3 * time.Second)
			if diff := cmp.Diff(exits("0"), w.events()); diff != "" {
				t.Error(diff)
			}
		})
	})

	t.Run("a task whose start was not stored any more runs", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true}))
			w.register(nil)
			arn := w.run(nil)
			w.exec(`UPDATE fargate_tasks SET phase = 'handed'`)
			if err := w.executor.Start(t.Context(), TaskSpec{TaskID: lastPart(arn), Containers: []ContainerSpec{{Name: mainContainer}}}); err != nil {
				t.Fatal(err)
			}
			w.start()
			settle(time.Second)
			if task := w.describe(arn); *task.LastStatus != "RUNNING" {
				t.Errorf("it is %s", encodeShape(task))
			}
		})
	})

	t.Run("a task that ran is lost, and not started again, where the executor does not know it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true}))
			w.register(nil)
			stop := w.start()
			arn := w.run(nil)
			settle(time.Second)
			stop()
			w.executor.Forget(lastPart(arn))
			w.start()
			settle(time.Second)
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || *task.StoppedReason != reasonExecutorDied {
				t.Errorf("it is %s", encodeShape(task))
			}
		})
	})

	t.Run("a task that was to stop before it started does not start", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, nil)
			w.register(nil)
			arn := w.run(nil)
			w.exec(`UPDATE fargate_tasks SET phase = 'handed'`)
			if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
				t.Fatal(err)
			}
			w.exec(`UPDATE fargate_tasks SET attention = 0`) // it was seen, and then came the crash
			w.start()
			settle(time.Second)
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || w.called("Start", arn) {
				t.Errorf("it is %s", encodeShape(task))
			}
		})
	})

	t.Run("a stop and a reclaim that came meanwhile are carried out", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true}))
			w.register(nil)
			w.inject("interrupt@30s:1")
			stop := w.start()
			first := w.run(nil)
			settle(time.Second)
			second := w.run(nil)
			settle(time.Second)
			stop()
			if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &second}); err != nil {
				t.Fatal(err)
			}
			settle(40 * time.Second)
			w.start()
			settle(time.Second)
			for arn, want := range map[string]types.TaskStopCode{first: "SpotInterruption", second: "UserInitiated"} {
				if task := w.describe(arn); *task.LastStatus != "STOPPED" || task.StopCode != want || *task.Containers[0].ExitCode != 143 {
					t.Errorf("it is %s", encodeShape(task))
				}
			}
		})
	})

	t.Run("a lost task has stopped, without an exit code", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{}, always(Script{Forever: true}))
			w.register(nil)
			stop := w.start()
			arn := w.run(nil)
			settle(time.Second)
			stop()
			w.executor.Lose(lastPart(arn))
			w.start()
			settle(time.Second)
			task := w.describe(arn)
			if *task.LastStatus != "STOPPED" || task.Containers[0].ExitCode != nil || *task.StoppedReason != reasonExecutorDied || task.StopCode != "" {
				t.Errorf("it is %s", encodeShape(task))
			}
		})
	})

	t.Run("a task that was handed over and never started is started", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			w := setup(t, Options{MaxTasks: 1}, always(Script{RunFor: 10 * time.Second}))
			w.register(nil)
			stop := w.start()
			first, second, third := w.run(nil), w.run(nil), w.run(nil)
			settle(time.Second)
			if w.row(lastPart(second)).phase != phaseHanded {
				t.Fatal("the second one does not stand in line")
			}
			stop()
			if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &third}); err != nil {
				t.Fatal(err)
			}
			w.start()
			settle(25 * time.Second)
			for _, arn := range []string{first, second} {
				if task := w.describe(arn); *task.LastStatus != "STOPPED" || *task.Containers[0].ExitCode != 0 {
					t.Errorf("it is %s", encodeShape(task))
				}
			}
			if task := w.describe(third); *task.LastStatus != "STOPPED" || w.called("Start", third) {
				t.Errorf("the one that was to stop is %s", encodeShape(task))
			}
		})
	})
}
