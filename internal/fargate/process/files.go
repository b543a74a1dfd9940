package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// directory holds the files of the supervisors, each named after its supervisor's id.
type directory string

const (
	lockSuffix    = ".lock"     // held while it lives
	journalSuffix = ".journal"  // what it did
	drainedSuffix = ".draining" // there once it has carried out all that it was ever sent
	lostSuffix    = ".lost"     // the tasks that were judged lost because it died before that
	outputSuffix  = ".log"      // what it printed: a panic
)

func (d directory) file(id, suffix string) string { return filepath.Join(string(d), id+suffix) }

// lock creates a supervisor's lock file and locks it. The lock belongs to the open file, so it is handed to the supervisor
// as an inherited descriptor: there is no moment at which the supervisor runs and does not hold it.
func (d directory) lock(id string) (*os.File, error) {
	file, err := os.OpenFile(d.file(id, lockSuffix), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create supervisor lock: %w", err)
	}
	if err := flock(file, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return file, nil
}

// held tells whether a supervisor lives. One whose lock file is gone was buried before.
func (d directory) held(id string) (bool, error) {
	file, err := os.OpenFile(d.file(id, lockSuffix), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at supervisor lock: %w", err)
	}
	defer file.Close()
	err = flock(file, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at supervisor lock: %w", err)
	}
	return false, nil
}

// drained tells whether a supervisor has carried out everything that its engine ever sent.
func (d directory) drained(id string) bool {
	_, err := os.Stat(d.file(id, drainedSuffix))
	return err == nil
}

func (d directory) markDrained(id string) error {
	if err := os.WriteFile(d.file(id, drainedSuffix), nil, 0o600); err != nil {
		return fmt.Errorf("mark supervisor as drained: %w", err)
	}
	return nil
}

// removalOrder is the order in which a dead supervisor's files go, since whoever removes them may be killed in between. The
// journal is first: without it a supervisor took no request, while a journal without its marker is one that died with
// requests in hand. The lock is last: a supervisor is listed by it.
func removalOrder() []string {
	return []string{journalSuffix, lostSuffix, drainedSuffix, outputSuffix, lockSuffix}
}

// remove drops a dead supervisor's files.
func (d directory) remove(id string) error {
	for _, suffix := range removalOrder() {
		if err := os.Remove(d.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove files of a dead supervisor: %w", err)
		}
	}
	return nil
}

// judgements returns the tasks that an earlier Adopt judged lost on account of a supervisor; false where none judged yet.
func (d directory) judgements(id string) ([]string, bool, error) {
	data, err := os.ReadFile(d.file(id, lostSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read earlier judgements: %w", err)
	}
	return strings.Fields(string(data)), true, nil
}

// writeJudgements writes judgements down in one step, so that the next Adopt gives the same answers: this one's may not
// be stored.
func (d directory) writeJudgements(id string, taskIDs []string) error {
	aside := d.file(id, lostSuffix) + ".new"
	if err := os.WriteFile(aside, []byte(strings.Join(taskIDs, "\n")), 0o600); err != nil {
		return fmt.Errorf("write judgements: %w", err)
	}
	if err := os.Rename(aside, d.file(id, lostSuffix)); err != nil {
		return fmt.Errorf("write judgements: %w", err)
	}
	return nil
}

func (d directory) ids() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("list supervisors: %w", err)
	}
	var ids []string
	for _, entry := range entries {
		if id, ok := strings.CutSuffix(entry.Name(), lockSuffix); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func flock(file *os.File, how int) error {
	for {
		if err := unix.Flock(int(file.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
