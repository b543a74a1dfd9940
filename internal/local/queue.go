package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

const (
	// queueEvery is how soon a new file in the queue's folder is noticed.
	queueEvery = 200 * time.Millisecond
	// queueSettle is how long a file must have been left alone before it is read: who writes slowly is not cut short.
	queueSettle = 500 * time.Millisecond
	// acceptedDir and rejectedDir, below the queue's folder, are where files go once they are done with.
	acceptedDir = "accepted"
	rejectedDir = "rejected"
)

// queueFolder is a folder whose files are messages of the jobs queue: one request, an array of them, or one a line. A file is
// acknowledged by moving it to accepted/; what was refused is in rejected/, with the reason. A file that is met again after a
// crash makes no second job: its messages are identified by its name, its inode, the time of its last change and their place. One
// that is put there again under its old name and time of modification (cp -p, rsync -a) is another file, with new messages.
type queueFolder struct {
	system *System
	path   string
	files  map[string]*queueFile // what is in the folder, by name
}

// queueFile is a file as the last look found it.
type queueFile struct {
	size    int64
	inode   uint64
	changed int64     // its ctime, in nanoseconds: nobody can set it, and every write, copy and move does
	since   time.Time // by our own clock: a file's time may lie in the future
	trouble string    // why it was left, as last said
	saidAt  time.Time
}

// queueFileOf looks at a file in the queue's folder.
func queueFileOf(path string, since time.Time) (*queueFile, error) {
	var stat unix.Stat_t
	if err := unix.Lstat(path, &stat); err != nil {
		return nil, &os.PathError{Op: "lstat", Path: path, Err: err}
	}
	return &queueFile{size: stat.Size, inode: stat.Ino, changed: stat.Ctim.Nano(), since: since}, nil
}

// same reports whether two looks found one file that nobody touched between them.
func (f *queueFile) same(g *queueFile) bool {
	return f.size == g.size && f.inode == g.inode && f.changed == g.changed
}

// prepareQueue makes the folders of a queue. One whose parent is not there is a mistake in the path.
func prepareQueue(path string) error {
	if _, err := os.Stat(filepath.Dir(filepath.Clean(path))); err != nil {
		return fmt.Errorf("prepare queue folder %s: %w", path, err)
	}
	for _, dir := range []string{acceptedDir, rejectedDir} {
		if err := os.MkdirAll(filepath.Join(path, dir), 0o700); err != nil {
			return fmt.Errorf("prepare queue folder: %w", err)
		}
	}
	return nil
}

// runQueueFolder takes the files that appear in a prepared folder until ctx ends.
func (s *System) runQueueFolder(ctx context.Context, path string) error {
	q := &queueFolder{system: s, path: path, files: map[string]*queueFile{}}
	return every(ctx, queueEvery, func() { q.look(ctx, time.Now()) })
}

// look takes the files that have been left alone for long enough.
func (q *queueFolder) look(ctx context.Context, now time.Time) {
	entries, err := os.ReadDir(q.path)
	if err != nil {
		q.system.options.Log.Error("queue folder cannot be read", slog.String("error", err.Error()))
	}
	found := map[string]*queueFile{}
	for _, entry := range entries {
		name := entry.Name()
		// Hidden files and *.tmp are somebody's work in progress.
		if !entry.Type().IsRegular() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") {
			continue
		}
		file, err := queueFileOf(filepath.Join(q.path, name), now)
		if err != nil {
			continue // gone already
		}
		if before := q.files[name]; before != nil && before.same(file) {
			file = before
		}
		found[name] = file
		if now.Sub(file.since) < queueSettle {
			continue
		}
		if err := q.take(ctx, name, file); err != nil && ctx.Err() == nil {
			q.complain(name, file, err, now)
		}
	}
	q.files = found
}

// complain says why a file is left for later; the same thing once a minute.
func (q *queueFolder) complain(name string, file *queueFile, err error, now time.Time) {
	if file.trouble == err.Error() && now.Sub(file.saidAt) < time.Minute {
		return
	}
	file.trouble, file.saidAt = err.Error(), now
	q.system.options.Log.Error("queue file is left for later", slog.String("file", name), slog.String("error", err.Error()))
}

// take submits what a file holds and moves it away.
func (q *queueFolder) take(ctx context.Context, name string, file *queueFile) error {
	f, err := os.Open(filepath.Join(q.path, name))
	if err != nil {
		return err
	}
	defer f.Close()
	identity := fmt.Sprintf("file:%s:%d:%d", name, file.inode, file.changed)
	rejected, err := q.system.takeMessages(ctx, intake.NewDocuments(name, f), identity)
	if err != nil {
		return err
	}
	if len(rejected) == 0 {
		return os.Rename(filepath.Join(q.path, name), q.target(name, acceptedDir, file))
	}
	target := q.target(name, rejectedDir, file)
	reasonFile := filepath.Base(target) + reasonSuffix
	if len(reasonFile) > nameMax {
		reasonFile = file.shortName(name) + reasonSuffix
	}
	reasons := []byte(strings.Join(rejected, "\n") + "\n")
	if err := os.WriteFile(filepath.Join(q.path, rejectedDir, reasonFile), reasons, 0o600); err != nil {
		return err
	}
	return os.Rename(filepath.Join(q.path, name), target)
}

const (
	// reasonSuffix names the file that says why the one beside it was refused.
	reasonSuffix = ".reason.txt"
	// nameMax is how many bytes a file's name may have.
	nameMax = 255
)

// shortName tells the file from others of its name, and leaves room for a suffix.
func (f *queueFile) shortName(name string) string {
	return fmt.Sprintf("%d-%s", f.changed, name[:min(len(name), 200)])
}

// target is where a file is moved to in a folder below: beside an earlier one of the same name.
func (q *queueFolder) target(name, dir string, file *queueFile) string {
	target := filepath.Join(q.path, dir, name)
	if _, err := os.Lstat(target); err == nil {
		target = filepath.Join(q.path, dir, file.shortName(name))
	}
	return target
}

// runQueueReader takes each document of a stream as a message of the jobs queue until it ends.
func (s *System) runQueueReader(ctx context.Context, in io.Reader) error {
	_, err := s.takeMessages(ctx, intake.NewDocuments("queue", in), "stream:"+engine.RandomID())
	if err == nil && ctx.Err() == nil {
		s.options.Log.Warn("the queue has ended; no further requests are read from it")
	}
	return err
}

// takeMessages submits documents one after the other and returns the reasons of those that were refused.
func (s *System) takeMessages(ctx context.Context, documents *intake.Documents, identity string) (rejected []string, err error) {
	for n := 0; ; n++ {
		document, err := documents.Next()
		if errors.Is(err, io.EOF) {
			return rejected, nil
		}
		if syntax, ok := errors.AsType[*intake.SyntaxError](err); ok {
			s.options.Log.Warn("request rejected", slog.String("reason", syntax.Error()))
			return append(rejected, syntax.Error()), nil
		}
		if err != nil {
			return rejected, err
		}
		reason, err := s.takeMessage(ctx, fmt.Sprintf("%s:%d", identity, n), document.Body)
		if err != nil {
			return rejected, err
		}
		if reason != "" {
			rejected = append(rejected, document.Where+": "+reason)
		}
	}
}

// takeMessage submits one message of the queue and returns why it was refused, or "".
func (s *System) takeMessage(ctx context.Context, messageID string, body []byte) (reason string, err error) {
	item := intake.ParseMessage(jobs.NormalizeID(messageID), body)
	if item.Kind != intake.Submit {
		return "the jobs queue takes job requests alone, not a " + string(item.Kind), nil
	}
	submission := engine.Submission{JobID: item.ID(), Body: item.Request}
	var job *jobs.Job
	if err = item.Err; err == nil {
		job, err = s.Engine.Submit(ctx, submission)
	}
	if err == nil && job.Cause == jobs.CauseRequestRejected { // met again: it was refused before
		return job.StatusReason, nil
	}
	invalid, bad := errors.AsType[*jobs.InvalidRequest](err)
	if !bad {
		return "", err
	}
	s.options.Log.Warn("request rejected", slog.String("event_id", messageID), slog.String("reason", invalid.Error()))
	if submission.JobID == "" {
		return invalid.Error(), nil
	}
	return invalid.Error(), s.Engine.Reject(ctx, submission, invalid)
}
