// Command cost computes what a million jobs cost on AWS beside Fargate, storage and network. It runs jobs of one attempt
// through both functions as they are built, in batches as the queues make them, counts every call, write unit and byte of
// log, and multiplies with list prices. It fails if the sum is over the limit. docs/cost.md shows its output.
//
// What it cannot count it assumes, and says so: how long AWS's services take to answer, and how slow a processor is that
// belongs to a small function.
//
// The invariant it keeps: every figure is a count of this run, a list price, or one of the constants below.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/lambdatest"
)

// limit is what a million jobs may cost, in dollars.
const limit = 10.0

const (
	million     = 1_000_000
	jobs        = 200 // that are run
	jobsBatch   = 10  // messages of the jobs queue in an invocation
	eventsBatch = 5   // messages of the events queue
	atOnce      = 10  // items that a function works on at a time: internal/function
)

// List prices in us-east-1, in dollars for a million, but for the last three.
const (
	perWrite      = 0.625 // https://aws.amazon.com/dynamodb/pricing/on-demand/
	perRead       = 0.125
	perMessage    = 0.40 // a request, of up to 64 KB: https://aws.amazon.com/sqs/pricing/
	perEvent      = 1.00 // that we publish: https://aws.amazon.com/eventbridge/pricing/
	perInvocation = 0.20 // https://aws.amazon.com/lambda/pricing/
	perGBSecond   = 0.0000133334
	perGBLog      = 0.50 // https://aws.amazon.com/cloudwatch/pricing/
	memoryGB      = 0.25 // the functions' memory in template.yaml
)

// slower is by how much a function of 256 MB has less processor than this machine's core: a whole one comes with 1,769 MB.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
const slower = 1769.0 / 256

// takes is how long each service is assumed to take for an answer, as functions in the same Region see it.
var takes = map[string]time.Duration{
	"GetItem": 3 * time.Millisecond, "PutItem": 6 * time.Millisecond, "Query": 5 * time.Millisecond,
	"RunTask": 250 * time.Millisecond, "DescribeTaskDefinition": 50 * time.Millisecond,
	"PutEvents": 10 * time.Millisecond, "SendMessage": 10 * time.Millisecond,
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "cost")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bill{aws: lambdatest.NewAWS(), stored: map[string]map[string]value{}}
	server := httptest.NewServer(b.aws)
	defer server.Close()
	functions := map[string]*lambdatest.Function{}
	for _, name := range []string{"submit", "watch"} {
		binary := filepath.Join(folder, name)
		if err := lambdatest.Build(ctx, os.Environ(), "./functions/"+name, binary); err != nil {
			return err
		}
		f, err := lambdatest.Start(ctx, lambdatest.Config{Name: name, Binary: binary, Env: lambdatest.Settings(server.URL)})
		if err != nil {
			return err
		}
		defer f.Stop()
		functions[name] = f
	}
	if err := b.runJobs(ctx, functions["submit"], functions["watch"]); err != nil {
		return err
	}
	for _, f := range functions {
		f.Stop()
		b.seconds += f.Processor().Seconds() * slower
	}
	return b.print()
}

// value is an attribute of an item: its type, then itself.
type value map[string]any

// bill adds up what the jobs of this run take.
type bill struct {
	aws    *lambdatest.AWS
	stored map[string]map[string]value

	tableWrites, indexWrites, reads float64
	messages, events, invocations   float64
	seconds                         float64 // of functions
	logged                          float64 // bytes
	largest                         int     // item, in bytes
	seen                            int     // calls that are counted
}

// runJobs has every job submitted, run and succeed.
func (b *bill) runJobs(ctx context.Context, submit, watch *lambdatest.Function) error {
	var requests, events []string
	now := time.Now().UTC()
	for n := range jobs {
		id := fmt.Sprintf("nightly-report-%04d", n)
		requests = append(requests, fmt.Sprintf(`{"jobName":"nightly-report","jobId":%q,"taskDefinition":"spotbatch-example",`+
			`"containerOverrides":{"command":["report","--day","2026-01-15","--out","s3://example-reports/2026/01/15/"],`+
			`"environment":[{"name":"REPORT_LANGUAGE","value":"en"}]},"retryStrategy":{"attempts":3},"tags":{"team":"finance"}}`, id))
		for _, name := range []string{"running", "stopped-exit-0"} {
			event, err := eventOf(name, id, now)
			if err != nil {
				return err
			}
			events = append(events, event)
		}
	}
	// Each job's RUNNING comes long before its STOPPED.
	var ordered []string
	for _, second := range []int{0, 1} {
		for n := range jobs {
			ordered = append(ordered, events[2*n+second])
		}
	}
	b.aws.Forget() // what the functions called to warm up
	for batch := range batches(requests, jobsBatch) {
		if err := b.invoke(ctx, submit, batch); err != nil {
			return err
		}
	}
	for batch := range batches(ordered, eventsBatch) {
		if err := b.invoke(ctx, watch, batch); err != nil {
			return err
		}
	}
	if b.events != jobs {
		return fmt.Errorf("%v of %d jobs ended", b.events, jobs)
	}
	return nil
}

var (
	taskForm = regexp.MustCompile(`"taskArn": "[^"]*/([0-9a-f]+)"`)
	timeForm = regexp.MustCompile(`2026-01-15T10:`)
)

// eventOf is a payload of events/watch as it would come for a job of this run.
func eventOf(name, job string, now time.Time) (string, error) {
	raw, err := os.ReadFile(filepath.Join("events", "watch", name+".json"))
	if err != nil {
		return "", err
	}
	text := string(raw)
	found := taskForm.FindStringSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("events/watch/%s.json names no task", name)
	}
	arn := lambdatest.TaskARN("spotbatch/" + job + "/1")
	text = strings.ReplaceAll(text, found[1], arn[strings.LastIndex(arn, "/")+1:])
	text = strings.ReplaceAll(text, "nightly-report-2026-01-15", job)
	text = timeForm.ReplaceAllString(text, now.Format("2006-01-02T15:"))
	var line bytes.Buffer
	err = json.Compact(&line, []byte(text))
	return line.String(), err
}

func batches(all []string, size int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(all) > 0 {
			n := min(size, len(all))
			if !yield(all[:n]) {
				return
			}
			all = all[n:]
		}
	}
}

// invoke hands a batch to a function as SQS would, and adds up what it took.
func (b *bill) invoke(ctx context.Context, f *lambdatest.Function, messages []string) error {
	var records []map[string]string
	for n, body := range messages {
		records = append(records, map[string]string{
			"messageId": fmt.Sprintf("%08d-0000-4000-8000-%012d", n, int(b.invocations)), "body": body, "eventSource": "aws:sqs",
		})
	}
	payload, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		return err
	}
	log := len(f.Log())
	answer, failed, err := f.Invoke(ctx, payload)
	if err != nil {
		return err
	}
	if failed != nil || string(answer) != `{"batchItemFailures":[]}` {
		return fmt.Errorf("answered %s, %v", answer, failed)
	}
	b.invocations++
	b.messages += float64(len(messages)) + 2 // each is sent; they are received, and deleted, together
	lines := f.Log()[log:]
	b.logged += float64(len(lines) + 26*strings.Count(lines, "\n")) // CloudWatch adds 26 bytes to each
	waits, err := b.count(b.aws.Calls()[b.seen:])
	b.seen = len(b.aws.Calls())
	rounds := math.Ceil(float64(len(messages))/atOnce) / float64(len(messages))
	b.seconds += waits.Seconds() * rounds
	return err
}

// count adds up calls and returns how long they take one after the other.
func (b *bill) count(calls []lambdatest.Call) (waits time.Duration, err error) {
	for _, call := range calls {
		took, known := takes[call.Operation]
		if !known {
			return 0, errors.New("nothing is known of what " + call.Operation + " costs")
		}
		waits += took
		switch call.Operation {
		case "GetItem":
			b.reads++ // an item of up to 4 KB, strongly consistent, or none
		case "Query":
			b.reads += 0.5
		case "PutItem":
			err = errors.Join(err, b.put(call.Body))
		case "PutEvents":
			b.events++
		case "SendMessage":
			b.messages += 3
		}
	}
	return waits, err
}

// put counts a write and those of the indexes that it leads to.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations
func (b *bill) put(body string) error {
	var in struct{ Item map[string]value }
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		return err
	}
	size := sizeOf(in.Item)
	b.largest = max(b.largest, size)
	b.tableWrites += math.Ceil(float64(size) / 1024)
	id := text(in.Item["id"])
	before := b.stored[id]
	for _, key := range []string{"listShard", "dueAt"} {
		was, is := text(before[key]), text(in.Item[key])
		switch {
		case was == is:
		case was == "" || is == "":
			b.indexWrites++
		default: // the old entry is deleted, the new one put
			b.indexWrites += 2
		}
	}
	b.stored[id] = in.Item
	return nil
}

func text(v value) string {
	for _, of := range v {
		return fmt.Sprint(of)
	}
	return ""
}

// sizeOf is an item's size: names and values.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func sizeOf(item map[string]value) (size int) {
	for name, v := range item {
		size += len(name)
		for kind, of := range v {
			switch kind {
			case "B":
				size += base64.StdEncoding.DecodedLen(len(fmt.Sprint(of)))
			case "N":
				size += len(fmt.Sprint(of))/2 + 1
			default:
				size += len(fmt.Sprint(of))
			}
		}
	}
	return size
}

// row is one line of the sum.
type row struct {
	what    string
	each    float64 // of it, for a job
	unit    string
	dollars float64 // for a million jobs
}

func (b *bill) print() error {
	of := func(what string, n float64, unit string, price float64) row {
		return row{what, n / jobs, unit, n / jobs * price}
	}
	rows := []row{
		of("DynamoDB, the table", b.tableWrites, "write units", perWrite),
		of("DynamoDB, its indexes", b.indexWrites, "write units", perWrite),
		of("DynamoDB, reads", b.reads, "read units", perRead),
		of("SQS", b.messages, "requests", perMessage),
		of("EventBridge, PutEvents", b.events, "events", perEvent),
		of("Lambda, invocations", b.invocations, "invocations", perInvocation),
		of("Lambda, duration", b.seconds, "seconds", perGBSecond*memoryGB*million),
		of("CloudWatch Logs", b.logged/1024, "KB", perGBLog*million/1024/1024),
	}
	sum := 0.0
	fmt.Printf("| %-22s | %8s | %-11s | %9s |\n|---|---:|---|---:|\n", "what", "a job", "", "a million")
	for _, r := range rows {
		sum += r.dollars
		fmt.Printf("| %-22s | %8.3f | %-11s | $ %7.2f |\n", r.what, r.each, r.unit, r.dollars)
	}
	fmt.Printf("| %-22s | %8s | %-11s | $ %7.2f |\n\nThe largest item takes %d bytes.\n", "sum", "", "", sum, b.largest)
	if sum > limit {
		return fmt.Errorf("a million jobs cost $%.2f, more than $%.2f", sum, limit)
	}
	return nil
}
