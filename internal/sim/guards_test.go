package sim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var guards = flag.Bool("guards", false, "build the system without each guard in turn, and let the simulation find what breaks")

// root is the module's directory, as the tests of this package see it.
const root = "../.."

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEveryGuardIsWhereItsMutantTakesItOut(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range mutants() {
		if seen[m.Guard] {
			t.Errorf("%q is listed twice", m.Guard)
		}
		seen[m.Guard] = true
		for _, e := range slices.Concat(m.Edits, m.Behind) {
			if n := strings.Count(read(t, e.File), e.Old); n != 1 {
				t.Errorf("%s: %s has it %d times: %q", m.Guard, e.File, n, e.Old)
			}
		}
	}
}

// TestEachGuardIsNeeded builds the system once for each guard, without it, and lets it live through a thousand seeds. It takes
// minutes, so it runs when it is asked for: make sim-guards.
func TestEachGuardIsNeeded(t *testing.T) {
	if !*guards {
		t.Skip("asked for by -guards: it builds the system once for each guard")
	}
	for _, m := range mutants() {
		t.Run(m.Guard, func(t *testing.T) {
			if found, out := live(t, slices.Concat(m.Edits, m.Behind), m.With); !found {
				t.Errorf("no seed of 1,000 misses it:\n%s", out)
			} else {
				t.Logf("%s", out)
			}
			if m.Behind == nil {
				return
			}
			if found, out := live(t, m.Behind, m.With); found {
				t.Errorf("what is behind the guard is missed by itself:\n%s", out)
			}
		})
	}
}

// live has the system with edits live through a thousand seeds, and reports whether an invariant did not hold.
func live(t *testing.T, edits []edit, with string) (found bool, out []byte) {
	t.Helper()
	program := build(t, edits)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // without a guard the engine may never come to an end
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-seeds", "1000", "-brief", "-with", with).CombinedOutput()
	if found = bytes.Contains(out, []byte("seed ")); found != (err != nil) {
		t.Fatalf("it says neither that all held nor what did not: %v\n%s", err, out)
	}
	return found, out
}

// build builds cmd/sim with edits laid over the source.
func build(t *testing.T, edits []edit) string {
	t.Helper()
	dir := t.TempDir()
	edited := map[string]string{}
	for _, e := range edits {
		text, ok := edited[e.File]
		if !ok {
			text = read(t, e.File)
		}
		edited[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, text := range edited {
		original, err := filepath.Abs(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Fatal(err)
		}
		replacement := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replacement, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[original] = replacement
	}
	listed, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), listed, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "sim")
	command := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program,
		"./internal/sim/cmd/sim")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return program
}
