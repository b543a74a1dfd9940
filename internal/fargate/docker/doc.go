// Package docker runs the containers of a task on a Docker engine.
//
// A container is named spotbatch-<task>-<container>, so that it is created once and found again by every later engine;
// labels say whose it is. It has the task definition's image, entry point, command, environment, user, working directory,
// read-only root and init process, its memory as a hard limit without swap, and the task's CPU as far as the machine has it.
// What it prints is copied from Docker's own log, from the beginning, less what the log file holds already: so nothing is
// lost or doubled, whoever died in between.
//
// What it refuses: registry credentials (an image of a private registry must be on the machine before), volumes, and the
// one network that the containers of a Fargate task share: each has its own. A signal goes to a container's first process,
// as ECS sends it, and not to its children; SIGKILL ends them all.
//
// internal/fargate calls it through fargate.Executor; Available tells main whether there is an engine at all.
//
// The invariant it keeps: a container is started only by the Start that created it, a task is reported lost only when its
// containers are removed, and no error quotes a value of the environment.
package docker
