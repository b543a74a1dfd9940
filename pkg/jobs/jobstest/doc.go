// Package jobstest is the conformance suite that every jobs.Store passes.
//
// It is responsible for what the contract of jobs.Store promises to the engine, one file a topic, and for Full, a job with
// every field set. It refuses to test what a store adds of its own (its order of due jobs, its expiry, its files), and it
// reads no clock: the jobs of the suite live in a year in which none of them has expired yet.
// It imports pkg/jobs and go-cmp, and is called by the tests of pkg/jobs/sqlite and pkg/jobs/dynamo, and by those of
// internal/sim for its table.
//
// The invariant it keeps: it asks for nothing that an eventually consistent index cannot give. Get answers at once; what
// List and Due answer is asked for again for a short while.
package jobstest
