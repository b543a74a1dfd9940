package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// drop puts a file into the queue's folder as a finished writer would have left it.
func drop(t *testing.T, folder, name, text string) {
	t.Helper()
	dropAt(t, folder, name, text, time.Now())
}

// dropAt does it with a file whose time is another.
func dropAt(t *testing.T, folder, name, text string, at time.Time) {
	t.Helper()
	hidden := filepath.Join(folder, "."+name)
	if err := errors.Join(os.WriteFile(hidden, []byte(text), 0o600), os.Chtimes(hidden, at, at)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// waitGlob waits until so many files are there, and returns their paths.
func waitGlob(t *testing.T, pattern string, n int) (paths []string) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " of ", pattern), func() bool {
		var err error
		if paths, err = filepath.Glob(pattern); err != nil {
			t.Fatal(err)
		}
		return len(paths) == n
	})
	return paths
}

// waitFile waits until a file is there and returns its text.
func waitFile(t *testing.T, path string) string {
	t.Helper()
	var text []byte
	eventually(t, path, func() bool {
		var err error
		text, err = os.ReadFile(path)
		return err == nil
	})
	return string(text)
}

func list(t *testing.T, s *testSystem) []*jobs.Job {
	t.Helper()
	page, err := s.Store.List(t.Context(), jobs.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Jobs
}

func TestAQueueFolderIsMadeUnlessItsParentIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, want := range map[string]error{"queue": nil, "slash/": nil, "no/such": fs.ErrNotExist} {
		if err := prepareQueue(dir + "/" + path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
		if _, err := os.Stat(filepath.Join(dir, path, acceptedDir)); !errors.Is(err, want) {
			t.Errorf("%s: its folders: %v, want %v", path, err, want)
		}
	}
}

func TestFilesInTheQueueFolderBecomeJobs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	drop(t, folder, "two.jsonl", request("a", "true", "")+"\n"+request("b", "true", `,"jobId":"mine"`)+"\n")
	waitFile(t, filepath.Join(folder, acceptedDir, "two.jsonl"))
	if got := list(t, s); len(got) != 2 {
		t.Errorf("%d jobs, want 2", len(got))
	}
	wait(t, s, "mine", "ended", ended)
}

func TestABadMessageIsPutAsideWithItsReason(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	drop(t, folder, "mixed.json", `[`+request("good", "true", "")+`,{"jobName":"bad","jobId":"bad-1"},{"action":"cancel","jobId":"victim"}]`)
	waitFile(t, filepath.Join(folder, rejectedDir, "mixed.json")) // moved once its reason is written
	reason := waitFile(t, filepath.Join(folder, rejectedDir, "mixed.json.reason.txt"))
	if !strings.Contains(reason, "mixed.json[1]: invalid request: taskDefinition: is required") || !strings.Contains(reason, "mixed.json[2]: the jobs queue takes job requests alone") {
		t.Errorf("reasons %q", reason)
	}
	if j := wait(t, s, "bad-1", "ended", ended); j.Cause != jobs.CauseRequestRejected {
		t.Errorf("the bad request's job has cause %s", j.Cause)
	}
	if got := list(t, s); len(got) != 2 {
		t.Errorf("%d jobs, want the good one and the rejected one", len(got))
	}
}

// TestAFileThatIsMetAgainAfterACrashMakesNoSecondJob plays the crash between the submission and the move, which finds no folder
// to move to.
func TestAFileThatIsMetAgainAfterACrashMakesNoSecondJob(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t)
	drop(t, folder, "job.json", request("a", "true", ""))
	for range 2 {
		q := &queueFolder{system: s.System, path: folder}
		file, err := queueFileOf(filepath.Join(folder, "job.json"), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := q.take(t.Context(), "job.json", file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("take: %v, want a move that failed", err)
		}
		if got := list(t, s); len(got) != 1 {
			t.Errorf("%d jobs, want 1", len(got))
		}
	}
}

func TestAFileThatIsDroppedAgainIsAnotherMessage(t *testing.T) {
	t.Parallel()
	folder, source := t.TempDir(), filepath.Join(t.TempDir(), "nightly.json")
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	if err := os.WriteFile(source, []byte(request("nightly", "true", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	for night := range 2 {
		if out, err := exec.Command("cp", "-p", source, folder).CombinedOutput(); err != nil {
			t.Fatal(string(out), err)
		}
		waitGlob(t, filepath.Join(folder, acceptedDir, "*nightly.json"), night+1)
		if got := list(t, s); len(got) != night+1 {
			t.Errorf("night %d: %d jobs", night+1, len(got))
		}
	}
}

// TestAFileThatWasRefusedIsRefusedAgain plays the crash between the refusal and the move: it must not end among the accepted.
func TestAFileThatWasRefusedIsRefusedAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	bad := `{"jobName":"a","jobId":"bad","taskDefinition":"no-such"}`
	drop(t, folder, "first.json", bad)
	waitFile(t, filepath.Join(folder, rejectedDir, "first.json"))
	if why := waitFile(t, filepath.Join(folder, rejectedDir, "first.json.reason.txt")); !strings.Contains(why, "no such task definition: no-such; give its file to 'local up'") {
		t.Errorf("reason %q, want one that says what to do", why)
	}
	long := strings.Repeat("x", 245) + ".json" // its reason's name would be too long
	drop(t, folder, long[1:], bad)
	waitFile(t, filepath.Join(folder, rejectedDir, long[1:]))
	waitGlob(t, filepath.Join(folder, rejectedDir, "*xxx"+reasonSuffix), 1)
	if taken, _ := filepath.Glob(filepath.Join(folder, acceptedDir, "*")); len(taken) != 0 {
		t.Errorf("accepted: %v", taken)
	}
	wait(t, s, "bad", "ended", ended)
}

func TestTheReasonOfARefusedFileIsItsOwn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	up(t, func(o *Options) { o.QueueFolder = folder })
	for n, definition := range []string{"first-missing", "second-missing"} { // under one name
		drop(t, folder, "job.json", `{"jobName":"a","taskDefinition":"`+definition+`"}`)
		waitGlob(t, filepath.Join(folder, rejectedDir, "*.json"), n+1)
	}
	for _, path := range waitGlob(t, filepath.Join(folder, rejectedDir, "*.json"), 2) {
		refused, why := waitFile(t, path), waitFile(t, path+reasonSuffix)
		for _, definition := range []string{"first-missing", "second-missing"} {
			if strings.Contains(refused, definition) != strings.Contains(why, definition) {
				t.Errorf("%s was refused for %q", refused, why)
			}
		}
	}
}

func TestAFileFromTheFutureIsTakenAndAnEarlierOneOfItsNameIsKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	for n := range 2 {
		dropAt(t, folder, "job.json", request("a", "true", ""), time.Now().Add(time.Hour))
		waitGlob(t, filepath.Join(folder, acceptedDir, "*"), n+1)
	}
	if got := list(t, s); len(got) != 2 {
		t.Errorf("%d jobs, want 2", len(got))
	}
}

func TestAStreamIsTakenLineByLine(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	s := up(t, func(o *Options) { o.QueueReader = in })
	// The stream stays open: a line must not wait for the next one.
	if _, err := io.WriteString(out, request("a", "true", `,"jobId":"first"`)+"\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first line's job, without a second line", func() bool { return len(list(t, s)) > 0 })
	wait(t, s, "first", "ended", ended)
	_ = out.Close()
}
