// Command bench measures both functions beside a bare one that has the same clients of the SDK (testdata/bare): how large
// their binaries are, how fast they start, what an invocation takes, and how much memory they hold. It fails if a function is
// over a limit. scripts/bench-functions calls it.
//
// The functions make a call while they start, so that their connections stand before the first invocation comes. The bare
// one does too; what it takes without is shown for information, as is the SDK's general configuration loader.
//
// The invariant it keeps: what is compared is measured by turns, in the same minute, under the same load.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/lambdatest"
)

// The limits: of the binary for arm64, and of what a function may take for its start and hold in memory, in times of the bare
// one. Lambda bills the start as well.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
const (
	binaryMax = 10_000_000
	startMax  = 1.3
	memoryMax = 1.3
)

const (
	starts      = 30
	invocations = 100
)

// program is one that is measured.
type program struct {
	name, pkg string
	flags     []string          // beside those of all
	env       map[string]string // likewise
	limited   bool              // one of ours
	content   func(n int) any   // of the n-th message

	path              string // for this machine
	binary, zipped    int64  // bytes for arm64
	start, invocation time.Duration
	resident, peak    int64
}

// programs are those that are measured, the one that all are compared with first.
func programs() []*program {
	const bare = "./internal/lambdatest/testdata/bare"
	warm := map[string]string{"BARE_WARM_UP": "1"}
	return []*program{
		{name: "bare", pkg: bare, env: warm, content: request},
		{name: "submit", pkg: "./functions/submit", limited: true, content: request},
		{name: "watch", pkg: "./functions/watch", limited: true, content: event},
		{name: "bare, no call at start", pkg: bare, content: request},
		{
			name: "bare, LoadDefaultConfig", pkg: bare, flags: []string{"-tags", lambdatest.Tags + ",defaultconfig"},
			env: warm, content: request,
		},
	}
}

// request is the n-th job, a new one each time.
func request(n int) any {
	return map[string]any{"jobName": "bench", "jobId": fmt.Sprintf("bench-%d", n), "taskDefinition": "spotbatch-example"}
}

// event says that the task of the n-th job runs.
func event(n int) any {
	startedBy, now := fmt.Sprintf("spotbatch/bench-%d/1", n), time.Now().UTC().Format(time.RFC3339)
	return map[string]any{
		"version": "0", "id": fmt.Sprintf("event-%d", n), "source": "aws.ecs", "detail-type": "ECS Task State Change",
		"detail": map[string]any{
			"taskArn": lambdatest.TaskARN(startedBy), "startedBy": startedBy, "version": 3, "createdAt": now, "startedAt": now,
			"clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/spotbatch", "capacityProviderName": "FARGATE_SPOT",
			"lastStatus": "RUNNING", "desiredStatus": "RUNNING",
			"containers": []any{map[string]any{"name": "main", "lastStatus": "RUNNING"}},
		},
	}
}

// batch is an SQS batch of one message.
func batch(n int, content any) ([]byte, error) {
	body, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	message := map[string]any{"eventSource": "aws:sqs", "messageId": fmt.Sprintf("message-%d", n), "body": string(body)}
	return json.Marshal(map[string]any{"Records": []any{message}})
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "bench-functions:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "bench-functions")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: lambdatest.NewAWS(), ReadHeaderTimeout: time.Minute}
	defer func() { _ = server.Close() }()
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	env := lambdatest.Settings("http://" + listener.Addr().String())

	all := programs()
	for _, p := range all {
		if err := p.build(ctx, dir); err != nil {
			return err
		}
	}
	if err := measureStarts(ctx, all, env); err != nil {
		return err
	}
	if err := measureInvocations(ctx, all, env); err != nil {
		return err
	}
	printTable(all)
	return overLimit(all)
}

// build builds the program for Lambda and for this machine, and takes the sizes of the first.
func (p *program) build(ctx context.Context, dir string) error {
	name := strings.ReplaceAll(p.name, ", ", "-")
	arm := filepath.Join(dir, name+"-arm64")
	p.path = filepath.Join(dir, name)
	err := errors.Join(
		lambdatest.Build(ctx, append(os.Environ(), "GOOS=linux", "GOARCH=arm64"), p.pkg, arm, p.flags...),
		lambdatest.Build(ctx, os.Environ(), p.pkg, p.path, p.flags...),
	)
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(arm)
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	archive := zip.NewWriter(&zipped)
	file, err := archive.Create("bootstrap")
	if err != nil {
		return err
	}
	if _, err := file.Write(binary); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	p.binary, p.zipped = int64(len(binary)), int64(zipped.Len())
	return nil
}

func (p *program) config(env map[string]string) lambdatest.Config {
	env = maps.Clone(env)
	maps.Copy(env, p.env)
	return lambdatest.Config{Name: p.name, Binary: p.path, Env: env}
}

// measureStarts starts the programs by turns, in another order each time, and takes the fastest of each: what a busy machine adds
// says nothing of a program.
func measureStarts(ctx context.Context, all []*program, env map[string]string) error {
	took := map[*program][]time.Duration{}
	for range starts {
		for _, i := range rand.Perm(len(all)) {
			p := all[i]
			f, err := lambdatest.Start(ctx, p.config(env))
			if err != nil {
				return err
			}
			took[p] = append(took[p], f.Stats().Start)
			f.Stop()
		}
	}
	for _, p := range all {
		p.start = slices.Min(took[p])
	}
	return nil
}

// measureInvocations gives each program its payloads by turns, so that watch hears of jobs that submit has stored.
func measureInvocations(ctx context.Context, all []*program, env map[string]string) error {
	functions, took := map[*program]*lambdatest.Function{}, map[*program][]time.Duration{}
	for _, p := range all {
		f, err := lambdatest.Start(ctx, p.config(env))
		if err != nil {
			return err
		}
		defer f.Stop()
		functions[p] = f
	}
	for n := range invocations {
		for _, p := range all {
			payload, err := batch(n, p.content(n))
			if err != nil {
				return err
			}
			answer, failed, err := functions[p].Invoke(ctx, payload)
			if err != nil || failed != nil || p.limited && string(answer) != `{"batchItemFailures":[]}` {
				return fmt.Errorf("%s answered %s, %v, %w", p.name, answer, failed, err)
			}
			took[p] = append(took[p], functions[p].Stats().Last)
		}
	}
	for _, p := range all {
		stats := functions[p].Stats()
		p.invocation, p.resident, p.peak = median(took[p]), stats.Resident, stats.PeakResident
	}
	return nil
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func printTable(all []*program) {
	const mb = 1e6
	bare := all[0]
	fmt.Printf("%-24s %11s %8s %15s %12s %15s %8s\n", "", "arm64", "zip", "start", "invocation", "memory", "peak")
	if bare.resident == 0 {
		fmt.Println("memory is not measured: there is no /proc here")
	}
	for _, p := range all {
		fmt.Printf("%-24s %8.3f MB %5.2f MB %6.1f ms %5.2fx %9.2f ms %5.1f MB %5.2fx %5.1f MB\n", p.name,
			float64(p.binary)/mb, float64(p.zipped)/mb, ms(p.start), ratio(p.start, bare.start), ms(p.invocation),
			float64(p.resident)/mb, ratio(p.resident, bare.resident), float64(p.peak)/mb)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratio is 0 where there is nothing to compare with, as memory where there is no /proc.
func ratio[T time.Duration | int64](a, b T) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// overLimit tells every limit that is passed.
func overLimit(all []*program) error {
	var errs []error
	check := func(p *program, what string, is, limit float64) {
		if is > limit {
			errs = append(errs, fmt.Errorf("%s: %s is %.3f times that of the bare function; the limit is %.1f", p.name, what, is, limit))
		}
	}
	for _, p := range all {
		if !p.limited {
			continue
		}
		if p.binary > binaryMax {
			errs = append(errs, fmt.Errorf("%s: the binary has %d bytes; the limit is %d", p.name, p.binary, binaryMax))
		}
		check(p, "the start", ratio(p.start, all[0].start), startMax)
		check(p, "memory", ratio(p.resident, all[0].resident), memoryMax)
	}
	return errors.Join(errs...)
}
