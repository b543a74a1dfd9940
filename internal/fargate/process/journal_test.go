package process

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestAJournalKeepsWhatIsNotForgotten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	j, err := createJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	code := 3
	var largest int64
	for i := range 12_000 {
		id := fmt.Sprint("task", i)
		for _, e := range []entry{
			{TaskID: id, Started: []mainProcess{{Container: "main", PID: i, StartedAt: "then"}}},
			{TaskID: id, Container: "main", Exit: &exit{Code: &code, At: now()}},
		} {
			if err := j.add(e); err != nil {
				t.Fatal(err)
			}
		}
		if i%3_000 != 0 {
			if err := j.forget(id); err != nil {
				t.Fatal(err)
			}
		}
		largest = max(largest, j.size)
	}
	if largest > rewriteMin+1024 {
		t.Errorf("journal grew to %d bytes", largest)
	}
	r := journalReader{path: path, tasks: map[string]*history{}}
	if err := r.read(); err != nil || r.corrupt {
		t.Fatalf("read: %v, corrupt %t", err, r.corrupt)
	}
	for i := 0; i < 12_000; i += 3_000 {
		h := r.of(fmt.Sprint("task", i))
		if len(h.containers) != 1 || h.unfinished() || *h.containers[0].exit.Code != 3 || h.containers[0].PID != i {
			t.Errorf("history of task%d = %+v", i, h)
		}
	}
}

func TestAReaderFollowsAJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	r := journalReader{path: path, tasks: map[string]*history{}}
	for _, step := range []struct {
		name, add  string
		unfinished bool
		corrupt    bool
	}{
		{"a task", `{"taskId":"t","started":[{"container":"main","pid":7}]}` + "\n", true, false},
		{"half an exit", `{"taskId":"t","container":"main",`, true, false},
		{"the other half", `"exit":{"code":0}}` + "\n", false, false},
		{"what a crash of the machine leaves", "\x00\x00\x00\n", false, true},
	} {
		file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteString(step.add); err != nil {
			t.Fatal(err)
		}
		file.Close()
		if err := r.read(); err != nil {
			t.Fatal(err)
		}
		if h := r.of("t"); len(h.containers) != 1 || h.unfinished() != step.unfinished || r.corrupt != step.corrupt {
			t.Errorf("after %s: %+v, corrupt %t", step.name, h, r.corrupt)
		}
	}
}
