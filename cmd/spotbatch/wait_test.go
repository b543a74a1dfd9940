package main

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitThatIsInterruptedSaysThatTheJobsGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		m.put(newJob("a"), newJob("b"))
		for args, want := range map[string]string{
			"wait a":   "\nThe job goes on; 'spotbatch wait a' takes it up again.\n",
			"wait a b": "\nThe jobs go on; 'spotbatch wait JOB...' takes them up again.\n",
		} {
			ctx, stop := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, stop)
			if got := newShell(m).run(ctx, "", strings.Fields(args)...); got.code != exitCancelled || !strings.HasSuffix(got.stderr, want) {
				t.Errorf("%s: got %v", args, got)
			}
		}
	})
}
