package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// testImage holds /probe and nothing else. It is made by the first test that needs it, and removed at the end.
const testImage = "spotbatch-executor-test:probe"

// patience bounds every wait for a condition; a test that needs so long has failed.
const patience = time.Minute

// makeImage compiles the probe and imports it: no registry is asked.
var makeImage = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "probe"), "main.go")
	build.Dir = filepath.Join("testdata", "probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "probe"))
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "probe", Mode: 0o755, Size: int64(len(program))}); err != nil {
		return err
	}
	if _, err := w.Write(program); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	api, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer api.Close()
	made, err := api.ImageImport(context.Background(), client.ImageImportSource{Source: &archive, SourceName: "-"}, testImage,
		client.ImageImportOptions{})
	if err != nil {
		return err
	}
	defer made.Close()
	_, err = io.Copy(io.Discard, made)
	return err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if api, err := client.New(client.FromEnv); err == nil {
		_, _ = api.ImageRemove(context.Background(), testImage, client.ImageRemoveOptions{Force: true})
	}
	os.Exit(code)
}

// bench is an executor with its exits collected.
type bench struct {
	*Executor
	dir string

	mu    sync.Mutex
	exits map[string]fargate.ContainerExit // by task/container
}

// setup returns a fresh executor on a directory of its own, or skips the test where no engine answers.
func setup(t *testing.T) *bench {
	t.Helper()
	if _, err := Available(t.Context()); err != nil {
		t.Skip("no Docker engine answers: ", err)
	}
	if err := makeImage(); err != nil {
		t.Fatal(err)
	}
	return setupIn(t, t.TempDir())
}

// setupIn returns the next executor on a directory. What a test leaves running is removed at its end.
func setupIn(t *testing.T, dir string) *bench {
	t.Helper()
	e, err := New(t.Context(), Config{Dir: filepath.Join(dir, "executor"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Executor: e, dir: dir, exits: map[string]fargate.ContainerExit{}}
	go b.collect()
	t.Cleanup(func() {
		if err := b.dropUnlisted(context.Background(), nil); err != nil && b.ctx.Err() == nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) collect() {
	for {
		select {
		case exit := <-b.Exits():
			b.mu.Lock()
			b.exits[exit.TaskID+"/"+exit.Container] = exit
			b.mu.Unlock()
		case <-b.ctx.Done():
			return
		}
	}
}

// exit waits for a container's exit.
func (b *bench) exit(t *testing.T, taskID, name string) fargate.ContainerExit {
	t.Helper()
	var exit fargate.ContainerExit
	eventually(t, fmt.Sprintf("exit of %s/%s", taskID, name), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		var came bool
		exit, came = b.exits[taskID+"/"+name]
		return came
	})
	return exit
}

func (b *bench) start(t *testing.T, task fargate.TaskSpec) {
	t.Helper()
	if err := b.Start(t.Context(), task); err != nil {
		t.Fatalf("start %s: %v", task.TaskID, err)
	}
}

func (b *bench) adopt(t *testing.T, tasks ...fargate.TaskSpec) map[string]fargate.Adopted {
	t.Helper()
	fates, err := b.Adopt(t.Context(), tasks)
	if err != nil {
		t.Fatal(err)
	}
	return fates
}

// task is a task with one container, main, that runs the probe. Its id is unique on the machine.
func (b *bench) task(args ...string) fargate.TaskSpec {
	id := rand.Text()
	return fargate.TaskSpec{TaskID: id, CPU: 256, MemoryMiB: 512, Containers: []fargate.ContainerSpec{b.container(id, "main", args...)}}
}

func (b *bench) container(taskID, name string, args ...string) fargate.ContainerSpec {
	return fargate.ContainerSpec{
		Name: name, Image: testImage, EntryPoint: []string{"/probe"}, Command: args, Essential: true,
		LogFile: filepath.Join(b.dir, "logs", taskID, name+".log"),
	}
}

func (b *bench) logOf(t *testing.T, task fargate.TaskSpec) string {
	t.Helper()
	data, err := os.ReadFile(task.Containers[0].LogFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

func (b *bench) awaitLog(t *testing.T, task fargate.TaskSpec, text string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%q in a log", text), func() bool { return strings.Contains(b.logOf(t, task), text) })
}

// exists tells whether Docker has a container of the task.
func (b *bench) exists(t *testing.T, task fargate.TaskSpec) bool {
	t.Helper()
	_, state, err := b.find(context.Background(), task.TaskID, task.Containers[0])
	if err != nil {
		t.Fatal(err)
	}
	return state != missing
}

// wantExit fails the test unless a container has exited so; a code of -1 is one that is not known.
func wantExit(t *testing.T, got fargate.ContainerExit, code int, reason string) {
	t.Helper()
	gotCode := -1
	if got.ExitCode != nil {
		gotCode = *got.ExitCode
	}
	if gotCode != code || got.Reason != reason || time.Since(got.At).Abs() > time.Hour {
		t.Errorf("exit of %s = code %d, reason %q, at %s; want code %d, reason %q", got.Container, gotCode, got.Reason, got.At, code, reason)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}
