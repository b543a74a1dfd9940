// Package spot is what Fargate Spot means for a job: what a task's state says, why a task ended, and what to do next
// (Spot again, on-demand, wait, give up).
//
// It is responsible for reading task events (task.go), telling the cause of an end (cause.go), applying what was observed to the
// job (observe.go), the next step as a pure function of the stored job and the time (next.go), what follows an end (policy.go), what
// one RunTask says and what its answer means (launch.go, answer.go), pinning a task definition (taskdef.go), and Fargate's sizes
// (size.go). It imports pkg/jobs alone. It refuses to call anything: RunTask and its kin are in pkg/spot/ecs, and only
// internal/engine orders calls and saves. It reads no clock and rolls no dice; both are handed in.
//
// The invariant it keeps: the next step is always derivable from the stored job alone, a bug never buys on-demand
// capacity, an interruption never uses up a retry, and everything has a limit.
package spot
