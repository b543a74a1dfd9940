package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram makes this test binary the program itself.
const asProgram = "WORDCOUNT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// sources makes a folder with Go files in a few packages.
func sources(t *testing.T, files int) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range files {
		// Folders and files are interleaved on purpose: b.go, b/, c.go.
		name := fmt.Sprintf("%s/%c%d.go", []string{"a", "a/b", "a/b/c", "d", "e"}[i%5], 'a'+i%3, i)
		text := "package p\n\n"
		for n := range 1 + random.IntN(8) {
			text += fmt.Sprintf("var v%d = f(x, _, %d) // f g\n", random.IntN(4), n)
		}
		write(name, text)
	}
	write("a/README.md", "no Go")
	write("a/odd.go/file.txt", "a folder that is named as a file")
	return root
}

func opened(t *testing.T, root string) *tree {
	t.Helper()
	files, err := openTree(root)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// onward never stops a count.
func onward(context.Context, int) error { return nil }

func counted(t *testing.T, files *tree) *tally {
	t.Helper()
	s := newTally(files)
	if err := s.run(t.Context(), files, onward); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBytesAreCountedAsWcDoes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]counts{
		"":                          {1, 0, 0, 0},
		"one":                       {1, 0, 1, 3},
		"one two\n":                 {1, 1, 2, 8},
		" \t one\r\n\n\vtwo three ": {1, 2, 3, 20},
		"größer\n":                  {1, 1, 1, 9},
	} {
		if got := countBytes([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestIdentifiersOfAPackageAreCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ source, want string }{
		"not in comments, strings and keywords": {"package p // p p\nvar s = `p`", "[{p 1} {s 1}]"},
		"equally frequent ones by name":         {"z b z b a", "[{b 2} {z 2} {a 1}]"},
		"no more than the first three":          {"a b c d", "[{a 1} {b 1} {c 1}]"},
		"without the blank one":                 {"_ = a; _ = b", "[{a 1} {b 1}]"},
		"also where it is no Go":                {"a \x00 ' b \" c", "[{a 1}]"},
	} {
		into := map[string]int{}
		countIdentifiers([]byte(c.source), into)
		if got := fmt.Sprint(top(into)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestFilesAreCountedPackageByPackage(t *testing.T) {
	t.Parallel()
	files := opened(t, sources(t, 20))
	if len(files.files) != 20 {
		t.Errorf("%d files, want 20", len(files.files))
	}
	s := counted(t, files)
	var names []string
	for _, f := range s.Folders {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, " "), "a a/b a/b/c d e"; got != want {
		t.Errorf("packages in the order %s, want %s", got, want)
	}
	if total := s.total(); total.Files != 20 {
		t.Errorf("the total has %d files, want 20", total.Files)
	}
}

func TestACountResumedAtAnyFileHasTheSameResult(t *testing.T) {
	t.Parallel()
	files := opened(t, sources(t, 40))
	want := counted(t, files).report()
	stop := errors.New("stop")
	for at := range files.files {
		file := filepath.Join(t.TempDir(), "checkpoint")
		first := newTally(files)
		err := first.run(t.Context(), files, func(_ context.Context, done int) error {
			if done == at {
				return stop
			}
			return nil
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		if err := first.save(file); err != nil {
			t.Fatal(err)
		}
		second, err := loadTally(file, files)
		if err != nil {
			t.Fatal(err)
		}
		if second.Done != at {
			t.Errorf("stopped at file %d and resumed at %d", at, second.Done)
		}
		if err := second.run(t.Context(), files, onward); err != nil {
			t.Fatal(err)
		}
		if got := second.report(); got != want {
			t.Errorf("stopped at file %d:\n%s\nwant\n%s", at, got, want)
		}
	}
}

func TestACheckpointThatCannotBeTrustedIsRefused(t *testing.T) {
	t.Parallel()
	root := sources(t, 10)
	files := opened(t, root)
	whole := counted(t, files)
	saved := filepath.Join(t.TempDir(), "whole")
	if err := whole.save(saved); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, content []byte, files *tree) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "checkpoint")
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := loadTally(file, files)
		if !errors.Is(err, errCheckpoint) {
			t.Errorf("%s: error %v, want it refused", what, err)
			return
		}
		if s.Done != 0 || len(s.Folders) != 0 {
			t.Errorf("%s: counting goes on at file %d", what, s.Done)
		}
	}
	for _, length := range []int{0, 1, 64, 65, 66, len(content) / 2, len(content) - 1} {
		refused(fmt.Sprintf("torn after %d bytes", length), content[:length], files)
	}
	flipped := bytes.Clone(content)
	flipped[len(flipped)/2] ^= 1
	refused("one bit flipped", flipped, files)
	if err := os.WriteFile(filepath.Join(root, "new.go"), []byte("package p\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("another file since", content, opened(t, root))
}

func TestSavingLeavesOneFile(t *testing.T) {
	t.Parallel()
	files := opened(t, sources(t, 5))
	dir := t.TempDir()
	s := counted(t, files)
	for range 3 {
		if err := s.save(filepath.Join(dir, "checkpoint")); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, %v; want 1", len(entries), err)
	}
	if err := s.save(filepath.Join(dir, "missing", "checkpoint")); err == nil {
		t.Error("saved in a folder that is not there")
	}
}

// attempt runs the program as one attempt of a job. term is when SIGTERM comes, from its first line on; never: it does not.
func attempt(t *testing.T, number int, previous string, term time.Duration, args ...string) (code int, output string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = []string{
		asProgram + "=1", "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "SPOTBATCH_JOB_ID=job-1",
		fmt.Sprintf("SPOTBATCH_ATTEMPT=%d", number), "SPOTBATCH_CAPACITY_PROVIDER=FARGATE_SPOT", "SPOTBATCH_PREVIOUS_CAUSE=" + previous,
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 4)
	n, _ := io.ReadFull(stdout, first)
	if term != never {
		time.AfterFunc(term, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	}
	rest, err := io.ReadAll(stdout)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(first[:n]) + string(rest)
}

// never is a time that does not come.
const never time.Duration = -1

// totalOf cuts a log's result out.
func totalOf(log string) string {
	_, result, _ := strings.Cut(log, "PACKAGE ")
	return result
}

func TestSIGTERMAtRandomPointsChangesNothing(t *testing.T) {
	t.Parallel()
	root := sources(t, 300)
	code, log := attempt(t, 1, "", never, root)
	want := totalOf(log)
	if code != 0 || want == "" {
		t.Fatalf("exit code %d: %s", code, log)
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			checkpoints := filepath.Join(t.TempDir(), "made", "by", "it")
			terminated := 0
			for n := 1; ; n++ {
				// From before the first file to after the last.
				term := time.Duration(random.IntN(300)) * time.Millisecond
				if n > 8 {
					term = never
				}
				code, log := attempt(t, n, "SPOT_INTERRUPTION", term, "-checkpoints", checkpoints, "-pace", "300ms", root)
				switch {
				case code == 0:
					if got := totalOf(log); got != want {
						t.Errorf("after %d interruptions the result is\n%s\nwant\n%s", terminated, got, want)
					}
					return
				case code == exitTerminated && strings.Contains(log, "terminated: checkpoint saved at file"):
					terminated++
				default:
					t.Fatalf("attempt %d: exit code %d:\n%s", n, code, log)
				}
			}
		})
	}
}

func TestLogTellsWhatHappened(t *testing.T) {
	t.Parallel()
	root := sources(t, 50)
	checkpoints := t.TempDir()
	code, log := attempt(t, 1, "", never, "-fail-times", "1", "-checkpoints", checkpoints, root)
	if code != exitFailed || !strings.Contains(log, "told to fail in attempt 1, at file 5 of 50") {
		t.Errorf("exit code %d:\n%s", code, log)
	}
	if err := os.WriteFile(filepath.Join(checkpoints, "job-1.checkpoint"), []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, log = attempt(t, 2, "EXIT_NONZERO", never, "-fail-times", "1", "-checkpoints", checkpoints, root)
	for _, line := range []string{
		"job job-1, attempt 2 on FARGATE_SPOT, after EXIT_NONZERO\n",
		"checkpoint cannot be used: it is torn - counting from the start\n",
		"50 Go files in " + root + "\n",
		" 40 %  20 of 50 files\n",
		"\ntotal: 50 files, ",
	} {
		if code != 0 || !strings.Contains(log, line) {
			t.Errorf("exit code %d, want 0 and %q in\n%s", code, line, log)
		}
	}
	if left, _ := os.ReadDir(checkpoints); len(left) > 0 {
		t.Errorf("a checkpoint is left: %v", left)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	for want, args := range map[int][]string{
		exitUsage:  {"one", "two"},
		exitFailed: {filepath.Join(t.TempDir(), "missing")},
	} {
		if code, log := attempt(t, 1, "", never, args...); code != want {
			t.Errorf("%v: exit code %d, want %d: %s", args, code, want, log)
		}
	}
}

func TestWithoutAFolderItCountsGoItself(t *testing.T) {
	t.Parallel()
	files, err := openFiles(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if len(files.files) < 1000 {
		t.Errorf("%d files in %s", len(files.files), files.root)
	}
}

func TestNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 4211: "4,211", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
