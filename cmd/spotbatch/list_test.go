package main

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestListWatchTellsEveryChangeInALine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"), newJob("b"))
		s := newShell(m)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			synctest.Wait()
			finish(m, "a", jobs.CauseSucceeded, 0)
			synctest.Wait()
			m.put(newJob("c"))
			synctest.Wait()
			cancel()
		}()
		got := s.run(ctx, "", "list", "-w")
		golden(t, "list-watch", got.String())
	})
}
