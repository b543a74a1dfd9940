package intake_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const eventsDir = "../../events"

// TestEvents feeds every payload of events/ through Parse and, where it holds a request, through ParseRequest, and compares
// with events/expected.json: for each file its items, as the kind and, where there is an error or a reason, a part of it.
func TestEvents(t *testing.T) {
	t.Parallel()
	expected := map[string][]string{}
	if err := json.Unmarshal(read(t, filepath.Join(eventsDir, "expected.json")), &expected); err != nil {
		t.Fatal(err)
	}
	files := eventFiles(t)
	for name := range expected {
		if _, ok := files[name]; !ok {
			t.Errorf("expected.json lists %s, which does not exist", name)
		}
	}
	for name, payload := range files {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, ok := expected[name]
			if !ok {
				t.Fatal("the file is not listed in expected.json")
			}
			if diff := cmp.Diff(want, outcomes(payload), cmp.Comparer(within)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// eventFiles returns every payload below events/ by its path.
func eventFiles(tb testing.TB) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(eventsDir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.Contains(path, "/") && filepath.Ext(path) == ".json" {
			files[path] = read(tb, filepath.Join(eventsDir, path))
		}
		return err
	})
	if err != nil || len(files) == 0 {
		tb.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

func read(tb testing.TB, file string) []byte {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

// outcomes tells each item in one line.
func outcomes(payload []byte) []string {
	delivery, err := intake.Parse(payload)
	if err != nil {
		return []string{"ERROR " + err.Error()}
	}
	var lines []string
	for _, item := range delivery.Items {
		err := item.Err
		if err == nil && item.Kind == intake.Submit {
			_, err = jobs.ParseRequest(item.Request)
		}
		line := string(item.Kind)
		switch {
		case err != nil:
			line += " " + err.Error()
		case item.Kind == intake.Ignored:
			line += " " + item.Reason
		}
		lines = append(lines, line)
	}
	return lines
}

// within reports whether two lines agree: the same kind, and the text of one is a part of the other's. An expectation
// without text wants no error.
func within(a, b string) bool {
	kindA, textA, _ := strings.Cut(a, " ")
	kindB, textB, _ := strings.Cut(b, " ")
	return kindA == kindB && (strings.Contains(textA, textB) || strings.Contains(textB, textA)) &&
		(kindA == string(intake.Ignored) || (textA == "") == (textB == ""))
}
