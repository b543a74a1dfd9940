package fargate

import (
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestLogFile(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{LogDirectory: "/logs"}, nil)
	for task, want := range map[string]string{
		"arn:aws:ecs:local:000000000000:task/default/0f1e2d3c": "/logs/0f/0f1e2d3c.main.log",
		"0f1e2d3c":         "/logs/0f/0f1e2d3c.main.log",
		"../../etc/passwd": "/logs/pa/passwd.main.log",
	} {
		if got := w.LogFile(task, "main"); got != want {
			t.Errorf("of %s it is %s, not %s", task, got, want)
		}
	}
}

func TestTheDirectoryOfALogFileIsThereWhenTheTaskStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, func(_ TaskSpec, c ContainerSpec) Script {
			if err := os.WriteFile(c.LogFile, []byte("hello"), 0o600); err != nil {
				return Script{StartError: err}
			}
			return Script{}
		})
		w.register(nil)
		w.start()
		arn := w.run(nil)
		settle(time.Second)
		if content, err := os.ReadFile(w.LogFile(arn, mainContainer)); err != nil || string(content) != "hello" {
			t.Errorf("it has %q, %v", content, err)
		}
	})
}
