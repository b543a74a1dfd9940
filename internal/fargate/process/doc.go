// Package process runs the containers of a task as operating-system processes, for machines without a Docker engine.
//
// A process runs entryPoint + command in the directory where spotbatch was started, with the container's environment plus
// PATH and HOME; nothing else of the engine's own environment reaches it. It is a process group of its own: signals go to
// the whole group, and when the container's main process ends, whatever it left behind is killed.
//
// The processes are children of a supervisor: spotbatch re-executed in a session of its own, one for all the tasks of one
// engine. It outlives an engine that is killed at any moment, goes on watching its children, writes what it does into a
// journal, and ends with its last child. The next engine starts a supervisor of its own for new tasks and adopts the old
// ones through the older journals. A supervisor holds a lock on a file while it lives; that, and not a process id, is how
// the engine knows it alive.
//
// What it refuses: images, users, a read-only root, a working directory inside an image, and limits. A process has no
// memory limit; one that the kernel kills for memory is seen as exit code 137 and no more. The journal survives the
// death of any process but is not synced to disk: a machine that crashes takes its processes with it anyway, and what is
// unreadable afterwards counts as lost. An orderly shutdown signals every process, a supervisor too: a task that its signal
// ends has no exit code then, as after a power cut; what a program chose as its exit code meanwhile stands.
//
// internal/fargate calls it through fargate.Executor; main calls Supervise for the hidden command Verb.
//
// The invariant it keeps: a task is reported lost only when nothing of it runs any more, the exit of a started one is
// written down before the process is reaped, and so no signal goes to a process id that may be somebody else's. Without
// Linux's waitid and /proc it keeps less: sys_other.go says how much.
package process
