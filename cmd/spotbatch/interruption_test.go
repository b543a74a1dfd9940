package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestASignalIsTheExitCode(t *testing.T) {
	t.Parallel()
	for signal, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		for _, args := range [][]string{{"run", "-f", "-"}, {"local", "run", "-f", "-"}} {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(&interruption{signal}) })
				got := newShell(newFake()).run(ctx, good, args...)
				if got.code != want || strings.Contains(got.stderr, "signal") {
					t.Errorf("%v, %v: got %v, want %d", signal, args, got, want)
				}
			})
		}
	}
}

func TestInterruptible(t *testing.T) { //nolint:paralleltest // signals are the process's
	ctx := interruptible(t.Context())
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	cause, ok := errors.AsType[*interruption](context.Cause(ctx))
	if !ok || cause.signal != syscall.SIGTERM || !errors.Is(cause, context.Canceled) {
		t.Errorf("got %v", context.Cause(ctx))
	}
}
