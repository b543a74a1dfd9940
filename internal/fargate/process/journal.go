package process

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// entry is one line of a supervisor's journal: a task that has been started, or the exit of one of its containers. It holds
// no command and no environment.
type entry struct {
	TaskID    string        `json:"taskId"`
	Started   []mainProcess `json:"started,omitempty"`
	Container string        `json:"container,omitempty"`
	Exit      *exit         `json:"exit,omitempty"`
}

// mainProcess is what a container was started as.
type mainProcess struct {
	Container string `json:"container"`
	PID       int    `json:"pid"`       // also its process group
	StartedAt string `json:"startedAt"` // the kernel's word for when; tells the process from a later one with its id
}

// exit is the end of one main process.
type exit struct {
	Code   *int      `json:"code,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// journal is where a supervisor writes down what it has done. It is one file a supervisor and not one a task, because
// creating and removing small files costs more than starting processes does. A line is one write to the end of the file,
// so it is there whole as soon as it is there, whoever is killed.
type journal struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
	kept map[string][]byte // the lines of the tasks that are not forgotten
	live int64             // their length
}

// rewriteMin is the size from which a journal that is mostly about forgotten tasks is written anew.
const rewriteMin = 1 << 20

// createJournal is done before a supervisor takes requests: one without a journal certainly started nothing. Its being there
// is synced, for that to hold after a crash of the machine too.
func createJournal(path string) (*journal, error) {
	file, err := openJournal(path)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(file.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("sync journal: %w", err)
	}
	return &journal{path: path, file: file, kept: map[string][]byte{}}, nil
}

func openJournal(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return file, nil
}

func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}

// add writes one entry. When it returns, the entry survives the death of any process.
func (j *journal) add(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode journal entry: %w", err)
	}
	line = append(line, '\n')
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.file.Write(line); err != nil {
		// Part of a line may be there (the disk is full); the next one must not be joined to it.
		return errors.Join(fmt.Errorf("write journal: %w", err), j.file.Truncate(j.size))
	}
	j.size += int64(len(line))
	j.live += int64(len(line))
	j.kept[e.TaskID] = append(j.kept[e.TaskID], line...)
	return nil
}

// forget drops a task. The file is written anew now and then, while the engine lives: who reads the journal of a draining
// supervisor sees it only grow.
func (j *journal) forget(taskID string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live -= int64(len(j.kept[taskID]))
	delete(j.kept, taskID)
	if j.size < rewriteMin || j.size < 4*j.live {
		return nil
	}
	return j.rewrite()
}

func (j *journal) rewrite() error {
	aside := j.path + ".new"
	if err := os.Remove(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rewrite journal: %w", err)
	}
	file, err := openJournal(aside)
	if err != nil {
		return err
	}
	var all bytes.Buffer
	for _, lines := range j.kept {
		all.Write(lines)
	}
	size := int64(all.Len())
	if _, err = file.Write(all.Bytes()); err == nil {
		err = os.Rename(aside, j.path)
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("rewrite journal: %w", err)
	}
	j.file.Close()
	j.file, j.size, j.live = file, size, size
	return nil
}

// sync puts the journal on the disk itself. It is done once, before the supervisor vouches for its being complete.
func (j *journal) sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// history is what a journal says of one task.
type history struct {
	containers []containerHistory
}

type containerHistory struct {
	mainProcess
	exit *exit
}

// unfinished tells whether a container has no exit written down.
func (h history) unfinished() bool {
	for _, c := range h.containers {
		if c.exit == nil {
			return true
		}
	}
	return false
}

// anyExit tells whether a container has one.
func (h history) anyExit() bool {
	for _, c := range h.containers {
		if c.exit != nil {
			return true
		}
	}
	return false
}

// journalReader follows a journal that may still grow.
type journalReader struct {
	path    string
	offset  int64
	tasks   map[string]*history
	exists  bool // there is a journal
	corrupt bool // there are lines that make no sense: the machine crashed
}

// read takes in what has been added since the last time. A line without its end is not there yet.
func (r *journalReader) read() error {
	file, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // its supervisor had not come so far
	}
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer file.Close()
	r.exists = true
	if info, err := file.Stat(); err == nil && info.Size() == r.offset {
		return nil
	}
	data, err := io.ReadAll(io.NewSectionReader(file, r.offset, 1<<62))
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	whole := data[:bytes.LastIndexByte(data, '\n')+1]
	r.offset += int64(len(whole))
	for line := range bytes.Lines(whole) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil || e.TaskID == "" {
			r.corrupt = true
			continue
		}
		r.take(e)
	}
	return nil
}

func (r *journalReader) take(e entry) {
	h := r.tasks[e.TaskID]
	if h == nil {
		h = &history{}
		r.tasks[e.TaskID] = h
	}
	for _, p := range e.Started {
		h.containers = append(h.containers, containerHistory{mainProcess: p})
	}
	for i := range h.containers {
		if h.containers[i].Container == e.Container {
			h.containers[i].exit = e.Exit
		}
	}
}

// of returns what the journal says of a task, so far.
func (r *journalReader) of(taskID string) history {
	if h := r.tasks[taskID]; h != nil {
		return *h
	}
	return history{}
}
