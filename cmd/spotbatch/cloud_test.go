package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// inCloud runs a test in a bubble with a fake deployment and a command line that reaches it.
func inCloud(t *testing.T, test func(t *testing.T, f *fakeCloud, s *shell)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newFake()
		shift := time.Since(epoch)
		m.now = func() time.Time { return time.Now().Add(-shift) }
		f := newFakeCloud(m)
		test(t, f, newCloudShell(f))
	})
}

// step moves a job and writes it into the table.
func (f *fakeCloud) step(t testing.TB, id string, change func(*jobs.Job)) {
	f.move(id, change)
	f.keep(t, id)
}

func TestVerbsOnAWS(t *testing.T) {
	t.Parallel()
	ended := func(t *testing.T, f *fakeCloud) {
		f.put(newJob("done"), newJob("live"))
		finish(f.fakeMachine, "done", jobs.CauseExitNonzero, 3)
		f.move("live", func(j *jobs.Job) {
			begin(j, jobs.FargateSpot, epoch)
			j.TaskRunning(epoch)
			j.Request.ContainerOverrides.Environment = []jobs.EnvVar{{Name: "PASSWORD", Value: "swordfish"}}
		})
		f.keep(t, "done")
		f.keep(t, "live")
		f.streams["/jobs run/main/done"] = []string{"hello", "from", "the container\n"}
	}
	for name, c := range map[string]struct {
		setup func(t *testing.T, f *fakeCloud)
		stdin string
		args  []string
	}{
		"submit one":                       {nil, good, []string{"submit"}},
		"submit several, some of them bad": {nil, withID("a") + "\n{\"jobName\":7}\n" + withID("b"), []string{"submit"}},
		"submit what is an action":         {nil, `{"action":"cancel","jobId":"live"}`, []string{"submit"}},
		"submit what the function refuses": {func(_ *testing.T, f *fakeCloud) {
			f.problem = "invalid request, 2 problems: taskDefinition: family work is not allowed; allowed are a, b; " +
				"containerOverrides: 9000 characters as sent to ECS, which takes 8192; pass large input by reference"
		}, good, []string{"submit"}},
		"submit when it has to try again": {func(_ *testing.T, f *fakeCloud) { f.tryAgain = 3 }, good, []string{"submit"}},
		"submit in vain":                  {func(_ *testing.T, f *fakeCloud) { f.tryAgain = 99 }, good, []string{"submit"}},
		"submit without permission": {func(_ *testing.T, f *fakeCloud) {
			f.refuse["Invoke"] = [2]string{"AccessDeniedException", "User: arn:aws:iam::123456789012:user/me is not authorized to perform: lambda:InvokeFunction"}
		}, good, []string{"submit"}},
		"submit through the queue":                 {nil, good + withID("b") + "{}", []string{"submit", "--queue"}},
		"submit through the queue as a document":   {nil, good, []string{"submit", "--queue", "-o", "json"}},
		"submit through the queue of this machine": {nil, good, []string{"submit", "--queue", "--local"}},
		"run one": {func(_ *testing.T, f *fakeCloud) {
			f.accepted = func(m *fakeMachine, j *jobs.Job) {
				time.AfterFunc(5*time.Second, func() {
					finish(m, j.JobID, jobs.CauseSucceeded, 0)
					f.mu.Lock()
					f.streams[" main/"+j.JobID] = nil
					f.mu.Unlock()
					f.write(m.jobs[j.JobID])
				})
			}
		}, good, []string{"run", "-o", "json"}},
		"list":                          {ended, "", []string{"list"}},
		"list by status":                {ended, "", []string{"list", "--status", "running", "-q"}},
		"describe":                      {ended, "", []string{"describe", "live"}},
		"describe with its environment": {ended, "", []string{"describe", "live", "--show-environment"}},
		"describe a job that is not":    {ended, "", []string{"describe", "nothing"}},
		"why":                           {ended, "", []string{"why", "done"}},
		"logs":                          {ended, "", []string{"logs", "done"}},
		"logs before there are any":     {ended, "", []string{"logs", "live"}},
		"wait for one that has ended":   {ended, "", []string{"wait", "done"}},
		"cancel":                        {ended, "", []string{"cancel", "live", "done", "nothing", "--reason", "no longer needed"}},
		"retry":                         {ended, "", []string{"retry", "done"}},
		"retry a live job":              {ended, "", []string{"retry", "live"}},
		"cost":                          {ended, "", []string{"cost"}},
		"cost without the sizes": {func(t *testing.T, f *fakeCloud) {
			ended(t, f)
			f.put(newJob("more"))
			finish(f.fakeMachine, "more", jobs.CauseSucceeded, 0)
			f.keep(t, "more")
			f.refuse["DescribeTaskDefinition"] = [2]string{"AccessDeniedException", "not authorized to perform: ecs:DescribeTaskDefinition"}
		}, "", []string{"cost", "-o", "json"}},
		"a stack that is not":                 {nil, "", []string{"list", "--stack", "test"}},
		"a stack of something else":           {func(_ *testing.T, f *fakeCloud) { f.outputs = nil }, "", []string{"list"}},
		"this machine and a stack":            {nil, "", []string{"list", "--local", "--stack", "prod"}},
		"doctor of a stack of something else": {func(_ *testing.T, f *fakeCloud) { f.outputs = nil }, "", []string{"doctor"}},
		"doctor where nothing may be looked at": {func(_ *testing.T, f *fakeCloud) {
			f.identity = "arn:aws:iam::123456789012:user/me"
			f.refuse["Query"] = [2]string{"AccessDeniedException", "not authorized to perform: dynamodb:Query"}
		}, "", []string{"doctor"}},
		"doctor without an identity": {func(_ *testing.T, f *fakeCloud) {
			f.refuse["GetCallerIdentity"] = [2]string{"ExpiredToken", "The security token included in the request is expired"}
		}, "", []string{"doctor"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
				if c.setup != nil {
					c.setup(t, f)
				}
				args := c.args
				if joined := strings.Join(args, " "); !strings.Contains(joined, "--stack") && !strings.Contains(joined, "--local") {
					args = append(args, "--stack", "prod")
				}
				got := s.run(t.Context(), c.stdin, args...)
				if strings.Contains(got.String(), "swordfish") != (name == "describe with its environment") {
					t.Error("the environment is shown where it must not be, or not where it must")
				}
				golden(t, "aws/"+strings.NewReplacer(" ", "-", ",", "").Replace(name), "$ spotbatch "+strings.Join(args, " ")+"\n"+got.String())
			})
		})
	}
}

func TestARequestWithoutAnIdentityIsSentWithOne(t *testing.T) {
	t.Parallel()
	scheduled := `{"jobName":"n","taskDefinition":"w","schedule":{"arn":"arn:aws:scheduler:eu-west-1:1:schedule/a/b","scheduledTime":"2026-11-21T00:00:00Z"}}`
	for name, c := range map[string]struct{ body, want string }{
		"without one":     {" \n{ \"jobName\":\"n\",\"taskDefinition\":\"w\"}", `{"jobId":"new-1", "jobName":"n","taskDefinition":"w"}`},
		"with a jobId":    {`{"jobName":"n","taskDefinition":"w","jobId":"mine"}`, `{"jobName":"n","taskDefinition":"w","jobId":"mine"}`},
		"with a schedule": {scheduled, scheduled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &cloud{newID: func() string { return "new-1" }}
			body := []byte(c.body)
			got, id, err := b.identified(engine.Submission{JobID: jobs.ResolveID(body), Body: body})
			if err != nil || string(got) != c.want || id != jobs.ResolveID(got) || id == "" {
				t.Errorf("got %s as %s, %v", got, id, err)
			}
		})
	}
}

func TestWhatAWSRefusedIsKnownNotToBeStored(t *testing.T) {
	t.Parallel()
	answered := func(status int, err error) error {
		response := &smithyhttp.Response{Response: &http.Response{StatusCode: status}}
		return fmt.Errorf("invoke: %w", &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{Response: response, Err: err}})
	}
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"a bad request":             {&jobs.InvalidRequest{}, true},
		"an error of a known type":  {&lambdatypes.ResourceNotFoundException{}, true},
		"an error of an unknown":    {answered(http.StatusForbidden, &smithy.GenericAPIError{Code: "AccessDeniedException"}), true},
		"an error without any":      {answered(http.StatusBadRequest, errors.New("what is that?")), true},
		"the service's own trouble": {answered(http.StatusBadGateway, &smithy.GenericAPIError{Code: "x"}), false},
		"no answer":                 {errors.New("connection reset by peer"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := refusedForSure(c.err); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestSubmitOnAWSSendsNothingTwiceThatCouldMakeTwoJobs(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		f.tryAgain = 2
		s.run(t.Context(), good, "submit", "--stack", "prod")
		if len(f.invoked) != 3 || f.invoked[0] != f.invoked[2] || !strings.HasPrefix(f.invoked[0], `{"jobId":"new-1",`) {
			t.Errorf("a submit is repeated with its id: got %q", f.invoked)
		}
		finish(f.fakeMachine, "new-1", jobs.CauseExitNonzero, 1)
		f.invoked, f.tryAgain = nil, 2
		s.run(t.Context(), "", "retry", "new-1", "--stack", "prod")
		if len(f.invoked) != 1 {
			t.Errorf("a retry is not repeated: got %q", f.invoked)
		}
	})
}

func TestLogsOnAWSAreFollowedThroughEveryAttempt(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		f.put(newJob("j"))
		f.keep(t, "j")
		go func() {
			for attempt := 1; attempt <= 2; attempt++ {
				time.Sleep(3 * time.Second)
				f.step(t, "j", func(j *jobs.Job) {
					begin(j, jobs.FargateSpot, f.now())
					j.TaskRunning(f.now())
				})
				for i := range 3 {
					f.mu.Lock()
					key := fmt.Sprintf("/jobs run/main/j-%d", attempt)
					f.streams[key] = append(f.streams[key], fmt.Sprintf("attempt %d line %d", attempt, i))
					f.mu.Unlock()
					time.Sleep(2 * time.Second)
				}
				f.step(t, "j", func(j *jobs.Job) {
					j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSpotInterruption, StoppedAt: f.now()})
					j.WaitUntil(f.now(), "")
				})
			}
			f.step(t, "j", func(j *jobs.Job) { j.End(jobs.StatusFailed, jobs.CauseSpotInterruption, "", f.now()) })
		}()
		began := time.Now()
		got := s.run(t.Context(), "", "logs", "j", "--follow", "--stack", "prod")
		golden(t, "aws-logs-follow", got.String())
		if most := 2 * int(time.Since(began).Seconds()); f.calls["GetLogEvents"] > most {
			t.Errorf("%d calls of GetLogEvents, at most %d are due", f.calls["GetLogEvents"], most)
		}
	})
}

func TestWaitOnAWSReadsNothingButTheJobsThatAreFollowed(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		f.put(newJob("a"), newJob("b"))
		for _, id := range []string{"a", "b"} {
			f.step(t, id, func(j *jobs.Job) {
				begin(j, jobs.FargateSpot, f.now())
				j.TaskRunning(f.now())
			})
		}
		f.calls = map[string]int{}
		const minutes = 10
		time.AfterFunc(minutes*time.Minute, func() {
			f.step(t, "a", func(j *jobs.Job) {
				j.StopAttempt(jobs.AttemptEnd{Cause: jobs.CauseSucceeded, ExitCode: exitCode(0), StoppedAt: f.now()})
				j.End(jobs.StatusSucceeded, jobs.CauseSucceeded, "", f.now())
			})
		})
		if got := s.run(t.Context(), "", "wait", "a", "-q", "--stack", "prod"); got.code != 0 {
			t.Fatal(got)
		}
		if most := minutes*30 + 5; f.calls["GetItem"] > most || f.calls["GetItem"] < minutes*10 {
			t.Errorf("%d reads, at most %d are due", f.calls["GetItem"], most)
		}
		delete(f.calls, "GetItem")
		want := map[string]int{"DescribeStacks": 1, "DescribeTaskDefinition": 1, "PutItem": 1}
		if diff := cmp.Diff(want, f.calls); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

func TestTheEnvironmentNamesADeploymentWithoutAStack(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, f *fakeCloud, s *shell) {
		s.cli.getenv = func(name string) string { return map[string]string{"SPOTBATCH_TABLE": "prod-Table"}[name] }
		if got := s.run(t.Context(), "", "list"); got.code != 0 || got.stderr != "No jobs.\n" || f.calls["DescribeStacks"] > 0 {
			t.Errorf("list needs the table alone: %v", got)
		}
		s.stderr.Reset()
		got := s.run(t.Context(), good, "submit")
		want := "SPOTBATCH_SUBMIT_FUNCTION is not set; --stack NAME finds all parts of a deployment\n"
		if got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestWhereTheJobsAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env     map[string]string
		args    []string
		onLocal bool
		code    int
		command string
	}{
		"a stack by flag":                  {nil, []string{"--stack", "prod"}, false, 0, "spotbatch wait --stack prod"},
		"a stack by environment":           {map[string]string{"SPOTBATCH_STACK": "prod"}, nil, false, 0, "spotbatch wait"},
		"a flag before the environment":    {map[string]string{"SPOTBATCH_LOCAL": "1"}, []string{"--stack", "prod"}, false, 0, "spotbatch wait --stack prod"},
		"this machine before a stack":      {map[string]string{"SPOTBATCH_LOCAL": "1", "SPOTBATCH_STACK": "prod"}, nil, true, 0, "spotbatch wait"},
		"not this machine, but a stack":    {map[string]string{"SPOTBATCH_LOCAL": "1", "SPOTBATCH_STACK": "prod"}, []string{"--local=false"}, false, 0, "spotbatch wait"},
		"both by flag":                     {nil, []string{"--stack", "prod", "--local"}, true, exitUsage, ""},
		"neither yes nor no to a machine":  {map[string]string{"SPOTBATCH_LOCAL": "yes", "SPOTBATCH_STACK": "prod"}, nil, false, exitUsage, ""},
		"a flag before what says nothing":  {map[string]string{"SPOTBATCH_LOCAL": "yes"}, []string{"--stack", "prod"}, false, 0, "spotbatch wait --stack prod"},
		"region and profile are passed on": {nil, []string{"--stack", "prod", "--region", "x", "--profile", "my own"}, false, 0, `spotbatch wait --stack prod --region x --profile "my own"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCloud(t, func(t *testing.T, _ *fakeCloud, s *shell) {
				s.cli.getenv = func(name string) string { return c.env[name] }
				got := s.run(t.Context(), "", append([]string{"list", "-q"}, c.args...)...)
				if got.code != c.code || s.cli.onLocal != c.onLocal {
					t.Errorf("local %v, %v", s.cli.onLocal, got)
				}
				if command := s.cli.command("wait"); c.code == 0 && command != c.command {
					t.Errorf("got %q, want %q", command, c.command)
				}
			})
		})
	}
}

func TestARegionMustBeKnown(t *testing.T) {
	t.Parallel()
	s := newCloudShell(newFakeCloud(newFake()))
	s.cli.loadAWS = func(context.Context, string, string) (aws.Config, error) { return aws.Config{}, nil }
	got := s.run(t.Context(), "", "list", "--stack", "prod")
	if got.code != exitUsage || !strings.Contains(got.stderr, "--region, or AWS_REGION") {
		t.Errorf("got %v", got)
	}
}

func TestLoadAWSTakesRegionAndProfile(t *testing.T) { //nolint:paralleltest // it sets the environment
	for _, name := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, t.TempDir()+"/none")
	}
	cfg, err := loadAWS(t.Context(), "eu-north-1", "")
	if err != nil || cfg.Region != "eu-north-1" {
		t.Errorf("got %s, %v", cfg.Region, err)
	}
	if _, err := loadAWS(t.Context(), "", "no-such-profile"); err == nil || !strings.Contains(err.Error(), "no-such-profile") {
		t.Errorf("got %v", err)
	}
}

func TestDocumentsOfTheSubmitFunctionAreMaskedAlready(t *testing.T) {
	t.Parallel()
	inCloud(t, func(t *testing.T, _ *fakeCloud, s *shell) {
		body := `{"jobName":"n","taskDefinition":"w","containerOverrides":{"environment":[{"name":"PASSWORD","value":"swordfish"}]}}`
		got := s.run(t.Context(), body, "submit", "-o", "json", "--stack", "prod")
		var j jobs.Job
		if err := json.Unmarshal([]byte(got.stdout), &j); err != nil || j.Request.ContainerOverrides.Environment[0].Value != "***" {
			t.Errorf("%v: %v", err, got)
		}
	})
}

func TestTheTemplateHasEveryOutputThatIsReadOfAStack(t *testing.T) {
	t.Parallel()
	template, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, outputs, _ := strings.Cut(string(template), "\nOutputs:\n")
	for _, p := range parts() {
		if !strings.Contains("\n"+outputs, "\n  "+p.output+":") {
			t.Errorf("%s is not among them", p.output)
		}
	}
}
