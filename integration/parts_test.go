//go:build integration

// Package integration_test runs the whole that runs on AWS on one machine: the built functions, the built command line and
// the SDK as they are, against DynamoDB Local, ElasticMQ and the stand-in for ECS, which really runs each task.
//
// It is responsible for what no unit test sees: that the parts fit each other's wire, and that nothing is lost or doubled
// when one of them is killed in the middle. It refuses to imitate what it can start: only EventBridge's PutEvents (bus), the
// Runtime API (internal/lambdatest) and Lambda's event source mapping (mapping) are stand-ins of our own. integration/run
// calls it; without the build tag `go test ./...` does not see it.
//
// The invariant it keeps: a test waits for a state and never for a time, and what it started has ended when it ends.
package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/lambdatest"
)

// root is the repository, seen from the directory in which the tests run.
const root = ".."

// build makes the programs of the repository, once, and returns their directory.
var build = sync.OnceValues(func() (string, error) {
	bin, err := filepath.Abs(filepath.Join(root, "bin/integration"))
	if err != nil {
		return "", err
	}
	var failed error
	for _, program := range []string{"cmd/spotbatch", "functions/submit", "functions/watch"} {
		pkg := "github.com/spotbatch/spotbatch/" + program
		failed = errors.Join(failed, lambdatest.Build(context.Background(), os.Environ(), pkg, filepath.Join(bin, path.Base(program))))
	}
	return bin, failed
})

func program(t *testing.T, name string) string {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, name)
}

// process is a program that runs beside the test, which may kill it and start it again.
type process struct {
	name, dir string
	args, env []string
	url       string // answers once the program is ready

	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
}

// begin starts the program and has it killed when the test ends. It does not wait until the program answers.
func begin(t *testing.T, p *process) *process {
	t.Helper()
	p.t = t
	p.launch()
	t.Cleanup(func() {
		p.kill()
		if out, err := os.ReadFile(p.log()); err == nil && t.Failed() {
			t.Logf("the end of what %s wrote:\n%s", p.name, out[max(0, len(out)-4000):])
		}
	})
	return p
}

func (p *process) log() string { return filepath.Join(p.dir, p.name+".log") }

// start starts the program and waits until it answers.
func (p *process) start() {
	p.t.Helper()
	p.launch()
	p.wait()
}

func (p *process) launch() {
	p.t.Helper()
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.args[0], p.args[1:]...)
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.dir, append(os.Environ(), p.env...), log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // how it ends is told by its log
		close(ended)
	}(p.cmd, p.ended)
}

// wait waits until the program answers.
func (p *process) wait() {
	p.t.Helper()
	eventually(p.t, time.Minute, p.name+" answers", func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("%s has ended", p.name)
		default:
		}
		return answers(p.url)
	})
}

// kill ends the program as kill -9 does: it has no time to put anything in order.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // one that has ended is as good
	<-p.ended
}

// outage kills the program and starts it again a little later, on the same port and with its data.
func (p *process) outage() {
	p.t.Helper()
	p.kill()
	time.Sleep(3 * time.Second)
	p.start()
}

// answers reports whether anything speaks HTTP there; what it says does not matter.
func answers(url string) bool {
	client := http.Client{Timeout: time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil
}

// portsGiven are those that a test has: its program may begin to listen only seconds later.
var portsGiven sync.Map

// freePort finds a port that nobody listens on and no other test was given, below those that the system gives to outgoing
// connections: one of these could be taken before the program that is to listen on it has started.
func freePort(t *testing.T, host string) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if _, given := portsGiven.LoadOrStore(port, true); given {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// tools is the directory of one of the things that integration/install puts into .tools.
func tools(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(root, ".tools", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("first: integration/install %s", name)
	}
	return dir
}

// java starts a virtual machine that is soon ready and takes little: it lives for a minute or two, beside others.
func java(memory string) []string {
	return []string{"java", "-Xmx" + memory, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
}

// beginDynamoDB starts DynamoDB Local, whose data outlives it.
func beginDynamoDB(t *testing.T, host string) *process {
	t.Helper()
	dir, dynamodb, port := t.TempDir(), tools(t, "dynamodb"), freePort(t, host)
	return begin(t, &process{
		name: "dynamodb", dir: dir, url: "http://" + net.JoinHostPort(host, port),
		args: append(java("512m"), "-Djava.library.path="+dynamodb, "-cp", dynamodb+"/*",
			"software.amazon.dynamodb.services.local.main.ServerRunner",
			"-sharedDb", "-dbPath", dir, "-port", port, "-disableTelemetry"),
	})
}

// beginSQS starts ElasticMQ, with the queues of elasticmq.conf. It keeps its messages in memory.
func beginSQS(t *testing.T, host string) *process {
	t.Helper()
	dir, port := t.TempDir(), freePort(t, host)
	queues, err := filepath.Abs("elasticmq.conf")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`include file(%[1]q)
node-address { host = %[2]q, port = %[3]s }
rest-sqs { bind-hostname = %[2]q, bind-port = %[3]s }
`, queues, host, port)
	if err := os.WriteFile(filepath.Join(dir, "elasticmq.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return begin(t, &process{
		name: "elasticmq", dir: dir, url: "http://" + net.JoinHostPort(host, port),
		args: append(java("256m"), "-Dconfig.file=elasticmq.conf", "-cp", tools(t, "elasticmq")+"/*", "org.elasticmq.server.Main"),
	})
}

// eventually waits until something holds; the test fails if that takes too long.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", within, what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
