package main

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAVerbThatIsInterruptedEndsThoughItsInputStaysOpen(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"submit -f -", "run -f -", "lint -f -", "local run -f -"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in, out := io.Pipe()
				s := newShell(newFake())
				s.cli.stdin = in
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(&interruption{15}) })
				began := time.Now()
				if code := s.cli.execute(ctx, strings.Fields(verb)); code != 143 || time.Since(began) > time.Second {
					t.Errorf("exit code %d after %v", code, time.Since(began))
				}
				_ = out.Close() // and the read that waits ends
			})
		})
	}
}

// TestASubmitThatFailsIsToldThoughMoreMayCome: whoever writes the requests may do so for days.
func TestASubmitThatFailsIsToldThoughMoreMayCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		m := newFake()
		m.refuse = "a"
		s := newShell(m)
		s.cli.stdin = in
		go func() { _, _ = io.WriteString(out, `{"jobName":"a","taskDefinition":"work"}`+"\n") }()
		began := time.Now()
		got := s.cli.execute(t.Context(), []string{"submit", "-f", "-"})
		if stderr := s.stderr.String(); got != 1 || !strings.Contains(stderr, "the store is gone") || time.Since(began) > time.Minute {
			t.Errorf("exit code %d after %v: %s", got, time.Since(began), stderr)
		}
		_ = out.Close()
	})
}
