package main

import (
	"errors"
	"strings"
	"testing"
)

// fullDisk is a standard output that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"why a", "describe a", "describe a -o json", "list", "list -o json", "version"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			m := newFake()
			m.put(newJob("a"))
			s := newShell(m)
			s.cli.stdout = fullDisk{}
			if code := s.cli.execute(t.Context(), strings.Fields(verb)); code != 1 || !strings.Contains(s.stderr.String(), "no space left") {
				t.Errorf("exit code %d: %s", code, s.stderr.String())
			}
		})
	}
}
