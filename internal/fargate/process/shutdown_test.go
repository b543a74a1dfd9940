package process

import (
	"syscall"
	"testing"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// pids are the main processes of the tasks that run, by task.
func (b *bench) pids(t testing.TB) map[string]int {
	t.Helper()
	pids := map[string]int{}
	for _, id := range b.supervisors(t) {
		journal := b.journalOf(id)
		if err := journal.read(); err != nil {
			t.Fatal(err)
		}
		for task, h := range journal.tasks {
			if h.unfinished() {
				pids[task] = h.containers[0].PID
			}
		}
	}
	return pids
}

// TestAShutdownIsNotTheProgramsOwnEnd ends everything as systemd does: SIGTERM to every process, a supervisor's perhaps last.
func TestAShutdownIsNotTheProgramsOwnEnd(t *testing.T) {
	t.Parallel()
	first := setup(t)
	tasks := []fargate.TaskSpec{first.sh("killed", "echo ready; exec sleep 1000")}
	for id, end := range map[string]string{"passes-on": "exit 143", "chooses": "exit 3", "succeeds": "exit 0"} {
		tasks = append(tasks, first.sh(id, "trap '"+end+"' TERM; echo ready; while :; do sleep 0.01; done"))
	}
	alone, stopped := first.sh("alone", "echo ready; exec sleep 1000"), first.sh("stopped", "trap 'sleep 0.5; exit 143' TERM; echo ready; while :; do sleep 0.01; done")
	tasks = append(tasks, alone, stopped)
	for _, task := range tasks {
		first.start(t, task)
		first.awaitLog(t, task, "ready")
	}
	kill := func(pid int) {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	kill(first.pids(t)["alone"])
	wantCode(t, first.exit(t, "alone", "main"), 143) // somebody else's signal to one task is no shutdown
	if err := first.Signal(t.Context(), "stopped", "", syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	supervisor := first.supervisorPID()
	stopAndWait(t, supervisor) // so that all have their signal when it goes on, however slowly this test sends them
	for id, pid := range first.pids(t) {
		if id != "stopped" {
			kill(-pid)
		}
	}
	kill(supervisor)
	if err := syscall.Kill(supervisor, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	check := func(b *bench) {
		t.Helper()
		for _, id := range []string{"killed", "passes-on"} {
			if got := b.exit(t, id, "main"); got.ExitCode != nil || got.Reason != reasonShutdown {
				t.Errorf("%s: %s, want no code, for the shutdown", id, show(got))
			}
		}
		wantCode(t, b.exit(t, "chooses", "main"), 3)
		wantCode(t, b.exit(t, "succeeds", "main"), 0)
		wantCode(t, b.exit(t, "stopped", "main"), 143)
	}
	check(first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := setupIn(t, first.dir) // once the machine is up again
	second.adopt(t, tasks...)
	check(second)
}
