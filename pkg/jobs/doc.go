// Package jobs is the job: what was asked for (Request), what has happened to it so far (Job, Attempt), and the steps
// by which it may move on.
//
// It is responsible for the request document and its validation, the job document, causes and budgets, the named
// transitions of a job and of an attempt, and the contract of a Store. It refuses to know ECS, AWS or any other I/O:
// what a task event means and what to do next is decided in pkg/spot, and the calls are ordered in internal/engine.
// It imports the standard library alone and is imported by all that know jobs.
//
// The invariant it keeps: a job moves only through the transitions in state.go, an end is final, and a job that has not
// ended, or whose end is not yet published, has a due time (see Internal.DueAt).
package jobs
