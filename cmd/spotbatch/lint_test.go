package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	definition := `{"family":"work","requiresCompatibilities":["FARGATE"],"networkMode":"awsvpc","cpu":"256","memory":"512",
		"containerDefinitions":[{"name":"main","image":"none"}]}`
	if err := os.WriteFile(filepath.Join(dir, "work.json"), []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bad.txt"), []byte(`{"family":""}`), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(name string) []string { return []string{"--task-definitions", filepath.Join(dir, name)} }
	const large = `{"jobName":"large","taskDefinition":"work","containerOverrides":{"cpu":"16384"}}`
	for name, c := range map[string]struct {
		stdin string
		args  []string
	}{
		"nothing":                              {" \n", nil},
		"good requests":                        {good + withID("a"), nil},
		"ids of other requests":                {withID("a") + "\n" + withID("a") + "\n" + strings.Replace(withID("a"), "nightly", "daily", 1) + "\n" + `{"jobName":7,"jobId":"a"}`, nil},
		"bad requests":                         {good + "\n{\"jobName\":7}\n{\n" + withID("a"), nil},
		"a file that is no JSON":               {`[{"jobName":"a","taskDefinition":"w"}, nonsense`, nil},
		"a request that does not fit the task": {large + "\n" + good + "\n" + strings.Replace(good, `"work"`, `"other:7"`, 1), with("work.json")},
		"a request that names a revision":      {strings.Replace(good, `"work"`, `"arn:aws:ecs:eu-west-1:123456789012:task-definition/work:7"`, 1), with("")},
		"a size that is not looked at":         {large, nil},
		"a bad task definition":                {good, with("bad.txt")},
		"no task definition":                   {good, with("none.json")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShell(newFake())
			got := s.run(t.Context(), c.stdin, append([]string{"lint"}, c.args...)...).String()
			golden(t, "cli/lint-"+strings.ReplaceAll(name, " ", "-"), strings.ReplaceAll(got, dir, "DIR"))
		})
	}
}
