package spotbatch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// after returns what follows a heading.
func after(t *testing.T, doc, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(doc, "\n"+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q", heading)
	}
	return rest
}

// table returns the cells of the rows of the first table under a heading.
func table(t *testing.T, doc, heading string) [][]string {
	t.Helper()
	var rows [][]string
	for line := range strings.Lines(after(t, doc, heading)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if rows != nil {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("there is no table under %q", heading)
	}
	for _, row := range rows {
		if len(row) != len(rows[0]) {
			t.Fatalf("under %q a row has %d cells, not %d: %q", heading, len(row), len(rows[0]), row)
		}
	}
	return rows[2:]
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// spans returns the code spans of a cell.
func spans[T ~string](cell string) []T {
	found := []T{}
	for _, m := range codeSpan.FindAllStringSubmatch(cell, -1) {
		found = append(found, T(m[1]))
	}
	return found
}

// firsts returns the first code span of each row.
func firsts[T ~string](rows [][]string) []T {
	var all []T
	for _, row := range rows {
		all = append(all, append(spans[T](row[0]), "")[0])
	}
	return all
}

// fence returns the first block of a language under a heading.
func fence(t *testing.T, doc, heading, language string) string {
	t.Helper()
	_, rest, found := strings.Cut(after(t, doc, heading), "```"+language+"\n")
	block, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatalf("there is no %s block under %q", language, heading)
	}
	return block
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the page differs from the code (-code +page):\n%s", what, diff)
	}
}

// checkStates compares the page's table of statuses, its table of moves and its diagram with the code's.
func checkStates[S ~string](t *testing.T, doc, heading, movesHeading string, statuses []S, moves map[S][]S, starts ...S) {
	t.Helper()
	same(t, heading, firsts[S](table(t, doc, heading)), statuses)

	told := map[S][]S{}
	for _, row := range table(t, doc, movesHeading) {
		told[spans[S](row[0])[0]] = spans[S](row[1])
	}
	same(t, movesHeading, told, moves)

	drawn := map[string]int{}
	for line := range strings.Lines(fence(t, doc, heading, "mermaid")) {
		if arrow, _, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.Contains(arrow, "-->") {
			drawn[strings.TrimSpace(arrow)]++
		}
	}
	wanted := map[string]int{}
	for _, start := range starts {
		wanted["[*] --> "+string(start)]++
	}
	for from, all := range moves {
		for _, to := range all {
			wanted[fmt.Sprintf("%s --> %s", from, to)]++
		}
		if len(all) == 0 {
			wanted[string(from)+" --> [*]"]++
		}
	}
	same(t, heading+", the diagram", drawn, wanted)
}

func TestStatesPageIsTheCodesTable(t *testing.T) {
	t.Parallel()
	doc := read(t, "docs/states.md")
	checkStates(t, doc, "## Job status", "### Moves of a job", jobs.Statuses(), jobs.Moves(), jobs.StatusRunnable, jobs.StatusFailed)
	checkStates(t, doc, "## Attempt status", "### Moves of an attempt", jobs.AttemptStatuses(), jobs.AttemptMoves(), jobs.AttemptLaunching)
}

func TestStatesPageTellsEveryCauseAndItsBudget(t *testing.T) {
	t.Parallel()
	rows := table(t, read(t, "docs/states.md"), "## Causes")
	same(t, "causes", firsts[jobs.Cause](rows), jobs.Causes())
	for _, row := range rows {
		cause, budget := spans[jobs.Cause](row[0])[0], row[3]
		if got, want := budget == "`retryStrategy.attempts`", cause.OwnFailure(); got != want {
			t.Errorf("%s uses retryStrategy.attempts: the page says %t, the code %t", cause, got, want)
		}
		if got, want := budget == "`timeout.startWithinSeconds`", cause.Refusal(); got != want {
			t.Errorf("%s is bounded by timeout.startWithinSeconds: the page says %t, the code %t", cause, got, want)
		}
		if want := fmt.Sprint(jobs.PlatformFailuresMax, " per job"); cause == jobs.CausePlatformFailure && !strings.HasPrefix(budget, want) {
			t.Errorf("the budget of %s is %q, want %q", cause, budget, want)
		}
	}
}

func TestStatesPageTellsTheEnginesTimes(t *testing.T) {
	t.Parallel()
	var got, want [][]string
	for _, row := range table(t, read(t, "docs/states.md"), "The engine's own times (`spot.Times`):") {
		got = append(got, []string{spans[string](row[0])[0], row[2], row[3]})
	}
	aws, local := reflect.ValueOf(spot.AWSTimes()), reflect.ValueOf(spot.LocalTimes())
	for i := range aws.NumField() {
		want = append(want, []string{aws.Type().Field(i).Name, fmt.Sprint(aws.Field(i)), fmt.Sprint(local.Field(i))})
	}
	same(t, "times", got, want)
}

// fields lists the JSON fields of a type as paths, objects and arrays of objects before what is in them.
func fields(of reflect.Type, prefix string) []string {
	var all []string
	for i := range of.NumField() {
		f := of.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path, inner := prefix+name, f.Type
		all = append(all, path)
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Slice {
			path, inner = path+"[]", inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			all = append(all, fields(inner, path+".")...)
		}
	}
	return all
}

func TestRequestPageTellsEveryFieldAndItsDefault(t *testing.T) {
	t.Parallel()
	rows := table(t, read(t, "docs/request.md"), "## Fields")
	same(t, "fields", firsts[string](rows), fields(reflect.TypeFor[jobs.Request](), ""))

	request, err := jobs.ParseRequest([]byte(`{"jobName":"x","taskDefinition":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		path := spans[string](row[0])[0]
		if path == "jobName" || path == "taskDefinition" {
			continue
		}
		told := append(spans[string](row[3]), "")[0]
		if is := valueAt(t, text, path); is != told {
			t.Errorf("the default of %s is %q, the page says %q", path, is, told)
		}
	}
}

// valueAt is the value of a document at a path: a number or a text; empty where there is none, or where it is an object.
func valueAt(t *testing.T, text []byte, path string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	switch value := value.(type) {
	case float64:
		return fmt.Sprintf("%.0f", value)
	case string:
		return value
	}
	return ""
}

func TestRequestPageExampleIsAccepted(t *testing.T) {
	t.Parallel()
	doc := read(t, "docs/request.md")
	example := []byte(fence(t, doc, "## A worked example", "json"))
	request, err := jobs.ParseRequest(example)
	if err != nil {
		t.Fatal(err)
	}
	if want := jobs.ResolveID(example); want == "" || !strings.Contains(after(t, doc, "## A worked example"), "`"+want+"`") {
		t.Errorf("the page does not tell the example's jobId, %q", want)
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal([]byte(fence(t, doc, "### With the defaults filled in", "json")), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	same(t, "the example with its defaults", got, want)
}

func TestArchitecturePageNamesEveryPackage(t *testing.T) {
	t.Parallel()
	told := firsts[string](table(t, read(t, "docs/architecture.md"), "## Packages"))
	for _, top := range []string{"cmd", "functions", "internal", "pkg"} {
		for _, pkg := range packagesUnder(t, top) {
			if !slices.Contains(told, pkg) {
				t.Errorf("package %s has no line under Packages", pkg)
			}
		}
	}
	for _, pkg := range told {
		if _, err := os.Stat(pkg); err != nil {
			t.Errorf("the page tells of package %s: %v", pkg, err)
		}
	}
}

// packagesUnder lists the folders that hold Go files other than tests.
func packagesUnder(t *testing.T, top string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(top, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() && strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			all = append(all, filepath.ToSlash(filepath.Dir(name)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

func TestPagesLinkToFilesThatExist(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	records, err := filepath.Glob("docs/adr/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range slices.Concat(pages, records, []string{"CONTRIBUTING.md", "CHANGELOG.md"}) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// TestOperationsPageTellsEveryAlarmAndMetric holds docs/operations.md against the template and the functions.
func TestOperationsPageTellsEveryAlarmAndMetric(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/operations.md")
	alarm := regexp.MustCompile(`(?m)^  (\w+Alarm):$`)
	var alarms []string
	for _, m := range alarm.FindAllStringSubmatch(read(t, "template.yaml"), -1) {
		alarms = append(alarms, m[1])
	}
	var told []string
	for _, row := range table(t, page, "## Alarms") {
		told = append(told, spans[string](row[0])...)
	}
	slices.Sort(alarms)
	slices.Sort(told)
	if diff := cmp.Diff(alarms, told); diff != "" {
		t.Errorf("alarms of the template and of the page (-template +page):\n%s", diff)
	}
	metric := regexp.MustCompile(`(?m)^\tmetric\w+ += "(\w+)"`)
	metrics := metric.FindAllStringSubmatch(read(t, "internal/function/meter.go"), -1)
	if len(metrics) < 9 {
		t.Fatalf("only %d metrics are found in the code", len(metrics))
	}
	for _, m := range metrics {
		if !strings.Contains(after(t, page, "## Metrics"), "`"+m[1]+"`") {
			t.Errorf("the page does not tell of the metric %s", m[1])
		}
	}
}

// TestReliabilityPageTellsEveryGuard holds the page's table against the list of guards that the simulation is to miss.
func TestReliabilityPageTellsEveryGuard(t *testing.T) {
	t.Parallel()
	guard := regexp.MustCompile(`\bGuard: "([^"]+)"`)
	var guards, told []string
	for _, m := range guard.FindAllStringSubmatch(read(t, "internal/sim/guards_list_test.go"), -1) {
		guards = append(guards, m[1])
	}
	for _, row := range table(t, read(t, "docs/reliability.md"), "## Guards") {
		told = append(told, row[0])
	}
	slices.Sort(guards)
	slices.Sort(told)
	if diff := cmp.Diff(guards, told); diff != "" {
		t.Errorf("guards of the simulation and of the page (-simulation +page):\n%s", diff)
	}
}
