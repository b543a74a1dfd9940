package fargate

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

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
