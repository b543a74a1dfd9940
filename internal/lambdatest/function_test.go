package lambdatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

// TestMain lets the test binary be the function that the tests invoke, and keeps what is built for all of them.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		program()
		return
	}
	dir, err := os.MkdirTemp("", "lambdatest")
	if err != nil {
		panic(err)
	}
	builtIn = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// builtIn is the folder of the functions' binaries; TestMain alone sets it.
var builtIn string

// program is a function that does what its payload says.
func program() {
	if os.Getenv("EXIT_AT_START") != "" {
		fmt.Fprintln(os.Stderr, "no good environment")
		os.Exit(3)
	}
	lambda.Start(func(ctx context.Context, what string) (map[string]any, error) {
		switch what {
		case "fail":
			return nil, &json.UnsupportedValueError{Str: "asked to fail"}
		case "panic":
			panic("asked to panic")
		case "exit":
			fmt.Fprintln(os.Stderr, "exiting as I was asked")
			os.Exit(7)
		case "hang":
			select {}
		}
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		return map[string]any{
			"what": what, "pid": os.Getpid(), "arn": lc.InvokedFunctionArn, "id": lc.AwsRequestID,
			"name": lambdacontext.FunctionName, "region": os.Getenv("AWS_REGION"), "home": os.Getenv("HOME"),
			"secondsLeft": time.Until(deadline).Seconds(),
		}, nil
	})
}

// testProgram is program as a function.
func testProgram(t *testing.T) Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Name: "program", Binary: self, Env: map[string]string{"AWS_REGION": "eu-north-1"}}
}

func start(t *testing.T, config Config) *Function {
	t.Helper()
	f, err := Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	return f
}

// said is what program answers.
type said struct {
	What, ARN, ID, Name, Region, Home string
	PID                               int
	SecondsLeft                       float64
}

func invoke(t *testing.T, f *Function, what string) said {
	t.Helper()
	answer, failed, err := f.Invoke(t.Context(), []byte(`"`+what+`"`))
	var s said
	if err != nil || failed != nil || json.Unmarshal(answer, &s) != nil {
		t.Fatalf("answer %s, function error %v, %v", answer, failed, err)
	}
	return s
}

func TestAFunctionIsInvokedAsLambdaInvokesIt(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	first, second := invoke(t, f, "one"), invoke(t, f, "two")
	if first.What != "one" || second.What != "two" || first.PID != second.PID || first.ID == second.ID {
		t.Errorf("got %+v, then %+v; want one instance and two request ids", first, second)
	}
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:program"
	if first.ARN != arn || first.Name != "program" || first.Region != "eu-north-1" {
		t.Errorf("the program was told %+v", first)
	}
	if first.Home != "" {
		t.Error("the program sees the environment of the process that started it")
	}
	if first.SecondsLeft < 30 || first.SecondsLeft > 60 {
		t.Errorf("%v s were left at the start, want nearly 60", first.SecondsLeft)
	}
}

func TestAnErrorHasTheNameOfItsTypeAndTheFunctionGoesOn(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	before := invoke(t, f, "before")
	_, failed, err := f.Invoke(t.Context(), []byte(`"fail"`))
	if err != nil || failed == nil || failed.Type != "UnsupportedValueError" || !strings.Contains(failed.Message, "asked to fail") {
		t.Errorf("function error %v, %v", failed, err)
	}
	if after := invoke(t, f, "after"); after.PID != before.PID {
		t.Error("another program was started after an error")
	}
}

func TestAProgramThatDiesIsReplaced(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	before := invoke(t, f, "before")
	_, _, err := f.Invoke(t.Context(), []byte(`"exit"`))
	checkExit(t, err, "exit status 7", "exiting as I was asked")
	after := invoke(t, f, "after")
	if after.PID == before.PID {
		t.Error("the same process answers, though it had exited")
	}
	_, failed, err := f.Invoke(t.Context(), []byte(`"panic"`))
	if err != nil || failed == nil || failed.Message != "asked to panic" {
		t.Errorf("after a panic: function error %v, %v; want the panic", failed, err)
	}
	if third := invoke(t, f, "third"); third.PID == after.PID {
		t.Error("the same process answers, though it had panicked")
	}
}

// checkExit wants an error that says how the program ended and what it wrote.
func checkExit(t *testing.T, err error, status, wrote string) {
	t.Helper()
	if !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), status) || !strings.Contains(err.Error(), wrote) {
		t.Errorf("error %v; want ErrExited, %s and what the program wrote", err, status)
	}
}

func TestAProgramThatDiedAtRestIsReplacedUnseen(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	before := invoke(t, f, "before")
	f.live.kill()
	if after := invoke(t, f, "after"); after.PID == before.PID {
		t.Error("the same process answers, though it was killed")
	}
}

func TestAnInvocationThatTakesTooLongIsKilled(t *testing.T) {
	t.Parallel()
	config := testProgram(t)
	config.Timeout = 100 * time.Millisecond
	f := start(t, config)
	if _, _, err := f.Invoke(t.Context(), []byte(`"hang"`)); !errors.Is(err, ErrTimedOut) {
		t.Errorf("error %v, want ErrTimedOut", err)
	}
	if s := f.Stats(); s.Resident != 0 {
		t.Error("the program that hung is still there")
	}
}

func TestAnInvocationEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Invoke(ctx, []byte(`"hang"`)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestAProgramThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	config := testProgram(t)
	config.Env["EXIT_AT_START"] = "1"
	_, err := Start(t.Context(), config)
	checkExit(t, err, "exit status 3", "no good environment")
	if _, err := Start(t.Context(), Config{Binary: "/does/not/exist"}); err == nil {
		t.Error("a program that does not exist was started")
	}
}

func TestAnInstanceIsMeasured(t *testing.T) {
	t.Parallel()
	f := start(t, testProgram(t))
	invoke(t, f, "one")
	s := f.Stats()
	if s.Start <= 0 || s.Last <= 0 {
		t.Errorf("measured %+v", s)
	}
	if _, err := os.Stat("/proc/self/status"); err == nil && (s.Resident <= 0 || s.PeakResident < s.Resident) {
		t.Errorf("measured %+v", s)
	}
}
