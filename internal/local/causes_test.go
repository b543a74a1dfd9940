package local

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/internal/fargate"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// The words that a scripted container understands as its command, one for each attempt; the last serves all further ones.
const (
	exits0       = "exit 0"
	exits3       = "exit 3"
	killedForMem = "oom"
	runsOn       = "forever" // until SIGTERM, then 143
	savesAndEnds = "forever, exit 0 at SIGTERM"
	noCode       = "no exit code"
)

// obey scripts a container by the word that its command has for the attempt.
func obey(_ fargate.TaskSpec, c fargate.ContainerSpec) fargate.Script {
	attempt := 1
	for _, e := range c.Environment {
		if number, ok := strings.CutPrefix(e, "SPOTBATCH_ATTEMPT="); ok {
			attempt, _ = strconv.Atoi(number)
		}
	}
	word := c.Command[min(attempt, len(c.Command))-1]
	switch word {
	case killedForMem:
		return fargate.Script{ExitCode: 137, Reason: "OutOfMemoryError: Container killed due to memory usage"}
	case runsOn:
		return fargate.Script{Forever: true}
	case savesAndEnds:
		return fargate.Script{Forever: true, TermExitsZero: true}
	case noCode:
		return fargate.Script{NoExitCode: true}
	}
	if reason, ok := strings.CutPrefix(word, "start: "); ok {
		return fargate.Script{StartError: &fargate.StartError{Reason: reason}}
	}
	code, _ := strconv.Atoi(strings.TrimPrefix(word, "exit "))
	return fargate.Script{ExitCode: code}
}

func scripted(o *Options) {
	o.executor = func(context.Context) (fargate.Executor, string, error) {
		return fargate.NewScripted(obey), "scripted", nil
	}
}

// TestEveryCauseThroughTheWholePath has every line of docs/states.md's table of causes: request, engine, ECS stand-in, events
// and back to the job document.
func TestEveryCauseThroughTheWholePath(t *testing.T) {
	t.Parallel()
	retry2 := `,"retryStrategy":{"attempts":2,"backoffSeconds":0}`
	spotOnly := `,"capacity":{"strategy":"SPOT","spotAttempts":2}`
	onDemand := `,"capacity":{"strategy":"ON_DEMAND"}`
	exitOn3 := `,"retryStrategy":{"attempts":5,"evaluateOnExit":[{"onExitCode":"3","action":"EXIT"}]}`
	startIn600 := `,"timeout":{"startWithinSeconds":600}`
	for name, c := range map[string]struct {
		inject   string
		more     string
		commands []string
		act      func(t *testing.T, s *testSystem, id string)
		want     string
	}{
		"SUCCEEDED": {"", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0"},
		"EXIT_NONZERO without a retry is the end": {
			"", "", []string{exits3}, nil, "FAILED EXIT_NONZERO: 1 FARGATE_SPOT EXIT_NONZERO 3",
		},
		"EXIT_NONZERO with a retry stays on Spot": {
			"", retry2, []string{exits3, exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT EXIT_NONZERO 3, 2 FARGATE_SPOT SUCCEEDED 0",
		},
		"EXIT_NONZERO asks evaluateOnExit": {
			"", exitOn3, []string{exits3}, nil, "FAILED EXIT_NONZERO: 1 FARGATE_SPOT EXIT_NONZERO 3",
		},
		"OUT_OF_MEMORY uses a retry": {
			"", retry2, []string{killedForMem}, nil, "FAILED OUT_OF_MEMORY: 1 FARGATE_SPOT OUT_OF_MEMORY 137, 2 FARGATE_SPOT OUT_OF_MEMORY 137",
		},
		"SPOT_INTERRUPTION goes on-demand": {
			"interrupt@0s:1", "", []string{runsOn, exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SPOT_INTERRUPTION 143, 2 FARGATE SUCCEEDED 0",
		},
		"SPOT_INTERRUPTION with a checkpoint at exit 0": {
			"interrupt@0s:1", "", []string{savesAndEnds, exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SPOT_INTERRUPTION 0, 2 FARGATE SUCCEEDED 0",
		},
		"SPOT_INTERRUPTION with exit 0 declared success": {
			"interrupt@0s:1", `,"capacity":{"exitZeroOnInterruption":"SUCCEED"}`, []string{savesAndEnds}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0",
		},
		"SPOT_INTERRUPTION on Spot alone uses up spotAttempts": {
			"interrupt@0s", spotOnly,
			[]string{runsOn},
			nil,
			"FAILED SPOT_INTERRUPTION: 1 FARGATE_SPOT SPOT_INTERRUPTION 143, 2 FARGATE_SPOT SPOT_INTERRUPTION 143",
		},
		"NO_CAPACITY on Spot goes on-demand at once": {
			"no-capacity", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT NO_CAPACITY, 2 FARGATE SUCCEEDED 0",
		},
		"NO_CAPACITY on on-demand waits": {
			"no-capacity-on-demand:2", onDemand, []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE SUCCEEDED 0 after 3 launches",
		},
		"NO_CAPACITY until startWithinSeconds is over": {
			"no-capacity,no-capacity-on-demand", startIn600,
			[]string{exits0},
			letStartPass(refused(2, jobs.CauseNoCapacity)), "FAILED NO_CAPACITY: 1 FARGATE_SPOT NO_CAPACITY, 2 FARGATE NO_CAPACITY",
		},
		"QUOTA until startWithinSeconds is over": {
			"quota:1", startIn600, []string{exits0}, letStartPass(refused(1, jobs.CauseQuota)), "FAILED QUOTA: 1 FARGATE_SPOT QUOTA",
		},
		"SUBNET_FULL is waited for": {
			"", "",
			[]string{"start: Unexpected EC2 error while attempting to Create Network Interface: InsufficientFreeAddressesInSubnet", exits0},
			nil,
			"SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUBNET_FULL, 2 FARGATE_SPOT SUCCEEDED 0",
		},
		"PLATFORM_FAILURE is tried again, same capacity": {
			"start-failure:2", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 2 FARGATE_SPOT PLATFORM_FAILURE x2, 3 FARGATE_SPOT SUCCEEDED 0",
		},
		"PLATFORM_FAILURE for the sixth time is the end": {
			"start-failure", "", []string{exits0}, nil, "FAILED PLATFORM_FAILURE: 6 FARGATE_SPOT PLATFORM_FAILURE x6",
		},
		"PLATFORM_FAILURE where the exit code is missing": {
			"", "", []string{noCode, exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT PLATFORM_FAILURE, 2 FARGATE_SPOT SUCCEEDED 0",
		},
		"START_FAILED is the end": {
			"", retry2, []string{"start: CannotPullContainerError: manifest unknown"}, nil, "FAILED START_FAILED: 1 FARGATE_SPOT START_FAILED",
		},
		"TIMED_OUT by the attempt's clock": {
			"", "", []string{runsOn}, letTimePass(86_401 * time.Second), "FAILED TIMED_OUT: 1 FARGATE_SPOT TIMED_OUT 143",
		},
		"TIMED_OUT by the attempt's clock may be retried": {
			"", `,"retryStrategy":{"attempts":2,"backoffSeconds":0,"evaluateOnExit":[{"onStatusReason":"Job attempt duration*","action":"RETRY"}]}`,
			[]string{runsOn, exits0},
			letTimePass(86_401 * time.Second), "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT TIMED_OUT 143, 2 FARGATE_SPOT SUCCEEDED 0",
		},
		"TIMED_OUT by the total clock": {
			"", `,"timeout":{"totalSeconds":3600}`, []string{runsOn}, letTimePass(3601 * time.Second), "FAILED TIMED_OUT: 1 FARGATE_SPOT TIMED_OUT 143",
		},
		"CANCELLED while it runs": {
			"", "", []string{runsOn}, cancelRunning, "CANCELLED CANCELLED: 1 FARGATE_SPOT CANCELLED 143",
		},
		"CANCELLED while it waits": {
			"quota:1", "", []string{exits0}, cancelWaiting, "CANCELLED CANCELLED: 1 FARGATE_SPOT CANCELLED",
		},
		"CANCELLED by a task that was stopped by hand": {
			"", retry2, []string{runsOn}, stopByHand, "CANCELLED CANCELLED: 1 FARGATE_SPOT CANCELLED 143",
		},
		"TIMED_OUT by the start clock, while the task waits for its turn": {
			"", startIn600, []string{exits0}, letStartPass(hasTask), "FAILED TIMED_OUT: 1 FARGATE_SPOT TIMED_OUT",
		},
		"DEPLOYMENT_FAULT until startWithinSeconds is over": {
			"", startIn600, []string{exits0}, letStartPass(refused(1, jobs.CauseDeploymentFault)), "FAILED DEPLOYMENT_FAULT: 1 FARGATE_SPOT DEPLOYMENT_FAULT",
		},
		"LAUNCH_REJECTED is the end": {
			"", retry2, []string{exits0}, nil, "FAILED LAUNCH_REJECTED: 1 FARGATE_SPOT LAUNCH_REJECTED",
		},
		"a lost answer is the same launch again": {
			"lost-answer:1", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0",
		},
		"throttling is no answer": {
			"throttle:3", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0",
		},
		"lost events are found by the sweep": {
			"lost-event", "", []string{exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT SUCCEEDED 0",
		},
		"doubled events change nothing": {
			"duplicate-event", retry2, []string{exits3, exits0}, nil, "SUCCEEDED SUCCEEDED: 1 FARGATE_SPOT EXIT_NONZERO 3, 2 FARGATE_SPOT SUCCEEDED 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := up(t, scripted, func(o *Options) {
				o.Inject = c.inject
				if strings.Contains(name, "for its turn") {
					o.MaxTasks = 1
				}
			})
			switch {
			case c.inject == "quota:1", strings.Contains(name, "for its turn"): // somebody else has the room
				other := submit(t, s, fmt.Sprintf(`{"jobName":"other","taskDefinition":"sh","containerOverrides":{"command":[%q]}}`, runsOn))
				wait(t, s, other.JobID, "running", func(j *jobs.Job) bool { return j.Status == jobs.StatusRunning })
			case strings.Contains(name, "DEPLOYMENT_FAULT"):
				s.Engine.Launcher = elsewhere{s.Engine.Launcher, ecs.New(s.Cluster, ecs.Config{Cluster: "no-such-cluster"}, time.Now)}
			case strings.Contains(name, "LAUNCH_REJECTED"):
				s.Engine.Launcher = tooLate{s.Engine.Launcher, s.Cluster}
			}
			words := make([]string, len(c.commands))
			for i, command := range c.commands {
				words[i] = strconv.Quote(command)
			}
			j := submit(t, s, fmt.Sprintf(`{"jobName":"cause","taskDefinition":"sh","containerOverrides":{"command":[%s]}%s}`, strings.Join(words, ","), c.more))
			if c.act != nil {
				c.act(t, s, j.JobID)
			}
			j = wait(t, s, j.JobID, "ended", ended)
			if got := story(j); got != c.want {
				t.Errorf("the job ended as\n%s\nwant\n%s\n(%s)", got, c.want, j.StatusReason)
			}
		})
	}
}

// story is a job in one line.
func story(j *jobs.Job) string {
	var attempts []string
	for _, a := range j.Attempts {
		text := fmt.Sprintf("%d %s %s", a.Number, a.CapacityProvider, a.Cause)
		if a.ExitCode != nil {
			text += fmt.Sprintf(" %d", *a.ExitCode)
		}
		if a.Repeats > 0 {
			text += fmt.Sprintf(" x%d", a.Repeats+1)
		}
		if a.Launches > 1 && a.Cause == jobs.CauseSucceeded {
			text += fmt.Sprintf(" after %d launches", a.Launches)
		}
		attempts = append(attempts, text)
	}
	return fmt.Sprintf("%s %s: %s", j.Status, j.Cause, strings.Join(attempts, ", "))
}

// letTimePass moves the engine's clock once the job runs.
func letTimePass(d time.Duration) func(*testing.T, *testSystem, string) {
	return func(t *testing.T, s *testSystem, id string) {
		wait(t, s, id, "running", func(j *jobs.Job) bool { return j.Status == jobs.StatusRunning })
		s.clock.ahead.Store(int64(d))
		wait(t, s, id, "past its first attempt", func(j *jobs.Job) bool { return j.Attempts[0].Status == jobs.AttemptStopped })
		s.clock.ahead.Store(0)
	}
}

// letStartPass moves the engine's clock past startIn600 once the job is as wanted.
func letStartPass(wanted func(*jobs.Job) bool) func(*testing.T, *testSystem, string) {
	return func(t *testing.T, s *testSystem, id string) {
		wait(t, s, id, "waiting as it should", wanted)
		s.clock.ahead.Store(int64(601 * time.Second))
	}
}

// refused tells whether the job's so manieth attempt was refused.
func refused(attempt int, cause jobs.Cause) func(*jobs.Job) bool {
	return func(j *jobs.Job) bool { return len(j.Attempts) == attempt && j.Last().Cause == cause }
}

func hasTask(j *jobs.Job) bool { return j.Last() != nil && j.Last().TaskARN != "" }

func cancelRunning(t *testing.T, s *testSystem, id string) {
	wait(t, s, id, "running", func(j *jobs.Job) bool { return j.Status == jobs.StatusRunning })
	if _, err := s.Engine.Cancel(t.Context(), id, "not needed"); err != nil {
		t.Fatal(err)
	}
}

func stopByHand(t *testing.T, s *testSystem, id string) {
	j := wait(t, s, id, "running", func(j *jobs.Job) bool { return j.Status == jobs.StatusRunning })
	_, err := s.Cluster.StopTask(t.Context(), &awsecs.StopTaskInput{Cluster: aws.String(runner), Task: aws.String(j.Live().TaskARN)})
	if err != nil {
		t.Fatal(err)
	}
}

// elsewhere launches in another cluster than the one that it otherwise works on.
type elsewhere struct {
	engine.Launcher
	other engine.Launcher
}

func (e elsewhere) Run(ctx context.Context, l spot.Launch) spot.Answer { return e.other.Run(ctx, l) }

// tooLate launches once the task definition, which was there when the job was accepted, has been taken away.
type tooLate struct {
	engine.Launcher
	cluster *fargate.Cluster
}

func (l tooLate) Run(ctx context.Context, launch spot.Launch) spot.Answer {
	_, err := l.cluster.DeregisterTaskDefinition(ctx, &awsecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String("sh:1")})
	if err != nil {
		return spot.Answer{Reason: err.Error()}
	}
	return l.Launcher.Run(ctx, launch)
}

func cancelWaiting(t *testing.T, s *testSystem, id string) {
	wait(t, s, id, "refused", refused(1, jobs.CauseQuota))
	if _, err := s.Engine.Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
}
