package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests must not depend on the machine's

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spotbatch/spotbatch/internal/local/schedule"
)

// moment reads a time; it panics on a mistake in a test.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// next returns the next n times of a schedule, in RFC 3339; fewer if it ends.
func next(s schedule.Schedule, after time.Time, n int) []string {
	var times []string
	for range n {
		due, ok := s.Next(after)
		if !ok {
			break
		}
		times = append(times, due.Format(time.RFC3339))
		after = due
	}
	return times
}

func TestNext(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		expression, zone, after string
		want                    []string
	}{
		"a rate counts from 1970": {
			"rate(5 minutes)", "", "2026-01-15T10:02:30Z", []string{"2026-01-15T10:05:00Z", "2026-01-15T10:10:00Z"},
		},
		"one hour in the singular":         {"rate(1 hour)", "", "2026-01-15T10:00:00Z", []string{"2026-01-15T11:00:00Z"}},
		"one hour in the plural":           {"rate(1 hours)", "", "2026-01-15T10:00:00Z", []string{"2026-01-15T11:00:00Z"}},
		"a rate before 1970":               {"rate(1 day)", "", "1969-12-30T10:00:00Z", []string{"1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z"}},
		"a day of a rate is 24 hours long": {"rate(1 day)", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"}},

		"one time, in UTC":                {"at(2026-11-22T10:00:00)", "", "2026-01-01T00:00:00Z", []string{"2026-11-22T10:00:00Z"}},
		"one time, in its zone":           {"at(2026-11-22T10:00:00)", "Europe/Berlin", "2026-01-01T00:00:00Z", []string{"2026-11-22T09:00:00Z"}},
		"one time that is over":           {"at(2026-11-22T10:00:00)", "", "2026-11-22T10:00:00Z", nil},
		"one time that comes twice":       {"at(2026-11-01T01:30:00)", "America/New_York", "2026-01-01T00:00:00Z", []string{"2026-11-01T05:30:00Z"}},
		"one time that comes twice, east": {"at(2026-10-25T02:30:00)", "Europe/Berlin", "2026-01-01T00:00:00Z", []string{"2026-10-25T00:30:00Z"}},

		"weekdays at ten": {
			"cron(0 10 ? * MON-FRI *)", "", "2026-01-15T10:00:00Z", []string{"2026-01-16T10:00:00Z", "2026-01-19T10:00:00Z"},
		},
		"days of the week count from Sunday": {"cron(0 10 ? * 1,7 *)", "", "2026-01-15T10:00:00Z", []string{"2026-01-17T10:00:00Z", "2026-01-18T10:00:00Z"}},
		"names in lower case":                {"cron(0 10 ? jan mon *)", "", "2026-01-15T10:00:00Z", []string{"2026-01-19T10:00:00Z"}},
		"increments": {
			"cron(10/20 0-12/6 * * ? *)", "", "2026-01-15T06:15:00Z",
			[]string{"2026-01-15T06:30:00Z", "2026-01-15T06:50:00Z", "2026-01-15T12:10:00Z"},
		},
		"increments of everything": {"cron(*/30 * * * ? *)", "", "2026-01-15T23:40:00Z", []string{"2026-01-16T00:00:00Z", "2026-01-16T00:30:00Z"}},
		"seconds are cut":          {"cron(* * * * ? *)", "", "2026-01-15T23:59:59Z", []string{"2026-01-16T00:00:00Z"}},
		"the last day of the month": {
			"cron(0 10 L * ? *)", "", "2026-01-31T12:00:00Z", []string{"2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"},
		},
		"the 31st exists in some months": {"cron(0 10 31 * ? *)", "", "2026-01-31T12:00:00Z", []string{"2026-03-31T10:00:00Z", "2026-05-31T10:00:00Z"}},
		"February 29":                    {"cron(0 0 29 2 ? *)", "", "2026-01-15T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"a weekday is closest to itself": {"cron(0 10 15W * ? *)", "", "2026-01-01T00:00:00Z", []string{"2026-01-15T10:00:00Z"}},
		"before a Saturday":              {"cron(0 10 15W 8 ? *)", "", "2026-01-01T00:00:00Z", []string{"2026-08-14T10:00:00Z"}},
		"after a Sunday":                 {"cron(0 10 15W 3 ? *)", "", "2026-01-01T00:00:00Z", []string{"2026-03-16T10:00:00Z"}},
		"not back into the month before": {"cron(0 10 1W 8 ? *)", "", "2026-01-01T00:00:00Z", []string{"2026-08-03T10:00:00Z"}},
		"not on into the month after":    {"cron(0 10 31W 5 ? *)", "", "2026-01-01T00:00:00Z", []string{"2026-05-29T10:00:00Z"}},
		"closest to a day that there is": {"cron(0 10 31W * ? *)", "", "2026-02-01T00:00:00Z", []string{"2026-03-31T10:00:00Z", "2026-05-29T10:00:00Z"}},
		"the last Friday": {
			"cron(15 10 ? * 6L 2026-2027)", "", "2026-01-01T00:00:00Z", []string{"2026-01-30T10:15:00Z", "2026-02-27T10:15:00Z"},
		},
		"the last Friday by name":      {"cron(15 10 ? * FRIL *)", "", "2026-01-01T00:00:00Z", []string{"2026-01-30T10:15:00Z"}},
		"the last day of every week":   {"cron(0 0 ? * L *)", "", "2026-01-15T00:00:00Z", []string{"2026-01-17T00:00:00Z", "2026-01-24T00:00:00Z"}},
		"the second Tuesday":           {"cron(0 10 ? * 3#2 *)", "", "2026-01-15T00:00:00Z", []string{"2026-02-10T10:00:00Z", "2026-03-10T10:00:00Z"}},
		"the second Tuesday by name":   {"cron(0 10 ? * TUE#2 *)", "", "2026-01-15T00:00:00Z", []string{"2026-02-10T10:00:00Z"}},
		"a fifth Sunday, if there is":  {"cron(0 10 ? * 1#5 *)", "", "2026-01-01T00:00:00Z", []string{"2026-03-29T10:00:00Z", "2026-05-31T10:00:00Z"}},
		"years to come":                {"cron(0 0 1 1 ? 2199)", "", "2026-01-01T00:00:00Z", []string{"2199-01-01T00:00:00Z"}},
		"years that are over":          {"cron(0 0 1 1 ? 1970-2025)", "", "2026-01-01T00:00:00Z", nil},
		"years in steps":               {"cron(0 0 1 1 ? 2025/5)", "", "2026-01-01T00:00:00Z", []string{"2030-01-01T00:00:00Z", "2035-01-01T00:00:00Z"}},
		"the zone says what a day is":  {"cron(30 0 ? * MON *)", "Asia/Tokyo", "2026-01-15T00:00:00Z", []string{"2026-01-18T15:30:00Z"}},
		"a zone off by three quarters": {"cron(0 10 * * ? *)", "Asia/Kathmandu", "2026-01-15T00:00:00Z", []string{"2026-01-15T04:15:00Z"}},

		"the hour stays the same when daylight saving begins": {
			"cron(0 10 * * ? *)", "America/New_York", "2026-03-07T00:00:00Z",
			[]string{"2026-03-07T15:00:00Z", "2026-03-08T14:00:00Z", "2026-03-09T14:00:00Z"},
		},
		"a time that does not exist is left out": {
			"cron(30 2 * * ? *)", "America/New_York", "2026-03-07T08:00:00Z", []string{"2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z"},
		},
		"a time that comes twice fires once": {
			"cron(30 1 * * ? *)", "America/New_York", "2026-10-31T12:00:00Z", []string{"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"},
		},
		"a time that comes twice is over after the first": {
			"cron(30 1 * * ? *)", "America/New_York", "2026-11-01T05:45:00Z", []string{"2026-11-02T06:30:00Z"},
		},
		"the hour that is left out of every half hour": {
			"cron(0/30 * * * ? *)", "Europe/Berlin", "2026-03-29T00:15:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z"},
		},
		"the hour that comes twice of every half hour": {
			"cron(0/30 * * * ? *)", "Europe/Berlin", "2026-10-25T00:15:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"},
		},
		"a change of half an hour": {
			"cron(45 1 * * ? *)", "Australia/Lord_Howe", "2026-04-03T15:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"},
		},
		"a day that the calendar leaves out": {
			"cron(0 10 * * ? *)", "Pacific/Apia", "2011-12-29T00:00:00Z", []string{"2011-12-29T20:00:00Z", "2011-12-30T20:00:00Z"},
		},
		"midnight that does not exist": {
			"cron(0 0 * * ? *)", "Africa/Cairo", "2026-04-22T12:00:00Z", []string{"2026-04-22T22:00:00Z", "2026-04-24T21:00:00Z"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Parse(c.expression, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, next(s, moment(c.after), max(len(c.want), 1))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"":                                 "must be rate(...), cron(...) or at(...)",
		"every day":                        "must be rate(...), cron(...) or at(...)",
		"rate(5 minutes":                   "must be rate(...), cron(...) or at(...)",
		" rate(5 minutes)":                 "must be rate(...), cron(...) or at(...)",
		"rate(" + strings.Repeat("1", 300): "longer than 256 characters",
		"rate(0 minutes)":                  "a number from 1 to 999999",
		"rate(5 seconds)":                  "a number from 1 to 999999",
		"rate(1.5 hours)":                  "a number from 1 to 999999",
		"rate(9999999 days)":               "a number from 1 to 999999",
		"at(2026-11-22)":                   "must be a time such as",
		"at(2026-11-22T10:00:00Z)":         "must be a time such as",
		"at(2026-02-30T10:00:00)":          "must be a time such as",
		"at(2026-11-22T10:00:00.5)":        "does not exist in",
		"at(2026-03-29T02:30:00)":          "does not exist in Europe/Berlin",
		"cron(0 10 * * ?)":                 "must have six fields",
		"cron(0 0 10 * * ? *)":             "must have six fields",
		"cron(0 10 * * * *)":               "exactly one of day-of-month and day-of-week must be ?",
		"cron(0 10 ? * ? *)":               "exactly one of day-of-month and day-of-week must be ?",
		"cron(60 10 * * ? *)":              `minutes "60"`,
		"cron(? 10 * * ? *)":               `minutes "?"`,
		"cron(-1 10 * * ? *)":              `minutes "-1"`,
		"cron(+1 10 * * ? *)":              `minutes "+1"`,
		"cron(0/0 10 * * ? *)":             `minutes "0/0"`,
		"cron(0/60 10 * * ? *)":            `minutes "0/60"`,
		"cron(1, 10 * * ? *)":              `minutes "1,"`,
		"cron(5-1 10 * * ? *)":             `minutes "5-1"`,
		"cron(0 24 * * ? *)":               `hours "24"`,
		"cron(0 10 0 * ? *)":               `day-of-month "0"`,
		"cron(0 10 32 * ? *)":              `day-of-month "32"`,
		"cron(0 10 32W * ? *)":             `day-of-month "32W"`,
		"cron(0 10 L-3 * ? *)":             `day-of-month "L-3"`,
		"cron(0 10 1,L * ? *)":             `day-of-month "1,L"`,
		"cron(0 10 * 13 ? *)":              `month "13"`,
		"cron(0 10 * FOO ? *)":             `month "FOO"`,
		"cron(0 10 ? * 0 *)":               `day-of-week "0"`,
		"cron(0 10 ? * 8 *)":               `day-of-week "8"`,
		"cron(0 10 ? * FRI-MON *)":         `day-of-week "FRI-MON"`,
		"cron(0 10 ? * 3#6 *)":             `day-of-week "3#6"`,
		"cron(0 10 ? * FOOL *)":            `day-of-week "FOOL"`,
		"cron(0 10 ? * 3#1,6#3 *)":         `day-of-week "3#1,6#3"`,
		"cron(0 10 * * ? 1969)":            `year "1969"`,
		"cron(0 10 * * ? 2200)":            `year "2200"`,
		"cron(0 10 30 2 ? *)":              "never comes",
		"cron(0 10 29 2 ? 2026-2027)":      "never comes",
	} {
		if _, err := schedule.Parse(expression, "Europe/Berlin"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", expression, err, want)
		}
	}
	for _, zone := range []string{"Local", "Europe/Nowhere", "../etc/passwd", "+01:00"} {
		if _, err := schedule.Parse("rate(1 day)", zone); err == nil || !strings.Contains(err.Error(), "must be an IANA name") {
			t.Errorf("%s: got error %v", zone, err)
		}
	}
}

// TestNextIsAlwaysLaterAndMissesNothing compares every step of a schedule with the schedule asked from any moment between.
func TestNextIsAlwaysLaterAndMissesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		expression := rapid.SampledFrom([]string{
			"cron(0/20 * * * ? *)", "cron(30 1,2,3 * * ? *)", "cron(0 0 L * ? *)", "cron(5 4 ? * SUN#2 *)", "cron(0 12 1W * ? *)", "rate(7 minutes)",
		}).Draw(t, "expression")
		zone := rapid.SampledFrom([]string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo"}).Draw(t, "zone")
		s, err := schedule.Parse(expression, zone)
		if err != nil {
			t.Fatal(err)
		}
		// A day before to a day after one of the changes of 2026.
		change := rapid.SampledFrom([]string{"2026-03-08", "2026-03-29", "2026-04-04", "2026-04-24", "2026-10-25", "2026-10-30", "2026-11-01"}).Draw(t, "day")
		after := moment(change + "T00:00:00Z").Add(time.Duration(rapid.IntRange(-86400, 2*86400).Draw(t, "seconds")) * time.Second)
		due, ok := s.Next(after)
		if !ok || !due.After(after) {
			t.Fatalf("after %v: %v, %v", after, due, ok)
		}
		between := after.Add(time.Duration(rapid.Int64Range(0, int64(due.Sub(after))-1).Draw(t, "between")))
		if again, _ := s.Next(between); !again.Equal(due) {
			t.Fatalf("after %v: %v, after %v: %v", after, due, between, again)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"rate(5 minutes)", "at(2026-11-22T10:00:00)", "cron(0 10 ? * MON-FRI *)", "cron(0/15 0-6 L 1,JUL ? 2026/2)", "cron(0 0 15W * ? *)",
		"cron(0 0 ? * 6L *)", "cron(0 0 ? * TUE#2 *)", "cron(0 0 30 2 ? *)", "cron(,-*/?LW# * * * * *)",
	} {
		f.Add(seed, "")
		f.Add(seed, "America/New_York")
	}
	f.Fuzz(func(t *testing.T, expression, zone string) {
		s, err := schedule.Parse(expression, zone)
		if err != nil {
			return
		}
		after := moment("2026-03-08T00:00:00Z")
		for range 3 {
			due, ok := s.Next(after)
			if !ok {
				return
			}
			if !due.After(after) || due.Location() != time.UTC || due.Nanosecond() != 0 {
				t.Fatalf("%s in %s: %v after %v", expression, zone, due, after)
			}
			after = due
		}
	})
}
