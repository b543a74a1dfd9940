package fargate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// The faults that can be injected.
const (
	faultNoCapacity         = "no-capacity"
	faultNoCapacityOnDemand = "no-capacity-on-demand"
	faultInterrupt          = "interrupt"
	faultStartFailure       = "start-failure"
	faultQuota              = "quota"
	faultThrottle           = "throttle"
	faultLostAnswer         = "lost-answer"
	faultLostEvent          = "lost-event"
	faultDuplicateEvent     = "duplicate-event"
	faultLateEvent          = "late-event"
)

// faultForms says of each fault whether it takes a delay (@30s).
var faultForms = []struct {
	name  string
	delay bool
}{
	{faultNoCapacity, false},
	{faultNoCapacityOnDemand, false},
	{faultInterrupt, true},
	{faultStartFailure, false},
	{faultQuota, false},
	{faultThrottle, false},
	{faultLostAnswer, false},
	{faultLostEvent, false},
	{faultDuplicateEvent, false},
	{faultLateEvent, true},
}

// Fault is something that goes wrong on purpose.
type Fault struct {
	Name  string
	Delay time.Duration // interrupt: after the start; late-event: how late. Real time, whatever the time scale
	Count int           // the first so many times; 0 = always. quota: the limit
}

// FaultForms lists the faults as ParseFaults takes them, without their counts.
func FaultForms() []string {
	forms := make([]string, 0, len(faultForms))
	for _, form := range faultForms {
		switch {
		case form.delay:
			forms = append(forms, form.name+"@TIME")
		case form.name == faultQuota:
			forms = append(forms, form.name+":LIMIT")
		default:
			forms = append(forms, form.name)
		}
	}
	return forms
}

// ParseFaults reads a list as --inject takes it, "no-capacity:2,interrupt@30s:1". The error names every problem.
func ParseFaults(list string) ([]Fault, error) {
	var faults []Fault
	var problems []error
	for text := range strings.SplitSeq(list, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		fault, err := parseFault(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("fault %q: %w", text, err))
			continue
		}
		faults = append(faults, fault)
	}
	return faults, errors.Join(problems...)
}

func parseFault(text string) (fault Fault, err error) {
	text, count, counted := strings.Cut(text, ":")
	name, delay, delayed := strings.Cut(text, "@")
	fault.Name = name
	takesDelay, known := false, false
	names := make([]string, 0, len(faultForms))
	for _, form := range faultForms {
		names = append(names, form.name)
		if form.name == name {
			takesDelay, known = form.delay, true
		}
	}
	var problems []error
	switch {
	case !known:
		return fault, fmt.Errorf("there is no such fault; there are %s", strings.Join(names, ", "))
	case takesDelay && !delayed:
		problems = append(problems, fmt.Errorf("say when, as in %s@30s", name))
	case !takesDelay && delayed:
		problems = append(problems, fmt.Errorf("%s takes no time", name))
	case takesDelay:
		if fault.Delay, err = time.ParseDuration(delay); err != nil || fault.Delay < 0 {
			problems = append(problems, fmt.Errorf("%q is not a time such as 30s", delay))
		}
	}
	if counted {
		if fault.Count, err = strconv.Atoi(count); err != nil || fault.Count < 1 {
			problems = append(problems, fmt.Errorf("%q is not a count of 1 or more", count))
		}
	} else if name == faultQuota {
		problems = append(problems, errors.New("say the limit, as in quota:4"))
	}
	return fault, errors.Join(problems...)
}

// SetFaults replaces the faults that are injected, in whatever process a call is made.
func (c *Cluster) SetFaults(ctx context.Context, faults []Fault) error {
	err := c.db.Update(ctx, func(tx *sqlitedb.Tx) error {
		if _, err := tx.Exec(`DELETE FROM fargate_faults`); err != nil {
			return err
		}
		for i, fault := range faults {
			remaining := sql.NullInt64{Int64: int64(fault.Count), Valid: fault.Count > 0}
			_, err := tx.Exec(`INSERT INTO fargate_faults (position, name, delay, remaining) VALUES (?, ?, ?, ?)`,
				i, fault.Name, fault.Delay.Milliseconds(), remaining)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store faults: %w", err)
	}
	return nil
}

// faultSet is the faults within one transaction.
type faultSet struct{ faults []*storedFault }

type storedFault struct {
	Fault
	position int
	always   bool
	used     bool
}

func loadFaults(tx *sqlitedb.Tx) (*faultSet, error) {
	rows, err := tx.Query(`SELECT position, name, delay, remaining FROM fargate_faults ORDER BY position`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	set := &faultSet{}
	for rows.Next() {
		fault := &storedFault{}
		var delay int64
		var remaining sql.NullInt64
		if err := rows.Scan(&fault.position, &fault.Name, &delay, &remaining); err != nil {
			return nil, err
		}
		fault.Delay = time.Duration(delay) * time.Millisecond
		fault.Count, fault.always = int(remaining.Int64), !remaining.Valid
		set.faults = append(set.faults, fault)
	}
	return set, rows.Err()
}

// find returns the first fault of that name that has not been used up, or nil.
func (s *faultSet) find(name string) *storedFault {
	for _, fault := range s.faults {
		if fault.Name == name && (fault.always || fault.Count > 0) {
			return fault
		}
	}
	return nil
}

// take uses the fault once, if there is one left. The count is kept by store.
func (s *faultSet) take(name string) (Fault, bool) {
	fault := s.find(name)
	if fault == nil {
		return Fault{}, false
	}
	if !fault.always {
		fault.Count--
		fault.used = true
	}
	return fault.Fault, true
}

func (s *faultSet) store(tx *sqlitedb.Tx) error {
	for _, fault := range s.faults {
		if !fault.used {
			continue
		}
		if _, err := tx.Exec(`UPDATE fargate_faults SET remaining = ? WHERE position = ?`, fault.Count, fault.position); err != nil {
			return err
		}
	}
	return nil
}
