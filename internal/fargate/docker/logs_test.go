package docker

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// endedContainer watches a container that has ended, on an engine that tells its log as logs does, and returns the log's file once
// its exit has come.
func endedContainer(t *testing.T, silence time.Duration, logs func(w http.ResponseWriter, r *http.Request)) string {
	t.Helper()
	logFile := filepath.Join(t.TempDir(), "log") // before what writes it is registered to be closed, and so removed after
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.51")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/wait"):
			fmt.Fprint(w, `{"StatusCode":0}`)
		case strings.HasSuffix(r.URL.Path, "/json"):
			fmt.Fprint(w, `{"Id":"c1","State":{"Status":"exited","Running":false,"ExitCode":0,"FinishedAt":"2026-11-23T04:00:00Z"},"Config":{}}`)
		case strings.HasSuffix(r.URL.Path, "/logs"):
			w.Header().Set("Content-Type", "application/vnd.docker.multiplexed-stream")
			logs(w, r)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	t.Cleanup(server.Close)
	api, err := client.New(client.WithHost("tcp://" + strings.TrimPrefix(server.URL, "http://")))
	if err != nil {
		t.Fatal(err)
	}
	e := &Executor{
		api: api, log: slog.New(slog.DiscardHandler), exits: make(chan fargate.ContainerExit), tasks: map[string][]*member{},
		logSilence: silence,
	}
	e.ctx, e.stop = context.WithCancel(t.Context())
	t.Cleanup(func() { _ = e.Close() })
	m := &member{taskID: "t1", name: "main", id: "c1", logFile: logFile}
	e.watch([]*member{m})
	select {
	case exit := <-e.exits:
		if exit.ExitCode == nil || *exit.ExitCode != 0 {
			t.Errorf("exit %+v, want code 0", exit)
		}
	case <-time.After(patience):
		t.Fatal("no exit")
	}
	return m.logFile
}

// line writes one line of a container's standard output as the engine sends it.
func line(w http.ResponseWriter, text string) { frame(w, 1, text+"\n") }

func frame(w http.ResponseWriter, stream byte, text string) {
	head := [8]byte{0: stream}
	binary.BigEndian.PutUint32(head[4:], uint32(len(text)))
	_, _ = fmt.Fprintf(w, "%s%s", head[:], text)
	w.(http.Flusher).Flush()
}

// TestALongLogIsCopiedWhole: what takes much longer than the silence that is borne, and comes bit by bit.
func TestALongLogIsCopiedWhole(t *testing.T) {
	t.Parallel()
	const lines = 20
	file := endedContainer(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
		for i := range lines {
			line(w, fmt.Sprint("line ", i))
			select {
			case <-time.After(100 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	})
	text, err := os.ReadFile(file)
	if got := strings.Count(string(text), "\n"); err != nil || got != lines {
		t.Errorf("%d of %d lines were in the log when the exit came, %v", got, lines, err)
	}
}

func TestALogThatNeverEndsKeepsNoExit(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(w http.ResponseWriter, r *http.Request){
		"nothing more comes":         func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"it is damaged at one place": func(w http.ResponseWriter, _ *http.Request) { frame(w, 3, "invalid character") }, // 3 is the engine's own error
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := endedContainer(t, time.Second, func(w http.ResponseWriter, r *http.Request) {
				line(w, "first")
				then(w, r)
			})
			if text, err := os.ReadFile(file); err != nil || string(text) != "first\n" {
				t.Errorf("log %q, %v", text, err)
			}
		})
	}
}
