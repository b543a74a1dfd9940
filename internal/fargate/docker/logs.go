package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// copyLog brings the log file up to date with Docker's log and keeps it so until the container has ended.
func (e *Executor) copyLog(ctx context.Context, m *member) {
	for {
		err := e.copyLogOnce(ctx, m)
		if err == nil || ctx.Err() != nil || cerrdefs.IsNotFound(err) {
			return
		}
		e.log.Debug("log is read again", "task_id", m.taskID, "container", m.name, "err", err)
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return
		}
	}
}

// copyLogOnce reads Docker's log from its beginning, leaves out what the file has already, and appends what follows. The
// order of the lines is the same at every reading, so a length is enough to know where to go on.
func (e *Executor) copyLogOnce(ctx context.Context, m *member) error {
	file, err := fargate.OpenLog(m.logFile)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("look at log: %w", err)
	}
	log, err := e.api.ContainerLogs(ctx, m.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return fmt.Errorf("read container log: %w", err)
	}
	defer log.Close()
	rest := &skipWriter{to: file, skip: info.Size() - m.logOffset, furthest: &m.furthest}
	if _, err := stdcopy.StdCopy(rest, rest, log); err != nil {
		return fmt.Errorf("copy container log: %w", err)
	}
	// An engine that is shut down ends its logs as if the containers had ended.
	found, err := e.api.ContainerInspect(ctx, m.id, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("look at container: %w", err)
	}
	if found.Container.State.Running {
		return errRunsOn
	}
	return nil
}

// errRunsOn says that a log ended before its container.
var errRunsOn = errors.New("log ended while the container runs")

// skipWriter drops the first bytes. They count as written. It notes how far it came if nobody came further before.
type skipWriter struct {
	to       io.Writer
	skip     int64
	at       int64
	furthest *atomic.Int64
}

func (w *skipWriter) Write(p []byte) (int, error) {
	w.at += int64(len(p))
	if w.at > w.furthest.Load() { // one reading at a time: no other writer
		w.furthest.Store(w.at)
	}
	dropped := int(max(0, min(w.skip, int64(len(p)))))
	w.skip -= int64(dropped)
	if dropped == len(p) {
		return len(p), nil
	}
	n, err := w.to.Write(p[dropped:])
	return dropped + n, err
}
