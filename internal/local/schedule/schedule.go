package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// expressionMax is the longest ScheduleExpression.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
const expressionMax = 256

// Schedule says when something is due.
type Schedule interface {
	// Next returns the first time after a moment, in UTC; false if there is none.
	Next(after time.Time) (time.Time, bool)
}

// Parse reads a schedule expression of EventBridge Scheduler: rate(5 minutes), cron(0 10 ? * MON-FRI *) or
// at(2026-11-22T10:00:00). The time zone is an IANA name; empty means UTC.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func Parse(expression, timezone string) (Schedule, error) {
	zone, err := parseZone(timezone)
	if err != nil {
		return nil, err
	}
	if len(expression) > expressionMax {
		return nil, fmt.Errorf("schedule expression: longer than %d characters", expressionMax)
	}
	for prefix, parse := range map[string]func(string, *time.Location) (Schedule, error){
		"rate(": parseRate, "cron(": parseCron, "at(": parseAt,
	} {
		if inner, ok := strings.CutPrefix(expression, prefix); ok {
			if inner, ok = strings.CutSuffix(inner, ")"); ok {
				return parse(inner, zone)
			}
		}
	}
	return nil, fmt.Errorf("schedule expression %q: must be rate(...), cron(...) or at(...)", expression)
}

func parseZone(name string) (*time.Location, error) {
	if name == "Local" { // Go's own name for the machine's zone, which Scheduler does not have
		return nil, errors.New(`time zone "Local": must be an IANA name such as Europe/Berlin`)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone %q: must be an IANA name such as Europe/Berlin", name)
	}
	return zone, nil
}

// rate is due at whole multiples of itself since 1970, in seconds. Scheduler counts from a schedule's start date; there is
// none here, and multiples stay the same when the machine is started again.
type rate int64

// ratePattern: Scheduler takes singular and plural alike.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
var ratePattern = regexp.MustCompile(`^([1-9][0-9]{0,5}) +(minute|hour|day)s?$`)

func parseRate(text string, _ *time.Location) (Schedule, error) {
	parts := ratePattern.FindStringSubmatch(text)
	if parts == nil {
		return nil, fmt.Errorf("rate(%s): must be a number from 1 to 999999 and minutes, hours or days", text)
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("rate(%s): %w", text, err)
	}
	return rate(n * map[string]int64{"minute": 60, "hour": 3600, "day": 86400}[parts[2]]), nil
}

// Next ignores time zones: Scheduler's day is 24 hours, whatever daylight saving makes of it.
func (r rate) Next(after time.Time) (time.Time, bool) {
	seconds, period := after.Unix(), int64(r)
	passed := (seconds%period + period) % period
	return time.Unix(seconds-passed+period, 0).UTC(), true
}

// at is due once.
type at struct{ time.Time }

const atLayout = "2006-01-02T15:04:05"

func parseAt(text string, zone *time.Location) (Schedule, error) {
	moment, err := time.ParseInLocation(atLayout, text, zone)
	if err != nil {
		return nil, fmt.Errorf("at(%s): must be a time such as 2026-11-22T10:00:00", text)
	}
	// What does not read back as it was written has fractions, or falls into the hour that daylight saving leaves out.
	if moment.Format(atLayout) != text {
		return nil, fmt.Errorf("at(%s): does not exist in %s", text, zone)
	}
	return at{earliest(moment).UTC()}, nil
}

func (a at) Next(after time.Time) (time.Time, bool) { return a.Time, a.After(after) }

// earliest returns the first of the two moments that a clock shows alike when daylight saving ends.
func earliest(moment time.Time) time.Time {
	start, _ := moment.ZoneBounds()
	if start.IsZero() {
		return moment
	}
	_, offset := moment.Zone()
	_, before := start.Add(-1).Zone()
	if earlier := moment.Add(time.Duration(offset-before) * time.Second); earlier.Before(start) {
		return earlier
	}
	return moment
}
