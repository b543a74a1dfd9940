// Package sim is the seeded simulation of the whole system: the real engine, policy and state machine in a world of its own
// on a virtual clock. One seed is one world, the same to the byte on every run.
//
// It is responsible for the world (a store, ECS, queues, events, Lambda, clocks and users, all of which fail in the ways that
// AWS documents), for the invariants that are checked at every change of it, for the books that must balance once all faults
// have stopped, and for the mutations that show that each guard is needed. It refuses to know how the engine reaches its
// decisions: it judges by what the world has seen. It models ECS at engine.Launcher, so what pkg/spot/ecs reads from ECS's
// errors and conflicts is not its subject; and it does in a few lines what the functions' handlers do, which nobody can import.
// It imports internal/engine, internal/intake, internal/pace, pkg/spot and pkg/jobs; its tests and cmd/sim call it.
//
// The invariant it keeps: everything in a world happens in one order, which the seed decides. At every call of an invocation
// another one may go on, be killed, or find that the world has changed.
package sim
