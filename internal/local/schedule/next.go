package schedule

import (
	"slices"
	"time"
)

// Next walks days as the calendar of the zone has them, and returns the first moment that its clock shows one of the
// expression's times. As Scheduler does, it leaves out a time that does not exist when daylight saving begins, and fires
// once for a time that comes twice when it ends.
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
func (c cron) Next(after time.Time) (time.Time, bool) {
	year, month, day := after.In(c.zone).Date()
	if year < yearMin {
		year, month, day = yearMin, time.January, 1
	}
	today := midnight(year, month, day)
	for today.Year() <= yearMax {
		year, month, day = today.Date()
		switch {
		case !slices.Contains(c.years, year):
			today = midnight(year+1, time.January, 1)
		case !slices.Contains(c.months, int(month)):
			today = midnight(year, month+1, 1)
		default:
			if moment, ok := c.nextOn(today, after); ok {
				return moment.UTC(), true
			}
			today = midnight(year, month, day+1)
		}
	}
	return time.Time{}, false
}

// nextOn returns the first moment of one day that is after a moment.
func (c cron) nextOn(today, after time.Time) (time.Time, bool) {
	year, month, day := today.Date()
	if !c.onDay(today, midnight(year, month+1, 0).Day()) {
		return time.Time{}, false
	}
	for _, hour := range c.hours {
		for _, minute := range c.minutes {
			moment := time.Date(year, month, day, hour, minute, 0, 0, c.zone)
			if moment.Day() != day || moment.Hour() != hour || moment.Minute() != minute {
				continue // the zone's clock never shows it
			}
			if moment = earliest(moment); moment.After(after) {
				return moment, true
			}
		}
	}
	return time.Time{}, false
}

// midnight names a day of the calendar; days and months beyond their ends are carried over.
func midnight(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}
