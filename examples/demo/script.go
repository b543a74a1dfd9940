package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// requests are the jobs of the demo but for the first, which is submitted alone so that it is the one which meets no
// capacity. wordcount's environment is filled in.
const requests = `
{"jobId":"steady","jobName":"wordcount","taskDefinition":"wordcount","containerOverrides":{"command":["-pace","5s"],"environment":%[1]s}}
{"jobId":"taken","jobName":"wordcount","taskDefinition":"wordcount","containerOverrides":{"command":["-pace","9s"],"environment":%[1]s}}
{"jobId":"buggy","jobName":"wordcount","taskDefinition":"wordcount","containerOverrides":{"command":["-pace","3s","-fail-times","1"],"environment":%[1]s},"retryStrategy":{"attempts":2,"backoffSeconds":1}}
{"jobId":"polite","jobName":"shell","taskDefinition":"shell","containerOverrides":{"command":["trap 'echo Bye.; exit 0' TERM; test $SPOTBATCH_ATTEMPT -gt 1 || while :; do sleep 0.1; done; echo Done."]}}
{"jobId":"unwanted","jobName":"wordcount","taskDefinition":"wordcount","containerOverrides":{"command":["-pace","2m"],"environment":%[1]s}}
`

const noRoom = `{"jobId":"no-room","jobName":"wordcount","taskDefinition":"wordcount","containerOverrides":{"command":["-pace","4s"],"environment":%[1]s}}`

// play is the whole demo.
func (d *demo) play(ctx context.Context) error {
	began := time.Now()
	standsIn := "A process"
	if d.executor == "docker" {
		standsIn = "A container"
	}
	d.say(
		"Six jobs on this machine. "+standsIn+" stands in for each Fargate task, and the",
		"two minutes of Spot's notice pass 20 times faster.",
		"",
		"  steady    counts the words of Go's source tree, and nothing happens to it",
		"  taken     the same; Spot takes it away half-way, and it resumes on-demand",
		"  no-room   the same; Spot has no capacity for it",
		"  buggy     the same; it fails once. A bug never buys on-demand capacity",
		"  polite    exits 0 when Spot's notice comes, which is not success",
		"  unwanted  somebody cancels it",
		"",
		"When all of them run, the engine is killed (kill -9) and started again.",
		"",
	)
	e, err := d.up(ctx, "--inject", "no-capacity:1")
	if err != nil {
		return err
	}
	if err = d.submit(ctx); err == nil {
		e, err = d.act(ctx, e)
	}
	if err = errors.Join(err, d.end(ctx, e, err != nil)); err != nil {
		return err
	}
	found := takenOver.FindStringSubmatch(e.said)
	if found == nil {
		return fmt.Errorf("the engine that followed a killed one should have taken running tasks over; it said\n%s", e.said)
	}
	return d.check(ctx, began, found[1]+" ran")
}

// takenOver is in what an engine says of itself when it is up.
var takenOver = regexp.MustCompile(`(?m)^ *taken over +([0-9]+ tasks?) running`)

// submit submits the jobs.
func (d *demo) submit(ctx context.Context) error {
	if _, err := d.call(ctx, d.filled(noRoom), "submit", "-f", "-"); err != nil {
		return err
	}
	err := d.until(ctx, "no-room", "refused", func(j *jobs.Job) bool {
		return len(j.Attempts) > 0 && j.Attempts[0].Cause == jobs.CauseNoCapacity
	})
	if err != nil {
		return err
	}
	_, err = d.call(ctx, d.filled(requests), "submit", "-f", "-")
	return err
}

// filled are requests in which wordcount saves its checkpoints with the demo's data: they go with it, and none is left where the
// task definition's would be.
func (d *demo) filled(requests string) string {
	folder := strconv.Quote(filepath.Join(d.data, "checkpoints"))
	return fmt.Sprintf(requests, `[{"name":"CHECKPOINT_DIR","value":`+folder+`}]`)
}

// act shows the jobs to their end while it does to them what the demo is about. It returns the engine that runs then.
func (d *demo) act(ctx context.Context, e *machine) (*machine, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		var err error
		if e, err = d.befall(ctx, e); err != nil {
			fail(err)
		}
	})
	wait := d.command(ctx, append([]string{"wait"}, ids()...)...)
	wait.Stdout, wait.Stderr = d.stdout, d.stderr
	err := wait.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil // not all succeeded: one is cancelled
	} else if err != nil {
		err = fmt.Errorf("spotbatch wait: %w", err)
	}
	if err != nil {
		fail(err)
	}
	wg.Wait()
	return e, context.Cause(ctx)
}

// befall does to the jobs what happens to jobs. It returns the engine that runs then.
func (d *demo) befall(ctx context.Context, e *machine) (*machine, error) {
	for _, id := range []string{"taken", "polite", "unwanted"} {
		if err := d.until(ctx, id, "running", running); err != nil {
			return e, err
		}
	}
	if err := d.untilLogged(ctx, "taken", "20 %"); err != nil {
		return e, err
	}
	d.note("$ kill -9 the engine; spotbatch local up")
	if err := e.kill(); err != nil {
		return e, err
	}
	again, err := d.up(ctx)
	if err != nil {
		return e, err
	}
	if found := takenOver.FindStringSubmatch(again.said); found != nil {
		d.note("it took over %s running", found[1])
	}
	if err := d.do(ctx, "local", "interrupt", "polite"); err != nil {
		return again, err
	}
	if err := d.do(ctx, "cancel", "--reason", "nobody needs it any more", "unwanted"); err != nil {
		return again, err
	}
	if err := d.untilLogged(ctx, "taken", "50 %"); err != nil {
		return again, err
	}
	return again, d.do(ctx, "local", "interrupt", "taken")
}

// do does something to a job.
func (d *demo) do(ctx context.Context, args ...string) error {
	line := "$ spotbatch"
	for _, arg := range args {
		if strings.Contains(arg, " ") {
			arg = strconv.Quote(arg)
		}
		line += " " + arg
	}
	d.note("%s", line)
	_, err := d.call(ctx, "", args...)
	return err
}

// end leaves nothing behind: after a failure it cancels what is live, and then ends the engine.
func (d *demo) end(ctx context.Context, e *machine, failed bool) error {
	if failed {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
		defer cancel()
		if !e.alive() { // and nothing else would stop the tasks
			if again, err := d.up(ctx); err == nil {
				e = again
			}
		}
		// What is not there cannot be cancelled; the others are.
		_, _ = d.call(ctx, "", append([]string{"cancel", "--quiet"}, ids()...)...)
		_, _ = d.call(ctx, "", append([]string{"wait", "--quiet"}, ids()...)...)
	}
	return e.stop()
}
