package spot

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// pinned accepts a request on a plain task definition; the problems are what Pin says.
func pinned(jobID string, o jobs.ContainerOverrides) []string {
	_, problems := Pin(jobID, jobs.Request{JobName: "n", TaskDefinition: "t", ContainerOverrides: o}, TaskDefinition{
		Family: "t", Revision: 1, Active: true, Fargate: true, CPU: "256", Memory: "512",
		ContainerDefs: []ContainerDef{{Name: "main", Essential: true}},
	}, nil)
	return problems
}

// mostOf is how many times a text can be repeated before the overrides are too long for ECS. It fails unless one more is
// refused by its field, with the number and without the text.
func mostOf(t *testing.T, jobID, text string, put func(value string) jobs.ContainerOverrides) int {
	t.Helper()
	value := func(n int) jobs.ContainerOverrides { return put(strings.Repeat(text, n)) }
	most := sort.Search(overridesMax, func(n int) bool { return len(pinned(jobID, value(n))) > 0 }) - 1
	problems := pinned(jobID, value(most+1))
	if len(problems) != 1 {
		t.Fatalf("problems %q, want one", problems)
	}
	var field string
	var size, limit int
	const form = "%s %d characters as sent to ECS, which takes %d; pass large input by reference"
	n, err := fmt.Sscanf(problems[0], form, &field, &size, &limit)
	if n != 3 || err != nil || field != "containerOverrides:" || size <= limit || size > limit+6 || limit != overridesMax {
		t.Errorf("the problem is %.200q (%v)", problems[0], err)
	}
	return most
}

// TestTheLargestOverridesFitAsTheyAreSent holds Pin to ECS's limit to the character, whatever the characters are. The widths are
// those of the SDK's JSON; internal/lambdatest looks at what it really sends.
func TestTheLargestOverridesFitAsTheyAreSent(t *testing.T) {
	t.Parallel()
	inCommand := func(value string) jobs.ContainerOverrides { return jobs.ContainerOverrides{Command: []string{value}} }
	inEnvironment := func(value string) jobs.ContainerOverrides {
		return jobs.ContainerOverrides{Environment: []jobs.EnvVar{{Name: "A", Value: value}}}
	}
	for place, put := range map[string]func(string) jobs.ContainerOverrides{"command": inCommand, "environment": inEnvironment} {
		plain := mostOf(t, "job", "x", put)
		if plain < 7500 || plain > overridesMax-100 {
			t.Errorf("%s: %d plain characters fit", place, plain)
		}
		for text, width := range map[string]int{
			`"`: 2, `\`: 2, "\n": 2, "\t": 2, "\b": 6, "\f": 6, "\x01": 6, "\x7f": 6, "é": 1, "語": 1, "😀": 1, "<": 1, "&": 1,
			"\u2028": 6, `\b`: 3, `\\f`: 5, `"\"`: 6,
		} {
			if got := mostOf(t, "job", text, put); got != plain/width {
				t.Errorf("%s: %q fits %d times, want %d", place, text, got, plain/width)
			}
		}
		if got, want := mostOf(t, strings.Repeat("j", 64), "x", put), plain-61; got != want {
			t.Errorf("%s: a longer jobId leaves room for %d characters, want %d", place, got, want)
		}
	}
}

// TestManySmallOverridesCountWithTheirPunctuation: it is not the values alone.
func TestManySmallOverridesCountWithTheirPunctuation(t *testing.T) {
	t.Parallel()
	words := func(n int) jobs.ContainerOverrides { return jobs.ContainerOverrides{Command: make([]string, n)} }
	variables := func(n int) (o jobs.ContainerOverrides) {
		for i := range n {
			o.Environment = append(o.Environment, jobs.EnvVar{Name: fmt.Sprintf("A%03d", i)})
		}
		return o
	}
	for what, c := range map[string]struct {
		put   func(int) jobs.ContainerOverrides
		width int
	}{
		"empty words": {words, len(`"",`)}, "empty variables": {variables, len(`{"name":"A000","value":""},`)},
	} {
		most := sort.Search(overridesMax, func(n int) bool { return len(pinned("job", c.put(n))) > 0 }) - 1
		if room := overridesMax - most*c.width; room < 0 || room > 400 {
			t.Errorf("%d %s fit", most, what)
		}
	}
}
