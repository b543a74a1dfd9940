package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/internal/local"
)

func TestOpenLocalRefusesADataDirectoryThatIsNot(t *testing.T) {
	t.Parallel()
	_, err := openLocal(t.Context(), local.Options{DataDir: filepath.Join(t.TempDir(), "none")}, false)
	if err == nil || !strings.Contains(err.Error(), "there is no data directory") {
		t.Errorf("got %v", err)
	}
}

// A mistyped --data is told, and leaves nothing behind.
func TestOpenLocalRefusesAFolderOfSomethingElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := openLocal(t.Context(), local.Options{DataDir: dir}, false)
	if err == nil || !strings.Contains(err.Error(), "holds no data of spotbatch") {
		t.Errorf("got %v", err)
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("it left %v, %v", made, err)
	}
}

func TestOpenLocalRefusesAFileForADirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openLocal(t.Context(), local.Options{DataDir: file}, false)
	if err == nil || codeOfError(err) != exitUsage {
		t.Errorf("a file: got %v", err)
	}
	below := filepath.Join(file, "data")
	_, err = openLocal(t.Context(), local.Options{DataDir: below}, false)
	if err == nil || !strings.Contains(err.Error(), below+" must be readable and writable by this user") {
		t.Errorf("below a file: got %v", err)
	}
}
