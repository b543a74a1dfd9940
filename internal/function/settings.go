package function

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// Settings are what a deployment tells its functions, by environment variables that template.yaml sets.
type Settings struct {
	Runner            string
	Table             string
	Cluster           string
	Subnets           []string
	SecurityGroups    []string
	AssignPublicIP    bool
	PlatformVersion   string // "" = the latest
	ExecuteCommand    bool
	AllowedFamilies   []string // empty = all
	RejectedQueueURL  string
	EventsQueueURL    string
	JobsQueueURL      string // "" = watch has all wake-ups
	EventBus          string
	LaunchesPerSecond float64 // of one instance: RunTask calls of both capacity providers, and as many of StopTask; 0 = not paced
	Retention         time.Duration
}

// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AwsVpcConfiguration.html
const (
	subnetsMax        = 16
	securityGroupsMax = 5
)

const runnerMax = 32

var runnerForm = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// ReadSettings reads the settings from the environment; the error names every problem at once.
func ReadSettings(getenv func(string) string) (Settings, error) {
	r := settingsReader{getenv: getenv}
	s := Settings{
		Runner:            r.required("SPOTBATCH_RUNNER"),
		Table:             r.required("SPOTBATCH_TABLE"),
		Cluster:           r.required("SPOTBATCH_CLUSTER"),
		Subnets:           r.list("SPOTBATCH_SUBNETS", 1, subnetsMax),
		SecurityGroups:    r.list("SPOTBATCH_SECURITY_GROUPS", 0, securityGroupsMax),
		AssignPublicIP:    r.yes("SPOTBATCH_ASSIGN_PUBLIC_IP"),
		PlatformVersion:   getenv("SPOTBATCH_PLATFORM_VERSION"),
		ExecuteCommand:    r.yes("SPOTBATCH_EXECUTE_COMMAND"),
		AllowedFamilies:   r.list("SPOTBATCH_ALLOWED_FAMILIES", 0, 1000),
		RejectedQueueURL:  r.required("SPOTBATCH_REJECTED_QUEUE_URL"),
		EventsQueueURL:    r.required("SPOTBATCH_EVENTS_QUEUE_URL"),
		JobsQueueURL:      getenv("SPOTBATCH_JOBS_QUEUE_URL"),
		EventBus:          r.required("SPOTBATCH_EVENT_BUS"),
		LaunchesPerSecond: r.rate("SPOTBATCH_LAUNCHES_PER_SECOND"),
		Retention:         r.days("SPOTBATCH_RETENTION_DAYS", spot.AWSTimes().Retention),
	}
	if s.Runner != "" && (len(s.Runner) > runnerMax || !runnerForm.MatchString(s.Runner)) {
		r.problem("SPOTBATCH_RUNNER", "must be 1-32 of letters, digits, - and _")
	}
	return s, errors.Join(r.problems...)
}

// settingsReader reads variables and collects what is wrong with them.
type settingsReader struct {
	getenv   func(string) string
	problems []error
}

func (r *settingsReader) problem(name, format string, args ...any) {
	r.problems = append(r.problems, fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...)))
}

func (r *settingsReader) required(name string) string {
	value := r.getenv(name)
	if value == "" {
		r.problem(name, "is not set")
	}
	return value
}

// list reads a comma-separated list; spaces around the commas do not count.
func (r *settingsReader) list(name string, least, most int) []string {
	var list []string
	for item := range strings.SplitSeq(r.getenv(name), ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	if len(list) < least || len(list) > most {
		r.problem(name, "names %d; there must be %d to %d", len(list), least, most)
	}
	return list
}

func (r *settingsReader) yes(name string) bool {
	value := r.getenv(name)
	if value == "" {
		return false
	}
	yes, err := strconv.ParseBool(value)
	if err != nil {
		r.problem(name, "must be true or false")
	}
	return yes
}

func (r *settingsReader) rate(name string) float64 {
	value := r.getenv(name)
	if value == "" {
		return 0
	}
	rate, err := strconv.ParseFloat(value, 64)
	if err != nil || !(rate > 0 && rate <= 1000) {
		r.problem(name, "must be a number above 0, at most 1000")
	}
	return rate
}

func (r *settingsReader) days(name string, standard time.Duration) time.Duration {
	value := r.getenv(name)
	if value == "" {
		return standard
	}
	days, err := strconv.Atoi(value)
	if err != nil || days < 1 || days > 3650 {
		r.problem(name, "must be a number of days, 1 to 3650")
	}
	return time.Duration(days) * 24 * time.Hour
}
