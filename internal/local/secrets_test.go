package local

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// commandLine runs the built command line on a data directory; it returns what it wrote to both outputs.
func commandLine(t *testing.T, dir, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "spotbatch"), args...)
	var out, err bytes.Buffer
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader(stdin), &out, &err
	if failed := cmd.Run(); cmd.ProcessState == nil {
		t.Fatalf("%v: %v", args, failed)
	}
	return out.String(), err.String()
}

// buildCommandLine builds cmd/spotbatch into a directory, as `go build` does.
func buildCommandLine(ctx context.Context, dir string) ([]byte, error) {
	const pkg = "github.com/spotbatch/spotbatch/cmd/spotbatch"
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "spotbatch"), pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd.CombinedOutput()
}

// TestTheCommandLineTellsNoEnvironment runs jobs that end in every way, with a secret, through the built program, and looks
// at all that it says of them.
func TestTheCommandLineTellsNoEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if out, err := buildCommandLine(t.Context(), dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "sh.json"), []byte(shellDefinition), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := strings.ReplaceAll(strings.Replace(shellDefinition, `"sh"`, `"plain"`, 1), `"entryPoint":["/bin/sh","-c"],`, "")
	if err := os.WriteFile(filepath.Join(dir, "plain.json"), []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(id, definition, command, more string) string {
		return `{"jobName":"` + id + `","jobId":"` + id + `","taskDefinition":"` + definition + `",` +
			`"containerOverrides":{"command":` + command + `,"environment":[{"name":"SECRET","value":"env-canary\"\\<end>"}]}` + more + `}`
	}
	requests := strings.Join([]string{
		with("good", "sh", `["test -n \"$SECRET\" # word-canary"]`, `,"tags":{"a":"tag-canary"}`),
		with("fails", "sh", `["exit 3 # word-canary"]`, `,"retryStrategy":{"attempts":2,"backoffSeconds":0}`),
		with("lost", "plain", `["/nowhere/program", "word-canary"]`, ""), // its reason names the program
		with("bad", "sh", `"word-canary"`, `,"tags":{"a":"<tag-canary>"}`),
		with("worse", "nowhere", `[]`, ""),
		`{"jobName":"worst","taskDefinition":"sh","containerOverrides":{"environment":{"SECRET":"env-canary"}}}`,
	}, "\n")
	said := map[string]string{}
	_, said["local run's errors"] = commandLine(t, dir, requests, "local", "run", "-f", "-", "--executor", "process",
		"--task-definitions", ".", "--time-scale", "100", "--inject", "no-capacity:1")
	for _, args := range []string{
		"list", "list -o json", "cost", "describe good", "describe -o json good", "describe lost", "why good", "why fails",
		"why lost", "retry good", "cancel good", "describe bad", "logs good",
	} {
		stdout, stderr := commandLine(t, dir, "", append(strings.Fields(args), "--local")...)
		said[args] = stdout + stderr
	}
	for what, text := range said {
		if at := strings.Index(text, "env-canary"); at >= 0 {
			t.Errorf("%s tells an environment value:\n%s", what, text)
		}
	}
	for _, value := range []string{"word-canary", "tag-canary"} {
		if strings.Contains(said["local run's errors"], value) {
			t.Errorf("the errors tell a %s:\n%s", value, said["local run's errors"])
		}
	}
	for what, want := range map[string]string{
		"local run's errors": "/nowhere/program", "why lost": "/nowhere/program", "list": "START_FAILED", "list -o json": `"***"`,
		"describe good": "word-canary",
	} {
		if !strings.Contains(said[what], want) {
			t.Errorf("%s does not say %s:\n%s", what, want, said[what])
		}
	}
	asked, _ := commandLine(t, dir, "", "describe", "-o", "json", "--show-environment", "--local", "good")
	if !strings.Contains(asked, "env-canary") {
		t.Errorf("it is shown to nobody:\n%s", asked)
	}
}
