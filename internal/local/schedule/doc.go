// Package schedule is EventBridge Scheduler on one machine: schedule expressions with their time zones, and the file that
// says which requests they submit.
//
// It refuses to run anything and reads no clock: it tells when a schedule is due next and what its request is then; its
// caller waits and submits. It is called by internal/local. The time zone database is the caller's to bring (time/tzdata).
//
// The invariant it keeps: a firing is named by the schedule and its time alone, so that a machine which was killed and
// started again submits no firing twice.
package schedule
