// Package intake turns every envelope that a request or an event comes in into typed items: SQS batches, EventBridge
// events, EventBridge Scheduler's inputs, direct invocations. One place for all callers: the Lambda functions, the queue and
// the task events of one machine, the command line.
//
// It is strict where the form is ours and lenient where it is AWS's, which may grow. It refuses to judge what it carries:
// a request is read by jobs.ParseRequest, a task by pkg/spot, and whether a kind is welcome is its caller's to say. It reads
// no clock and does no I/O.
//
// The invariant it keeps: nothing is dropped silently. What is not ours is Ignored with a reason, what is malformed carries
// an error, and one bad item of a batch does not touch the others.
package intake
