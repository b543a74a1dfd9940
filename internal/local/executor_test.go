package local

import (
	"log/slog"
	"os"
	"strings"
	"testing"
)

// TestAnotherExecutorTakesNoTasksOver: to one that did not run them they would seem never to have been started.
func TestAnotherExecutorTakesNoTasksOver(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		note, asked string
		handed      int
		want        string // the error; "" = none
	}{
		"another one": {"docker\n", processExecutor, 2, "2 tasks of the docker executor have not ended"},
		"another one, but nothing is left to run": {"docker\n", processExecutor, 0, ""},
		"the same":                             {"process\n", processExecutor, 2, ""},
		"whichever it was":                     {"process\n", autoExecutor, 2, ""},
		"nobody knows which it was":            {"", processExecutor, 2, `says "": write docker or process into it`},
		"nobody knows, and it does not matter": {"doc", processExecutor, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &System{options: Options{DataDir: t.TempDir(), Executor: c.asked, Log: slog.New(slog.DiscardHandler)}}
			if err := os.WriteFile(s.executorFile(), []byte(c.note), 0o600); err != nil {
				t.Fatal(err)
			}
			executor, _, err := s.openExecutor(t.Context(), c.handed)
			note, _ := os.ReadFile(s.executorFile())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || string(note) != c.note {
					t.Errorf("got %v, want %q; the note says %q", err, c.want, note)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer executor.Close()
			if string(note) != processExecutor+"\n" {
				t.Errorf("the note says %q", note)
			}
		})
	}
}
