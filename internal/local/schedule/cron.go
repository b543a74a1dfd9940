package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The years that an expression can name.
const yearMin, yearMax = 1970, 2199

// field is one field of an expression: its range and, where it has them, the names of its values from low up.
type field struct {
	name      string
	low, high int
	names     []string
}

// fields in the order of an expression. It is Quartz's syntax without seconds, but Go's Quartz library differs in daylight
// saving, in days that a month does not have, and in "L" as a day of the week.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
var fields = [...]field{
	{name: "minutes", low: 0, high: 59},
	{name: "hours", low: 0, high: 23},
	{name: "day-of-month", low: 1, high: 31},
	{name: "month", low: 1, high: 12, names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
	{name: "day-of-week", low: 1, high: 7, names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}},
	{name: "year", low: yearMin, high: yearMax},
}

// cron is an expression, read.
type cron struct {
	minutes, hours, months, years []int // ascending
	onDay                         dayRule
	zone                          *time.Location
}

func parseCron(text string, zone *time.Location) (Schedule, error) {
	parts := strings.Fields(strings.ToUpper(text))
	if len(parts) != len(fields) {
		return nil, fmt.Errorf("cron(%s): must have six fields: minutes hours day-of-month month day-of-week year", text)
	}
	c := cron{zone: zone}
	for i, values := range map[int]*[]int{0: &c.minutes, 1: &c.hours, 3: &c.months, 5: &c.years} {
		var err error
		if *values, err = fields[i].list(parts[i]); err != nil {
			return nil, fmt.Errorf("cron(%s): %w", text, err)
		}
	}
	var err error
	switch ofMonth, ofWeek := parts[2], parts[4]; {
	case (ofMonth == "?") == (ofWeek == "?"):
		err = errors.New("exactly one of day-of-month and day-of-week must be ?")
	case ofWeek == "?":
		c.onDay, err = parseDayOfMonth(ofMonth)
	default:
		c.onDay, err = parseDayOfWeek(ofWeek)
	}
	if err != nil {
		return nil, fmt.Errorf("cron(%s): %w", text, err)
	}
	if _, ever := c.Next(time.Time{}); !ever {
		return nil, fmt.Errorf("cron(%s): never comes", text)
	}
	return c, nil
}

// list reads comma-separated values, ranges and increments. Ranges that wrap, such as SAT-SUN, are not documented.
func (f field) list(text string) ([]int, error) {
	var values []int
	for part := range strings.SplitSeq(text, ",") {
		low, high, step, ok := f.span(part)
		if !ok {
			return nil, fmt.Errorf("%s %q: must be values from %d to %d, ranges a-b and increments a/n, separated by commas",
				f.name, text, f.low, f.high)
		}
		for v := low; v <= high; v += step {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}

// span reads one part of a list: *, a, a-b, each with /n or without.
func (f field) span(part string) (low, high, step int, ok bool) {
	rest, increment, stepped := strings.Cut(part, "/")
	step = 1
	if stepped {
		if step, ok = number(increment); !ok || step < 1 || step > f.high {
			return 0, 0, 0, false
		}
	}
	if rest == "*" {
		return f.low, f.high, step, true
	}
	first, last, ranged := strings.Cut(rest, "-")
	if low, ok = f.value(first); !ok {
		return 0, 0, 0, false
	}
	switch {
	case ranged:
		high, ok = f.value(last)
	case stepped:
		high = f.high
	default:
		high = low
	}
	return low, high, step, ok && low <= high
}

// value reads one value, a number or a name.
func (f field) value(text string) (int, bool) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.low + i, true
	}
	n, ok := number(text)
	return n, ok && n >= f.low && n <= f.high
}

// number reads up to four digits and nothing else, which strconv alone would not ensure.
func number(text string) (int, bool) {
	if text == "" || len(text) > 4 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// dayRule reports whether a day, given as its midnight in UTC, is meant. last is the number of the month's last day.
type dayRule func(day time.Time, last int) bool

var (
	nearestPattern = regexp.MustCompile(`^([0-9]{1,2})W$`)
	lastPattern    = regexp.MustCompile(`^([1-7]|[A-Z]{3})L$`)
	nthPattern     = regexp.MustCompile(`^([1-7]|[A-Z]{3})#([1-5])$`)
)

// parseDayOfMonth reads a list, L (the last day) or nW (the weekday closest to the nth). L and W stand alone, as in Quartz.
func parseDayOfMonth(text string) (dayRule, error) {
	f := fields[2]
	if text == "L" {
		return func(day time.Time, last int) bool { return day.Day() == last }, nil
	}
	if m := nearestPattern.FindStringSubmatch(text); m != nil {
		if n, ok := f.value(m[1]); ok {
			return func(day time.Time, last int) bool { return n <= last && day.Day() == nearestWeekday(day, n, last) }, nil
		}
	}
	days, err := f.list(text)
	return func(day time.Time, _ int) bool { return slices.Contains(days, day.Day()) }, err
}

// nearestWeekday returns the weekday of day's month that is closest to the nth, without leaving the month.
func nearestWeekday(day time.Time, n, last int) int {
	switch day.AddDate(0, 0, n-day.Day()).Weekday() {
	case time.Saturday:
		if n == 1 {
			return n + 2
		}
		return n - 1
	case time.Sunday:
		if n == last {
			return n - 2
		}
		return n + 1
	default:
		return n
	}
}

// parseDayOfWeek reads a list, L (the last day of the week, Saturday), nL (the month's last such day) or n#k (its kth).
func parseDayOfWeek(text string) (dayRule, error) {
	f := fields[4]
	if text == "L" {
		text = "SAT"
	}
	if m := lastPattern.FindStringSubmatch(text); m != nil {
		if weekday, ok := f.value(m[1]); ok {
			return func(day time.Time, last int) bool { return weekdayOf(day) == weekday && day.Day()+7 > last }, nil
		}
	}
	if m := nthPattern.FindStringSubmatch(text); m != nil {
		k := int(m[2][0] - '0')
		if weekday, ok := f.value(m[1]); ok {
			return func(day time.Time, _ int) bool { return weekdayOf(day) == weekday && (day.Day()+6)/7 == k }, nil
		}
	}
	days, err := f.list(text)
	return func(day time.Time, _ int) bool { return slices.Contains(days, weekdayOf(day)) }, err
}

// weekdayOf counts from 1 = SUN.
func weekdayOf(day time.Time) int { return int(day.Weekday()) + 1 }
