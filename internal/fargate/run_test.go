package fargate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

func TestOnlySoManyTasksRunAtOnceAndTheOthersWaitInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{MaxTasks: 3}, always(Script{RunFor: time.Second}))
		w.register(nil)
		var want []string
		for range 3 * handedAhead {
			want = append(want, lastPart(w.run(nil)))
		}
		w.start()
		settle(1500 * time.Millisecond)
		status := map[string]int{}
		for _, id := range want {
			status[*w.describe(id).LastStatus]++
		}
		if diff := cmp.Diff(map[string]int{"STOPPED": 3, "RUNNING": 3, "PROVISIONING": 3*handedAhead - 6}, status); diff != "" {
			t.Error(diff)
		}
		if counts, err := w.Live(t.Context()); err != nil || counts.Handed > 3+handedAhead+3 || counts.Waiting == 0 {
			t.Errorf("%+v are live, %v", counts, err)
		}
		settle(handedAhead * time.Second)
		var got []string
		for _, call := range w.executor.Calls() {
			if call.Call == "Start" {
				got = append(got, call.TaskID)
			}
		}
		// Those that start at the same moment do so in any order.
		for from := range slices.Chunk(want, 3) {
			slices.Sort(from)
		}
		for from := range slices.Chunk(got, 3) {
			slices.Sort(from)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if peak := w.executor.Peak(); peak != 3 {
			t.Errorf("%d ran at once", peak)
		}
	})
}

func TestAnExitThatIsToldTwiceFreesItsSlotOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{MaxTasks: 2}, always(Script{RunFor: time.Second}))
		w.executor.ExitsTwice = true
		w.register(nil)
		w.start()
		for range 12 {
			w.run(nil)
		}
		settle(10 * time.Second)
		if counts, err := w.Live(t.Context()); err != nil || counts != (Counts{}) || w.executor.Peak() != 2 {
			t.Errorf("%+v are live, %v; %d ran at once", counts, err, w.executor.Peak())
		}
	})
}

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
		<-w.EventsWaiting()
		if out, err = other.RunTask(t.Context(), spotRequest()); err != nil {
			t.Fatal(err)
		}
		if _, err := other.StopTask(t.Context(), &ecs.StopTaskInput{Task: out.Tasks[0].TaskArn}); err != nil {
			t.Fatal(err)
		}
		settle(pollEvery)
		<-w.EventsWaiting()
	})
}

func TestCallsOfTheSameProcessDoNotWaitForThePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{Forever: true}))
		w.register(nil)
		<-w.EventsWaiting() // after Open
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
		case <-w.EventsWaiting():
		default:
			t.Error("the outbox's consumer was not woken")
		}
	})
}

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

	t.Run("a reclaim that was not seen takes no longer than the scaled two minutes", func(t *testing.T) {
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
			settle(10 * time.Second)
			w.start()
			settle(3 * time.Second)
			want := []string{terminated + " after 10s", "main: " + killed + " after 12s"}
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

// TestAKillAtAnyMomentLosesNothing kills the executing process (its database is gone from one moment to the next, and
// with it everything that was not stored) again and again while tasks run, are stopped and reclaimed.
func TestAKillAtAnyMomentLosesNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { killAgainAndAgain(t, rand.New(rand.NewPCG(seed, 0))) })
		})
	}
}

func killAgainAndAgain(t *testing.T, random *rand.Rand) {
	w := setup(t, Options{MaxTasks: 4, TimeScale: 10}, func(spec TaskSpec, _ ContainerSpec) Script {
		kind := int(spec.TaskID[0]) % 4
		return Script{RunFor: time.Duration(kind*200) * time.Millisecond, ExitCode: kind, Forever: kind == 3, IgnoreTerm: spec.TaskID[1]%2 == 0}
	})
	w.register(nil)
	var arns []string
	for range 6 {
		for range 5 {
			arns = append(arns, w.run(nil))
		}
		w.killedRun(func() {
			time.Sleep(time.Duration(random.IntN(int(900 * time.Millisecond))))
			arn := arns[random.IntN(len(arns))]
			if random.IntN(2) == 0 {
				_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
			} else {
				_ = w.Interrupt(t.Context(), arn)
			}
			for range random.IntN(4) {
				time.Sleep(time.Duration(random.IntN(int(200 * time.Millisecond))))
			}
		})
	}
	w.start()
	settle(5 * time.Second)
	for _, arn := range arns {
		if task := w.describe(arn); *task.LastStatus == "RUNNING" && *task.DesiredStatus == "RUNNING" {
			_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
		}
	}
	settle(20 * time.Second)
	for range len(arns) { // those that never end by themselves hold the slots of those that wait
		for _, arn := range w.list(&ecs.ListTasksInput{}) {
			_, _ = w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn})
		}
		settle(4 * time.Second)
		if counts, _ := w.Live(t.Context()); counts == (Counts{}) {
			break
		}
	}
	w.check(arns)
	if peak := w.executor.Peak(); peak > w.opts.MaxTasks {
		t.Errorf("%d ran at once", peak)
	}
}

// limitPages has the database file be full at so many pages, or at those it has.
func (w *world) limitPages(pages int) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *sqlitedb.Tx) error {
		return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&pages)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAFullDiskIsWaitedOutAndNothingIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		opts := Options{MaxTasks: 10, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		w := setup(t, opts, always(Script{RunFor: time.Second, ExitCode: 3}))
		w.register(nil)
		var arns []string
		for range handedAhead + 30 {
			arns = append(arns, w.run(nil))
		}
		stop := w.start()
		settle(500 * time.Millisecond)
		w.limitPages(1)
		settle(10 * time.Second)
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("the log of the outage is\n%s", log.String())
		}
		if counts, err := w.Live(t.Context()); err != nil || counts.Handed != 10+handedAhead {
			t.Errorf("%+v are live while nothing can be stored, %v", counts, err)
		}
		w.limitPages(1_000_000)
		settle(20 * time.Second)
		for _, arn := range arns {
			task := w.describe(arn)
			if *task.LastStatus != "STOPPED" || task.Containers[0].ExitCode == nil || *task.Containers[0].ExitCode != 3 {
				t.Errorf("a task is %s", encodeShape(task))
			}
		}
		starts := 0
		for _, call := range w.executor.Calls() {
			if call.Call == "Start" {
				starts++
			}
		}
		if events := w.count("fargate_events"); starts != len(arns) || events != 2*len(arns) {
			t.Errorf("%d tasks were started %d times, with %d events", len(arns), starts, events)
		}
		stop()
	})
}

func TestARunThatEndsWhileTheDiskIsFullIsTakenOverByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{RunFor: time.Second}))
		w.register(nil)
		var arns []string
		for range 40 {
			arns = append(arns, w.run(nil))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx, w.executor) }()
		settle(500 * time.Millisecond)
		w.limitPages(1)
		settle(5500 * time.Millisecond)
		cancel()
		began := time.Now()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "full") || time.Since(began) > 0 {
			t.Errorf("Run ended after %v with %v", time.Since(began), err)
		}
		w.limitPages(1_000_000)
		w.start()
		settle(5 * time.Second)
		for _, arn := range arns {
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || task.StopCode != stopContainerExited {
				t.Errorf("a task is %s", encodeShape(task))
			}
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

// killedRun runs the cluster on a database of its own, and takes that away when during returns.
func (w *world) killedRun(during func()) {
	db, err := sqlitedb.Open(w.t.Context(), w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := Open(w.t.Context(), db, w.opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		_ = c.Run(ctx, w.executor)
		close(done)
	}()
	during()
	_ = db.Close()
	cancel()
	<-done
}

// check holds what must be true of tasks that have all ended.
func (w *world) check(arns []string) {
	w.t.Helper()
	starts := map[string]int{}
	for _, call := range w.executor.Calls() {
		if call.Call == "Start" {
			starts[call.TaskID]++
		}
	}
	events, err := w.Events(w.t.Context(), 0, 10000)
	if err != nil {
		w.t.Fatal(err)
	}
	ends, last := map[string]string{}, map[string]int64{}
	for _, event := range events {
		var body struct{ Detail json.RawMessage }
		var d detail
		if err := json.Unmarshal(event.Body, &body); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(body.Detail, &d); err != nil {
			w.t.Fatal(err)
		}
		if d.Version <= last[event.TaskID] {
			w.t.Errorf("task %s: version %d came after %d", event.TaskID, d.Version, last[event.TaskID])
		}
		last[event.TaskID] = d.Version
		if d.LastStatus == "STOPPED" {
			ends[event.TaskID] = string(body.Detail)
		}
	}
	for _, arn := range arns {
		t := w.row(lastPart(arn))
		if starts[t.id] > 1 {
			w.t.Errorf("task %s was started %d times", t.id, starts[t.id])
		}
		if t.phase != phaseStopped || ends[t.id] != string(encodeJSON(t.detail)) {
			w.t.Errorf("task %s is %s, and its last event says %s", t.id, encodeJSON(t.detail), ends[t.id])
		}
		if ran := t.StartedAt != nil; ran != (starts[t.id] == 1) || ran != (t.Containers[0].ExitCode != nil) {
			w.t.Errorf("task %s was started %d times and is %s", t.id, starts[t.id], encodeJSON(t.detail))
		}
	}
}

// awkward is an executor whose signals take 700 ms, and that loses the first SIGKILL.
type awkward struct {
	*Scripted
	lost sync.Once
}

func (a *awkward) Signal(ctx context.Context, taskID, container string, signal syscall.Signal) error {
	time.Sleep(700 * time.Millisecond)
	lost := false
	if signal == syscall.SIGKILL {
		a.lost.Do(func() { lost = true })
	}
	if lost {
		a.record(ScriptedCall{Call: "Signal", TaskID: taskID, Container: container, Signal: signal})
		return errors.New("not now")
	}
	return a.Scripted.Signal(ctx, taskID, container, signal)
}

func TestSignalsToAnAwkwardExecutor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, func(_ TaskSpec, c ContainerSpec) Script {
			if c.Name == mainContainer {
				return Script{Forever: true, IgnoreTerm: true}
			}
			return Script{RunFor: 2500 * time.Millisecond}
		})
		w.register(func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions = append(in.ContainerDefinitions,
				types.ContainerDefinition{Name: new("side"), Image: new("side"), Essential: new(false)})
		})
		w.startWith(&awkward{Scripted: w.executor})
		arn := w.run(nil)
		settle(2 * time.Second)
		began := time.Now()
		if _, err := w.StopTask(t.Context(), &ecs.StopTaskInput{Task: &arn}); err != nil {
			t.Fatal(err)
		}
		settle(40 * time.Second)
		// SIGTERM once, although a container exits while it is sent; SIGKILL until it has worked.
		want := []string{terminated + " after 1s", "main: " + killed + " after 31s", "main: " + killed + " after 32s"}
		if diff := cmp.Diff(want, w.signals(arn, began)); diff != "" {
			t.Error(diff)
		}
		if task := w.describe(arn); *task.LastStatus != "STOPPED" {
			t.Errorf("it is %s", *task.LastStatus)
		}
	})
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{RunFor: time.Second}))
		w.register(nil)
		w.start()
		for range 8 {
			w.run(nil)
		}
		ctx, cancel := context.WithCancel(t.Context())
		type delivered struct {
			task    string
			version int64
		}
		deliveries := make(chan delivered, 100)
		done := make(chan error)
		failures := 0
		go func() {
			done <- w.Deliver(ctx, 1, func(_ context.Context, event Event) error {
				if failures++; failures%3 == 0 {
					return fmt.Errorf("not now")
				}
				var body struct{ Detail detail }
				if err := json.Unmarshal(event.Body, &body); err != nil {
					t.Error(err)
				}
				deliveries <- delivered{event.TaskID, body.Detail.Version}
				return nil
			})
		}()
		settle(15 * time.Second)
		if n := w.count("fargate_events"); n != 0 {
			t.Errorf("%d events were not acknowledged", n)
		}
		last := map[string]int64{}
		for range 16 {
			d := <-deliveries
			if d.version <= last[d.task] {
				t.Errorf("version %d came after %d", d.version, last[d.task])
			}
			last[d.task] = d.version
		}
		cancel()
		if err := <-done; err != nil || len(last) != 8 || len(deliveries) != 0 {
			t.Errorf("%v; there were events of %d tasks, and %d too many", err, len(last), len(deliveries))
		}
	})
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{LogDirectory: "/logs"}, nil)
	for task, want := range map[string]string{
		"arn:aws:ecs:local:000000000000:task/default/0f1e2d3c": "/logs/0f/0f1e2d3c.main.log",
		"0f1e2d3c":         "/logs/0f/0f1e2d3c.main.log",
		"../../etc/passwd": "/logs/pa/passwd.main.log",
	} {
		if got := w.LogFile(task, "main"); got != want {
			t.Errorf("of %s it is %s, not %s", task, got, want)
		}
	}
}

func TestTheDirectoryOfALogFileIsThereWhenTheTaskStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, func(_ TaskSpec, c ContainerSpec) Script {
			if err := os.WriteFile(c.LogFile, []byte("hello"), 0o600); err != nil {
				return Script{StartError: err}
			}
			return Script{}
		})
		w.register(nil)
		w.start()
		arn := w.run(nil)
		settle(time.Second)
		if content, err := os.ReadFile(w.LogFile(arn, mainContainer)); err != nil || string(content) != "hello" {
			t.Errorf("it has %q, %v", content, err)
		}
	})
}
