// Package dynamo is the jobs.Store on AWS: one DynamoDB table, one item a job.
//
// It is responsible for keeping job documents whole and small, for saving a job only over the version that was read, and for
// listing and finding due jobs by index, at a cost that grows with what is looked for. It refuses to know what a job means:
// it copies out of the document the few values that it searches by, and never changes one. It reads no clock; the time is
// handed in. Expired items are deleted by DynamoDB itself (TTL).
// It imports pkg/jobs and the DynamoDB SDK, alone of all packages, and is called through jobs.Store: by internal/engine, and to
// read by the command line and internal/doctor.
//
// The invariant it keeps: of all saves over one version of a job exactly one succeeds, and each is one request. An index
// is written only when a due time moves or a job comes or goes.
package dynamo
