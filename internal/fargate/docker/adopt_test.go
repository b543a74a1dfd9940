package docker

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

func wantFates(t *testing.T, got, want map[string]fargate.Adopted) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("fates = %v, want %v (0 not started, 1 running, 2 lost)", got, want)
	}
}

func TestTheNextEngineAdopts(t *testing.T) {
	t.Parallel()
	first := setup(t)
	runs, ended, away := first.task("obey", "3"), first.task("exit", "4"), first.task("obey", "0")
	removed, unlisted := first.task("obey", "0"), first.task("obey", "0")
	for _, task := range []fargate.TaskSpec{runs, ended, away, removed, unlisted} {
		first.start(t, task)
		if task.Containers[0].Command[0] == "obey" {
			first.awaitLog(t, task, "ready")
		}
	}
	first.exit(t, ended.TaskID, "main")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := setupIn(t, first.dir)
	kill := client.ContainerKillOptions{Signal: "SIGTERM"} // it ends while no engine is there
	if _, err := second.api.ContainerKill(t.Context(), containerName(away.TaskID, "main"), kill); err != nil {
		t.Fatal(err)
	}
	if err := second.remove(t.Context(), containerName(removed.TaskID, "main")); err != nil {
		t.Fatal(err)
	}
	never := second.task("exit", "5")
	wantFates(t, second.adopt(t, runs, ended, away, removed, never), map[string]fargate.Adopted{
		runs.TaskID: fargate.AdoptedRunning, ended.TaskID: fargate.AdoptedRunning, away.TaskID: fargate.AdoptedRunning,
		removed.TaskID: fargate.AdoptedLost, never.TaskID: fargate.AdoptedNotStarted,
	})
	wantExit(t, second.exit(t, ended.TaskID, "main"), 4, "")
	wantExit(t, second.exit(t, away.TaskID, "main"), 0, "")
	if got, want := second.logOf(t, away), "ready\nsaved\n"; got != want {
		t.Errorf("log = %q, want %q", got, want)
	}
	if second.exists(t, unlisted) {
		t.Error("a task that the state has stopped runs on")
	}
	second.start(t, never)
	wantExit(t, second.exit(t, never.TaskID, "main"), 5, "")
	if err := second.Signal(t.Context(), runs.TaskID, "main", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, second.exit(t, runs.TaskID, "main"), 3, "")
}

func TestAContainerThatWasOnlyCreated(t *testing.T) {
	t.Parallel()
	first := setup(t)
	alone, beside := first.task("exit", "6"), first.task("ignore")
	beside.Containers = append(beside.Containers, first.container(beside.TaskID, "side", "ignore"))
	first.start(t, fargate.TaskSpec{TaskID: beside.TaskID, MemoryMiB: 64, Containers: beside.Containers[:1]})
	for task, c := range map[*fargate.TaskSpec]fargate.ContainerSpec{&alone: alone.Containers[0], &beside: beside.Containers[1]} {
		if err := first.notes.add(task.TaskID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := first.create(t.Context(), *task, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := setupIn(t, first.dir)
	wantFates(t, second.adopt(t, alone, beside), map[string]fargate.Adopted{
		alone.TaskID: fargate.AdoptedNotStarted, beside.TaskID: fargate.AdoptedLost,
	})
	if second.exists(t, beside) {
		t.Error("a lost task runs")
	}
	second.start(t, alone)
	wantExit(t, second.exit(t, alone.TaskID, "main"), 6, "")
}

func TestAContainerThatIsThereIsNotRunTwice(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("print")
	e.start(t, task)
	e.exit(t, task.TaskID, "main")
	e.start(t, task)
	wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
	if got := len(strings.Fields(e.logOf(t, task))); got != 2 {
		t.Errorf("log has %d lines, want the 2 of one run", got)
	}
}

func TestNoLineIsLostOrDoubledBetweenEngines(t *testing.T) {
	t.Parallel()
	e := setup(t)
	task := e.task("count")
	e.start(t, task)
	for _, line := range []string{"\n50\n", "\n100\n", "\n150\n"} {
		e.awaitLog(t, task, line)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = setupIn(t, e.dir)
		wantFates(t, e.adopt(t, task), map[string]fargate.Adopted{task.TaskID: fargate.AdoptedRunning})
	}
	if err := e.Signal(t.Context(), task.TaskID, "", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	wantExit(t, e.exit(t, task.TaskID, "main"), 0, "")
	lines := strings.Fields(e.logOf(t, task))
	last := len(lines) - 1
	seen := map[string]bool{}
	for _, line := range lines {
		if seen[line] {
			t.Fatalf("line %q is there twice", line)
		}
		seen[line] = true
	}
	for i := 1; i <= last; i++ { // in any order: the two outputs are two pipes
		if !seen[fmt.Sprint(i)] {
			t.Fatalf("line %d of %d is missing", i, last)
		}
	}
	if !seen["end"] {
		t.Error("the last line is missing")
	}
}
