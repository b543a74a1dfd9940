package local

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOldLogsAreDroppedAndYoungOnesKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{"old.log": 31 * 24 * time.Hour, "young.log": time.Hour} {
		path := filepath.Join(folder, "0a", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropOldLogs(t.Context(), folder, now.Add(-30*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(folder, "*", "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "young.log" {
		t.Errorf("left: %v, %v", left, err)
	}
	if err := dropOldLogs(t.Context(), filepath.Join(folder, "none"), now); err != nil {
		t.Errorf("a folder that is not there yet: %v", err)
	}
}
