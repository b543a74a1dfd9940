// Package fargate is a stand-in for the part of ECS on Fargate that a job meets, on one machine: RunTask, StopTask,
// DescribeTasks, ListTasks, DescribeClusters, and RegisterTaskDefinition, DescribeTaskDefinition and DeregisterTaskDefinition
// with the SDK's own types or over HTTP in ECS's JSON protocol, the task life cycle with its state-change events, Spot
// reclaims, and faults injected by name.
//
// It refuses to know jobs: it imports nothing of pkg/jobs or internal/engine, and of pkg/spot only Fargate's table of
// sizes, exactly as ECS does not know them. Behind it an Executor runs the containers: Docker containers, operating-system
// processes, or a script in tests. Its state lives in tables of its own in the SQLite file of the machine's data
// directory, so that any process may call the API; the one process that calls Run executes.
//
// The invariant it keeps: what the API has answered is stored, a task is handed to the executor at most once, and every
// state change that an EventBridge rule would match is in the outbox until it is acknowledged.
//
// # How it works
//
// A task is a row, and its state moves only through the transitions in lifecycle.go, which do no I/O. A call of the API
// is one transaction. In the executing process one loop (run.go) gathers facts (a task has started, a container has exited,
// a timer has gone off, another process has stopped a task), applies all that have come since the last commit in one
// transaction, and then does what the tasks as they are now stored demand. What a task demands is derived from its row
// alone, so a crash at any point loses nothing: the next Run asks the executor what became of the tasks that were handed
// over (adopt.go), and carries on.
//
// # What it leaves out
//
// Of a task definition it honours entryPoint, command, environment, workingDirectory, user, essential, cpu, memory,
// stopTimeout, readonlyRootFilesystem and linuxParameters.initProcessEnabled, as far as the executor can. It accepts
// logConfiguration (the output goes to LogFile), roles, port mappings and ephemeral storage, which change nothing here. Of
// what would change what the task does, as volumes, dependsOn, secrets, health checks or restart policies, it warns
// once, when the revision is registered, and ignores it. What Fargate does not support it refuses. In RunTask it ignores
// networkConfiguration, roles, enableECSManagedTags and enableExecuteCommand, and refuses environmentFiles,
// volumeConfigurations and platform versions but the current one. Signatures are not checked.
// A capacity provider strategy has one item; a request with neither strategy nor launchType runs on FARGATE.
// There is one cluster, and no services, no tagging after the start, no eventual consistency, and no launch rate.
// The DEPROVISIONING of some 20 seconds that a real task goes through takes no time.
package fargate
