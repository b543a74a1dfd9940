package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// interruption is the cause of a context that a signal ended.
type interruption struct{ signal syscall.Signal }

func (i *interruption) Error() string { return "interrupted by a signal: " + i.signal.String() }

// Is makes it the end of a context like any other.
func (i *interruption) Is(target error) bool { return target == context.Canceled }

// interruptible returns a context that the first Ctrl-C or SIGTERM ends. The second ends the process at once.
func interruptible(parent context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			number, _ := s.(syscall.Signal)
			cancel(&interruption{number})
		case <-parent.Done():
			cancel(context.Cause(parent))
		}
	}()
	return ctx
}
