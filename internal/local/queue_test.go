package local

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// drop puts a file into the queue's folder as a finished writer would have left it.
func drop(t *testing.T, folder, name, text string) {
	t.Helper()
	hidden := filepath.Join(folder, "."+name)
	if err := os.WriteFile(hidden, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(hidden, filepath.Join(folder, name)); err != nil {
		t.Fatal(err)
	}
}

// waitFile waits until a file is there and returns its text.
func waitFile(t *testing.T, path string) string {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s after 20 s", path)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func list(t *testing.T, s *testSystem) []*jobs.Job {
	t.Helper()
	page, err := s.Store.List(t.Context(), jobs.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return page.Jobs
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

// TestAFileThatIsMetAgainAfterACrashMakesNoSecondJob plays the crash between the submission and the move.
func TestAFileThatIsMetAgainAfterACrashMakesNoSecondJob(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t)
	path := filepath.Join(folder, "job.json")
	at := time.Now().Add(-time.Hour)
	for range 2 {
		drop(t, folder, "job.json", request("a", "true", ""))
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if err := prepareQueue(folder); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- s.runQueueFolder(ctx, folder) }()
		waitFile(t, filepath.Join(folder, acceptedDir, "job.json"))
		if err := os.Remove(filepath.Join(folder, acceptedDir, "job.json")); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, s); len(got) != 1 {
		t.Errorf("%d jobs, want 1", len(got))
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
	long := strings.Repeat("x", 245) + ".json" // its reason's name would be too long
	drop(t, folder, long[1:], bad)
	waitFile(t, filepath.Join(folder, rejectedDir, long[1:]))
	if taken, _ := filepath.Glob(filepath.Join(folder, acceptedDir, "*")); len(taken) != 0 {
		t.Errorf("accepted: %v", taken)
	}
	wait(t, s, "bad", "ended", ended)
}

func TestAFileFromTheFutureIsTakenAndAnEarlierOneOfItsNameIsKept(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := up(t, func(o *Options) { o.QueueFolder = folder })
	for n := range 2 {
		drop(t, folder, "job.json", request("a", "true", ""))
		future := time.Now().Add(time.Hour)
		if err := os.Chtimes(filepath.Join(folder, "job.json"), future, future); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			if taken, _ := filepath.Glob(filepath.Join(folder, acceptedDir, "*")); len(taken) == n+1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("file %d was not taken", n+1)
			}
			time.Sleep(10 * time.Millisecond)
		}
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
	deadline := time.Now().Add(20 * time.Second)
	for len(list(t, s)) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the first line waits for the second")
		}
		time.Sleep(10 * time.Millisecond)
	}
	wait(t, s, "first", "ended", ended)
	_ = out.Close()
}
