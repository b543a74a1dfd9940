package spot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Launch is everything that one RunTask call says. It is derived from the stored job alone, so that every repeat of a
// launch is byte for byte the same and ECS recognises it by its token.
type Launch struct {
	TaskDefinition      string
	Container           string
	Command             []string
	Environment         []jobs.EnvVar
	CPU, Memory         string
	EphemeralStorageGiB int
	CapacityProvider    jobs.CapacityProvider
	StartedBy           string
	ClientToken         string
	Tags                []Tag // sorted by key
}

// Tag is one ECS tag.
type Tag struct{ Key, Value string }

// LaunchOf derives the RunTask call of the job's live attempt.
func LaunchOf(runner string, j *jobs.Job) Launch {
	a := j.Live()
	r := j.Request
	previous := jobs.Cause("")
	if n := len(j.Attempts); n > 1 {
		previous = j.Attempts[n-2].Cause
	}
	own := ownEnvironment(j.JobID, strconv.Itoa(a.Number), a.CapacityProvider, previous)
	l := Launch{
		TaskDefinition: r.TaskDefinition, Container: j.Internal.Container, Command: r.ContainerOverrides.Command,
		Environment: slices.Concat(r.ContainerOverrides.Environment, own), CPU: r.ContainerOverrides.CPU, Memory: r.ContainerOverrides.Memory,
		EphemeralStorageGiB: r.EphemeralStorageGiB, CapacityProvider: a.CapacityProvider,
		StartedBy:   jobs.StartedBy(runner, j.JobID, a.Number),
		ClientToken: clientToken(runner, j.JobID, a.Number, a.Launches),
	}
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		l.Tags = append(l.Tags, Tag{key, r.Tags[key]})
	}
	return l
}

// ownEnvironment is what an attempt's container gets beside what the request says.
func ownEnvironment(jobID, attempt string, provider jobs.CapacityProvider, previous jobs.Cause) []jobs.EnvVar {
	own := []jobs.EnvVar{
		{Name: "SPOTBATCH_JOB_ID", Value: jobID},
		{Name: "SPOTBATCH_ATTEMPT", Value: attempt},
		{Name: "SPOTBATCH_CAPACITY_PROVIDER", Value: string(provider)},
	}
	if previous != "" {
		own = append(own, jobs.EnvVar{Name: "SPOTBATCH_PREVIOUS_CAUSE", Value: string(previous)})
	}
	return own
}

// clientToken names one launch. It is as long as ECS allows (64 characters), and nothing but its four parts goes into it.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html
func clientToken(runner, jobID string, attempt, launch int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{runner, jobID, strconv.Itoa(attempt), strconv.Itoa(launch)}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// overridesMax is the most characters that ECS takes as a task's overrides, JSON formatting included.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
const overridesMax = 8192

// overridesSize is the length of the overrides as sent, with the longest environment that any attempt can add.
func overridesSize(jobID, container string, r jobs.Request) int {
	type containerOverride struct {
		Name        string        `json:"name"`
		Command     []string      `json:"command,omitempty"`
		Environment []jobs.EnvVar `json:"environment"`
	}
	type storage struct {
		SizeInGiB int `json:"sizeInGiB"`
	}
	longest := ownEnvironment(jobID, strings.Repeat("9", 10), jobs.FargateSpot, longestCause())
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // as the SDK writes it
	err := encoder.Encode(struct {
		ContainerOverrides []containerOverride `json:"containerOverrides"`
		CPU                string              `json:"cpu,omitempty"`
		Memory             string              `json:"memory,omitempty"`
		EphemeralStorage   storage             `json:"ephemeralStorage"`
	}{
		ContainerOverrides: []containerOverride{{
			Name: container, Command: r.ContainerOverrides.Command,
			Environment: slices.Concat(r.ContainerOverrides.Environment, longest),
		}},
		CPU: r.ContainerOverrides.CPU, Memory: r.ContainerOverrides.Memory, EphemeralStorage: storage{r.EphemeralStorageGiB},
	})
	if err != nil { // strings and numbers alone: it cannot fail; if it did, the request would not be sent either
		return overridesMax + 1
	}
	return utf8.RuneCountInString(asSent.Replace(strings.TrimSuffix(text.String(), "\n")))
}

// asSent lengthens what encoding/json writes shorter than the SDK, which sends a backspace, a form feed and DEL as \u0008,
// \u000c and \u007f. An escaped backslash is matched first, so that what follows one is left alone.
// https://github.com/aws/smithy-go/blob/main/transport/http/protocol/internal/json/shape_serializer.go
var asSent = strings.NewReplacer(`\\`, `\\`, `\b`, `\u0008`, `\f`, `\u000c`, "\x7f", `\u007f`)

func longestCause() jobs.Cause {
	return slices.MaxFunc(jobs.Causes(), func(a, b jobs.Cause) int { return len(a) - len(b) })
}
