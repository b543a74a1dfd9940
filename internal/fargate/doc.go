// Package fargate is a stand-in for the part of ECS on Fargate that a job meets, on one machine: RunTask, StopTask,
// DescribeTasks, ListTasks, RegisterTaskDefinition and DescribeTaskDefinition with the SDK's own types, the task life cycle
// with its state-change events, Spot reclaims, and faults injected by name.
//
// It refuses to know jobs: it imports nothing of pkg/jobs, pkg/spot or internal/engine, exactly as ECS does not know them.
// Behind it an Executor runs the containers: Docker containers, operating-system processes, or a script in tests.
// Its state lives in tables of its own in the SQLite file of the machine's data directory, so that any process may call
// the API; the one process that calls Run executes.
//
// The invariant it keeps: what the API has answered is stored, a task is handed to the executor at most once, and every
// state change that an EventBridge rule would match is in the outbox until it is acknowledged.
package fargate
