package function

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The metrics' names; docs/operations.md says what each means. Further ones carry a provider, or status and
// cause, in their name after a dot: a dimension would need a line of its own for each value.
const (
	metricAccepted      = "JobsAccepted"
	metricRejected      = "JobsRejected"
	metricStarted       = "TasksStarted"
	metricRefused       = "LaunchesRefused"
	metricInterruptions = "SpotInterruptions"
	metricFallbacks     = "OnDemandFallbacks"
	metricEnded         = "JobsEnded"
	metricLaunch        = "LaunchLatency"     // from acceptance to the first task, ms
	metricRecovery      = "RecoveryLatency"   // from the interrupted task's end to the next task, ms
	metricUnpublished   = "EventsUnpublished" // failures to publish, see untoldTries
	metricUnknown       = "UnknownJobs"       // task events that name a job which is not in the table
	metricDueLag        = "DueLag"            // how late the sweep found the latest job, s
)

// untoldTries is from which failure in a row on a job's event counts as unpublished: minutes after the first. What fails once
// and then does not is no news.
const untoldTries = 5

// namespace of the metrics; their one dimension is Runner.
const namespace = "Spotbatch"

// Meter is an engine.Meter that writes one line of CloudWatch's embedded metric format for each invocation.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type Meter struct {
	runner string
	out    io.Writer

	mu        sync.Mutex
	counts    map[string]int
	latencies map[string][]float64
	lag       time.Duration
	late      bool // a sweep has told how late it was
}

// newMeter makes a Meter for a runner that writes to out, which in Lambda is the function's log.
func newMeter(runner string, out io.Writer) *Meter {
	m := &Meter{runner: runner, out: out}
	m.reset()
	return m
}

func (m *Meter) reset() {
	m.counts, m.latencies, m.lag, m.late = map[string]int{}, map[string][]float64{}, 0, false
}

// Rejected counts a request that was refused.
func (m *Meter) Rejected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[metricRejected]++
}

// Unknown counts a task event whose job is not in the table.
func (m *Meter) Unknown() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[metricUnknown]++
}

// Late takes note of a job that the sweep found due.
func (m *Meter) Late(by time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lag, m.late = max(m.lag, by), true
}

// Saved counts what a save records, by comparing it with the one before.
func (m *Meter) Saved(before, after *jobs.Job, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if before == nil {
		before = &jobs.Job{}
		if after.Cause != jobs.CauseRequestRejected {
			m.counts[metricAccepted]++
		}
	}
	if after.Ended() && !before.Ended() {
		m.count(metricEnded, string(after.Status)+"."+string(after.Cause))
	}
	if tries := after.Internal.NewsFailed; tries >= untoldTries && tries > before.Internal.NewsFailed {
		m.counts[metricUnpublished]++
	}
	interrupted := jobs.CauseSpotInterruption.Is
	m.counts[metricInterruptions] += after.Count(interrupted) - before.Count(interrupted)
	m.attempt(before.Last(), after)
	m.started(before, after, at)
}

// attempt counts what became of the attempt that was the newest; the same save may have begun the next one.
func (m *Meter) attempt(was *jobs.Attempt, after *jobs.Job) {
	if was == nil {
		return
	}
	next := after.Last()
	if was.Number != next.Number && was.CapacityProvider == jobs.FargateSpot && next.CapacityProvider == jobs.FargateOnDemand {
		m.counts[metricFallbacks]++
	}
	i := slices.IndexFunc(after.Attempts, func(a jobs.Attempt) bool { return a.Number == was.Number })
	if i < 0 {
		return
	}
	is := &after.Attempts[i]
	refused := !was.Internal.LaunchedAt.IsZero() && is.Internal.LaunchedAt.IsZero()
	stopped := was.Status != jobs.AttemptStopped && is.Status == jobs.AttemptStopped
	if (refused || stopped) && is.Cause.Refusal() {
		m.count(metricRefused, string(is.Cause))
	}
}

// started counts a task that the save names for the first time.
func (m *Meter) started(before, after *jobs.Job, at time.Time) {
	is, was := after.Last(), before.Last()
	if is == nil || is.TaskARN == "" || was != nil && was.TaskARN == is.TaskARN {
		return
	}
	m.count(metricStarted, string(is.CapacityProvider))
	n := len(after.Attempts)
	switch {
	case n == 1:
		m.latency(metricLaunch, at.Sub(after.CreatedAt.Time))
	case after.Attempts[n-2].Cause == jobs.CauseSpotInterruption:
		m.latency(metricRecovery, at.Sub(after.Attempts[n-2].StoppedAt.Time))
	}
}

func (m *Meter) count(name, detail string) {
	m.counts[name]++
	m.counts[name+"."+detail]++
}

// valuesMax is how many values CloudWatch takes of one metric in one line.
const valuesMax = 100

func (m *Meter) latency(name string, d time.Duration) {
	if len(m.latencies[name]) < valuesMax {
		m.latencies[name] = append(m.latencies[name], float64(max(d, 0).Milliseconds()))
	}
}

// metric is a metric's definition in the embedded format.
type metric struct {
	Name string
	Unit string
}

// Flush writes the line of an invocation, if anything happened in it.
func (m *Meter) Flush(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.reset()
	line := map[string]any{"Runner": m.runner}
	var metrics []metric
	for name, n := range m.counts {
		if n != 0 {
			line[name] = n
			metrics = append(metrics, metric{name, "Count"})
		}
	}
	for name, values := range m.latencies {
		line[name] = values
		metrics = append(metrics, metric{name, "Milliseconds"})
	}
	if m.late {
		line[metricDueLag] = m.lag.Seconds()
		metrics = append(metrics, metric{metricDueLag, "Seconds"})
	}
	if len(metrics) == 0 {
		return nil
	}
	slices.SortFunc(metrics, func(a, b metric) int { return strings.Compare(a.Name, b.Name) })
	line["_aws"] = map[string]any{
		"Timestamp": now.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{
			"Namespace": namespace, "Dimensions": [][]string{{"Runner"}}, "Metrics": metrics,
		}},
	}
	return json.NewEncoder(m.out).Encode(line)
}
