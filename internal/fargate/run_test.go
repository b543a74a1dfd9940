package fargate

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

func TestTheLaunchDelayCountsFromRunTaskAndIsScaled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{MaxTasks: 1, LaunchDelay: 30 * time.Second, TimeScale: 3}, always(Script{RunFor: time.Second}))
		w.register(nil)
		began := time.Now()
		first := w.run(nil)
		time.Sleep(4 * time.Second)
		stop := w.start()
		settle(time.Second)
		stop() // a restart does not begin it anew
		second := w.run(nil)
		w.start()
		settle(20 * time.Second)
		for arn, want := range map[string]time.Duration{first: 10 * time.Second, second: 15 * time.Second} {
			if got := w.describe(arn).StartedAt.Sub(began); got != want {
				t.Errorf("it started after %v, not %v", got, want)
			}
		}
	})
}

func TestOtherProcessesCallsAreNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{Forever: true}))
		w.register(nil)
		w.start()
		settle(time.Second)
		other := w.open()
		began := time.Now()
		out, err := other.RunTask(t.Context(), spotRequest())
		if err != nil {
			t.Fatal(err)
		}
		arn := *out.Tasks[0].TaskArn
		settle(pollEvery)
		if started := w.describe(arn).StartedAt; started == nil || started.Sub(began) > pollEvery {
			t.Fatalf("it started at %v", started)
		}
		if _, err := other.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
			t.Fatal(err)
		}
		settle(pollEvery)
		if task := w.describe(arn); *task.LastStatus != "STOPPED" || *task.Containers[0].ExitCode != 143 {
			t.Errorf("it is %s", encodeShape(task))
		}
		// A task that the other process stops before it is handed over has an event, too.
		<-w.outbox
		if out, err = other.RunTask(t.Context(), spotRequest()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.StopTask(t.Context(), &ecs.StopTaskInput{Task: out.Tasks[0].TaskArn}); err != nil {
			t.Fatal(err)
		}
		settle(pollEvery)
		<-w.outbox
	})
}

func TestCallsOfTheSameProcessDoNotWaitForThePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{Forever: true}))
		w.register(nil)
		<-w.outbox // after Open
		w.start()
		settle(pollEvery / 2)
		arn := w.run(nil)
		synctest.Wait()
		if task := w.describe(arn); *task.LastStatus != "RUNNING" {
			t.Errorf("it is %s", *task.LastStatus)
		}
		if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
			t.Fatal(err)
		}
		settle(time.Nanosecond) // the script's timer
		if task := w.describe(arn); *task.LastStatus != "STOPPED" {
			t.Errorf("it is %s", *task.LastStatus)
		}
		select {
		case <-w.outbox:
		default:
			t.Error("the outbox's consumer was not woken")
		}
	})
}

func TestATaskThatCannotBeHandedOverFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, nil)
		w.register(nil)
		broken, whole := w.run(nil), w.run(nil)
		w.exec(`UPDATE fargate_tasks SET detail = replace(detail, 'task-definition/job:', 'task-definition/gone:')
			WHERE id = '` + lastPart(broken) + `'`)
		w.start()
		settle(time.Second)
		if task := w.describe(broken); task.StopCode != stopFailedToStart {
			t.Errorf("the broken task is %s", encodeShape(task))
		}
		if task := w.describe(whole); task.StopCode != stopContainerExited {
			t.Errorf("the whole task is %s", encodeShape(task))
		}
	})
}
