package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

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

// runQueueFolder takes every file that appears in a folder as messages of the jobs queue until ctx ends: one request, an
// array of them, or one a line. A file is acknowledged by moving it to accepted/; what was refused is in rejected/, with
// the reason. A file that is met again after a crash makes no second job: its messages are identified by its name, its time
// and their place.
func (s *System) runQueueFolder(ctx context.Context, folder string) error {
	for _, dir := range []string{acceptedDir, rejectedDir} {
		if err := os.MkdirAll(filepath.Join(folder, dir), 0o700); err != nil {
			return fmt.Errorf("watch queue folder: %w", err)
		}
	}
	return every(ctx, queueEvery, func() {
		entries, err := os.ReadDir(folder)
		if err != nil {
			s.options.Log.Error("queue folder cannot be read", slog.String("error", err.Error()))
		}
		for _, entry := range entries {
			if err := s.takeFile(ctx, folder, entry); err != nil && ctx.Err() == nil {
				s.options.Log.Error("queue file is left for later", slog.String("file", entry.Name()), slog.String("error", err.Error()))
			}
		}
	})
}

// takeFile submits what a file holds and moves it away. Hidden files and *.tmp are somebody's work in progress.
func (s *System) takeFile(ctx context.Context, folder string, entry fs.DirEntry) error {
	name := entry.Name()
	if !entry.Type().IsRegular() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") {
		return nil
	}
	info, err := entry.Info()
	if err != nil || time.Since(info.ModTime()) < queueSettle {
		return nil // gone already, or still being written
	}
	path := filepath.Join(folder, name)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	identity := fmt.Sprintf("file:%s:%d", name, info.ModTime().UnixNano())
	rejected, err := s.takeMessages(ctx, intake.NewDocuments(name, f), identity)
	if err != nil {
		return err
	}
	if len(rejected) == 0 {
		return os.Rename(path, filepath.Join(folder, acceptedDir, name))
	}
	reasons := []byte(strings.Join(rejected, "\n") + "\n")
	if err := os.WriteFile(filepath.Join(folder, rejectedDir, name+".reason.txt"), reasons, 0o600); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(folder, rejectedDir, name))
}

// runQueueReader takes each document of a stream as a message of the jobs queue until it ends.
func (s *System) runQueueReader(ctx context.Context, in io.Reader) error {
	_, err := s.takeMessages(ctx, intake.NewDocuments("queue", in), "stream:"+engine.RandomID())
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
	if err = item.Err; err == nil {
		_, err = s.Engine.Submit(ctx, submission)
	}
	invalid, bad := errors.AsType[*jobs.InvalidRequest](err)
	if !bad {
		return "", err
	}
	s.options.Log.Warn("request rejected", slog.String("event_id", messageID), slog.String("reason", invalid.Error()))
	if submission.JobID != "" {
		err = s.Engine.Reject(ctx, submission, invalid)
	} else {
		err = nil
	}
	return invalid.Error(), err
}
