package main

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

func TestSubmitKeepsTheOrderAndHoldsLittle(t *testing.T) {
	t.Parallel()
	const n = 1500
	m := newFake()
	s := newShell(m)
	var in strings.Builder
	var want strings.Builder
	for i := range n {
		in.WriteString(withID(fmt.Sprintf("job-%05d", i)) + "\n")
		fmt.Fprintf(&want, "job-%05d\n", i)
	}
	got := s.run(t.Context(), in.String(), "submit", "-q")
	if got.code != 0 || got.stdout != want.String() {
		t.Errorf("exit %d, %d bytes, want %d; %s", got.code, len(got.stdout), want.Len(), got.stderr)
	}
}

// What is under way beside a request that fails may be stored: who is not told of it submits it again.
func TestSubmitTellsOfEachJobThatWasStoredBesideOneThatWasNot(t *testing.T) {
	t.Parallel()
	m := newFake()
	m.refuse = "bad"
	var others sync.WaitGroup
	others.Add(2)
	m.accepted = func(*fakeMachine, *jobs.Job) { others.Done() }
	m.refusing = others.Wait
	bad := strings.Replace(withID("a"), "nightly", "bad", 1)
	got := newShell(m).run(t.Context(), bad+"\n"+withID("b")+"\n"+withID("c"), "submit", "-q")
	want := result{1, "b\nc\n", "2 jobs submitted all the same.\nspotbatch: stdin:1: the store is gone\n"}
	if diff := cmp.Diff(want.String(), got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestSubmitAsksForRequestsOnATerminal(t *testing.T) {
	t.Parallel()
	s := newShell(newFake())
	s.cli.window = func(any) (int, int, bool) { return 80, 24, true }
	if got := s.run(t.Context(), "", "submit"); got.code != exitUsage || !strings.Contains(got.stderr, "-f FILE") {
		t.Errorf("got %v", got)
	}
}
