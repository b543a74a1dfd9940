package fargate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// limitPages has the database file be full at so many pages, or at those it has.
func (w *world) limitPages(pages int) {
	w.t.Helper()
	err := w.db.Update(w.t.Context(), func(tx *sqlitedb.Tx) error {
		return tx.QueryRow(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Scan(&pages)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAFullDiskIsWaitedOutAndNothingIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		opts := Options{MaxTasks: 10, Logger: slog.New(slog.NewTextHandler(&log, nil))}
		w := setup(t, opts, always(Script{RunFor: time.Second, ExitCode: 3}))
		w.register(nil)
		var arns []string
		for range handedAhead + 30 {
			arns = append(arns, w.run(nil))
		}
		stop := w.start()
		settle(500 * time.Millisecond)
		w.limitPages(1)
		settle(10 * time.Second)
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("the log of the outage is\n%s", log.String())
		}
		if counts, err := w.Live(t.Context()); err != nil || counts.Handed != 10+handedAhead {
			t.Errorf("%+v are live while nothing can be stored, %v", counts, err)
		}
		w.limitPages(1_000_000)
		settle(20 * time.Second)
		for _, arn := range arns {
			task := w.describe(arn)
			if *task.LastStatus != "STOPPED" || task.Containers[0].ExitCode == nil || *task.Containers[0].ExitCode != 3 {
				t.Errorf("a task is %s", encodeShape(task))
			}
		}
		starts := 0
		for _, call := range w.executor.Calls() {
			if call.Call == "Start" {
				starts++
			}
		}
		if events := w.count("fargate_events"); starts != len(arns) || events != 2*len(arns) {
			t.Errorf("%d tasks were started %d times, with %d events", len(arns), starts, events)
		}
		stop()
	})
}

func TestARunThatEndsWhileTheDiskIsFullIsTakenOverByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{RunFor: time.Second}))
		w.register(nil)
		var arns []string
		for range 40 {
			arns = append(arns, w.run(nil))
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx, w.executor) }()
		settle(500 * time.Millisecond)
		w.limitPages(1)
		settle(5500 * time.Millisecond)
		cancel()
		began := time.Now()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "full") || time.Since(began) > 0 {
			t.Errorf("Run ended after %v with %v", time.Since(began), err)
		}
		w.limitPages(1_000_000)
		w.start()
		settle(5 * time.Second)
		for _, arn := range arns {
			if task := w.describe(arn); *task.LastStatus != "STOPPED" || task.StopCode != stopContainerExited {
				t.Errorf("a task is %s", encodeShape(task))
			}
		}
	})
}
