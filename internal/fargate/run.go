package fargate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

const (
	// pollEvery is how soon other processes' calls are noticed. It costs one PRAGMA.
	pollEvery = 100 * time.Millisecond
	// signalAgain is the pause before a container that did not die of SIGKILL is killed again.
	signalAgain = time.Second
	// handedAhead is how many tasks are handed over beyond those that run, so that a slot that falls free is filled at
	// once and not after the next commit.
	handedAhead = 32
	// outagePause is between two tries to read or write a database that fails.
	outagePause = time.Second
)

// Run executes the cluster's tasks until ctx ends, and leaves what runs then running. One process at a time may call it:
// who does holds the engine's lock. It takes over where an earlier Run was left, even by a SIGKILL. ctx's end is no error.
// A database that fails meanwhile (a full disk) is tried again until it works: nothing that became known is lost by it.
func (c *Cluster) Run(ctx context.Context, executor Executor) error {
	ctx, cancel := context.WithCancel(ctx)
	r := &runner{
		c:        c,
		executor: executor,
		ctx:      ctx,
		inbox:    inbox{wake: c.work},
		active:   map[string]*active{},
	}
	r.slots = slots{free: c.opts.MaxTasks, begin: func(a *active) { r.background.Go(func() { r.start(a) }) }}
	defer r.background.Wait()
	defer cancel()

	if err := r.adopt(); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("take over what ran: %w", err)
	}
	r.background.Go(r.receive)
	r.background.Go(r.poll)
	r.background.Go(func() { c.keepHouse(ctx) })
	return r.loop()
}

// runner is one Run. Its loop is the only writer of handed tasks, but for StopTask and Interrupt, which leave them marked
// for its attention.
type runner struct {
	c          *Cluster
	executor   Executor
	ctx        context.Context
	inbox      inbox
	slots      slots
	background sync.WaitGroup
	lookTimer  *time.Timer // for held events and launch delays; the loop's alone
	outage     bool        // the database failed when it was last used; the loop's alone

	mu     sync.Mutex
	active map[string]*active // handed tasks, by id
}

// active is a task that was handed over, as this process sees it.
type active struct {
	spec      TaskSpec
	essential map[string]bool

	// calls holds a token while the executor is called: from one goroutine at a time.
	calls chan struct{}
	// abandon ends a Start that is under way, for a task that is to stop.
	abandon context.CancelFunc
	ctx     context.Context

	// The loop's alone.
	timer   *time.Timer
	terming bool // SIGTERM is being, or was, sent

	// Guarded by runner.mu.
	startReturned bool
	running       map[string]bool // containers that have not exited
}

// input is a fact about a task, on its way into the table.
type input struct {
	taskID string
	apply  func(*task)
}

// loop stores what has become known, in batches that are as large as the last commit was slow, and acts on it.
func (r *runner) loop() error {
	defer r.stopTimers()
	for {
		select {
		case <-r.ctx.Done():
			// What is known already is stored; the rest is found by the next Run.
			inputs := r.inbox.take()
			if err := r.step(context.WithoutCancel(r.ctx), inputs, false); err != nil {
				return fmt.Errorf("store what became of the tasks: %w", err)
			}
			return nil
		case <-r.inbox.wake:
		}
		inputs := r.inbox.take()
		if err := r.step(r.ctx, inputs, true); err != nil {
			r.inbox.putBack(inputs)
			r.waitOut(err)
			rouse(r.inbox.wake)
		}
	}
}

// waitOut waits before the database that has failed is tried again, and tells of it once. It reports false when ctx has
// ended.
func (r *runner) waitOut(err error) bool {
	if r.ctx.Err() != nil {
		return false
	}
	if !r.outage {
		r.outage = true
		r.c.opts.Logger.Error("the state of the tasks cannot be read or written; it is tried until it can", "error", err)
	}
	select {
	case <-r.ctx.Done():
		return false
	case <-time.After(outagePause):
		return true
	}
}

// worked ends an outage.
func (r *runner) worked() {
	if r.outage {
		r.outage = false
		r.c.opts.Logger.Info("the state of the tasks can be read and written again")
	}
}

// batch is what one transaction comes to.
type batch struct {
	touched []*task
	handed  []*task
	grown   bool      // the outbox has
	again   time.Time // when to look at the table again; zero: when something happens
}

// step applies facts and other processes' calls, hands over further tasks, and then does what follows. After an error
// nothing has happened: it can be repeated with the same facts.
func (r *runner) step(ctx context.Context, inputs []input, handOver bool) error {
	room := 0
	if handOver {
		room = r.slots.room()
	}
	var b batch
	err := r.c.db.Update(ctx, func(tx *sqlitedb.Tx) (err error) {
		b, err = r.transact(tx, inputs, room)
		return err
	})
	if err != nil {
		return err
	}
	r.worked()
	if b.grown {
		rouse(r.c.outbox)
	}
	for _, t := range b.touched {
		r.follow(t)
	}
	r.take(b.handed)
	r.lookAgain(b.again)
	return nil
}

// transact is step's transaction.
func (r *runner) transact(tx *sqlitedb.Tx, inputs []input, room int) (b batch, err error) {
	now := r.c.opts.Now()
	faults, err := loadFaults(tx)
	if err != nil {
		return b, err
	}
	b.grown, b.again, err = releaseLate(tx, now)
	if err != nil {
		return b, err
	}
	if b.touched, err = applied(tx, inputs, now); err != nil {
		return b, err
	}
	for _, t := range b.touched {
		if t.began && t.spot() && t.DesiredStatus == statusRunning {
			if fault, ok := faults.take(faultInterrupt); ok {
				t.reclaimAt = t.StartedAt.Add(fault.Delay)
			}
		}
	}
	waiting, err := loadTasks(tx, `phase = 'waiting' ORDER BY seq LIMIT ?`, room)
	if err != nil {
		return b, err
	}
	for _, t := range waiting {
		if ready := t.CreatedAt.Add(r.c.opts.scaled(r.c.opts.LaunchDelay)); now.Before(ready) {
			b.again = sooner(b.again, ready)
			break // all others came later
		}
		t.phase, t.changed = phaseHanded, true
		if _, fails := faults.take(faultStartFailure); fails {
			t.failedToStart(now, reasonNoInterface, "")
			b.touched = append(b.touched, t)
		} else {
			b.handed = append(b.handed, t)
		}
	}
	for _, tasks := range [][]*task{b.touched, b.handed} {
		for _, t := range tasks {
			grown, err := t.save(tx, faults, now)
			if err != nil {
				return b, err
			}
			b.grown = b.grown || grown
		}
	}
	if faults.find(faultLateEvent) != nil && b.again.IsZero() {
		b.again = now.Add(pollEvery) // events may have been held just now
	}
	return b, faults.store(tx)
}

// applied loads the tasks that inputs or other processes' calls are about, each once, and applies the inputs in order.
func applied(tx *sqlitedb.Tx, inputs []input, now time.Time) ([]*task, error) {
	touched, err := loadTasks(tx, `attention = 1 ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	known := map[string]*task{}
	for _, t := range touched {
		t.attention, t.changed = false, true
		known[t.id] = t
	}
	for _, in := range inputs {
		t, ok := known[in.taskID]
		if !ok {
			if t, err = loadTask(tx, in.taskID, now); err != nil {
				return nil, err
			}
			known[in.taskID] = t
			if t != nil {
				touched = append(touched, t)
			}
		}
		if t != nil {
			in.apply(t)
		}
	}
	return touched, nil
}

// take puts tasks that have just been handed over in line for a slot. Where ctx ends first they are for the next Run.
func (r *runner) take(tasks []*task) {
	fresh := make([]*active, 0, len(tasks))
	for _, t := range tasks {
		d, err := r.definitionOf(t)
		for err != nil {
			if !r.waitOut(err) {
				return
			}
			d, err = r.definitionOf(t)
		}
		r.worked()
		a, err := r.activate(t, d)
		if err != nil {
			// It would fail for ever, and is no reason to keep the others waiting.
			at := r.c.opts.Now()
			r.inbox.add(input{t.id, func(t *task) { notStarted(t, at, err) }})
			continue
		}
		fresh = append(fresh, a)
	}
	r.slots.line(fresh...)
}

// definitionOf finds a task's definition; nil where there is none.
func (r *runner) definitionOf(t *task) (d *definition, err error) {
	name := lastPart(t.TaskDefinitionArn)
	if cached, ok := r.c.revisions.Load(name); ok {
		return cached.(*definition), nil
	}
	err = r.c.db.View(r.ctx, func(tx *sqlitedb.Tx) (err error) {
		d, err = r.c.definition(tx, name)
		return err
	})
	return d, err
}

// activate makes a handed task known in memory. An error is the task's own.
func (r *runner) activate(t *task, d *definition) (*active, error) {
	if d == nil {
		return nil, fmt.Errorf("task %s: its task definition %s is gone", t.id, lastPart(t.TaskDefinitionArn))
	}
	spec, err := r.c.spec(t, d)
	if err != nil {
		return nil, err
	}
	a := &active{spec: spec, essential: map[string]bool{}, running: map[string]bool{}, calls: make(chan struct{}, 1)}
	a.ctx, a.abandon = context.WithCancel(r.ctx)
	for _, container := range spec.Containers {
		a.essential[container.Name] = container.Essential
		a.running[container.Name] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.active[t.id] = a
	return a, nil
}

// poll looks for what other processes have written, and for facts that did not rouse the loop.
func (r *runner) poll() {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var seen int64
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		version, err := r.c.db.DataVersion(r.ctx)
		if err != nil {
			if r.ctx.Err() == nil {
				r.c.opts.Logger.Error("other processes' calls cannot be noticed", "error", err)
			}
			continue
		}
		if version != seen {
			rouse(r.c.outbox)
		}
		if version != seen || !r.inbox.empty() {
			rouse(r.c.work)
		}
		seen = version
	}
}

// lookAgain has the loop look at the table at that time.
func (r *runner) lookAgain(at time.Time) {
	if r.lookTimer != nil {
		r.lookTimer.Stop()
	}
	if !at.IsZero() {
		r.lookTimer = time.AfterFunc(at.Sub(r.c.opts.Now()), func() { rouse(r.c.work) })
	}
}

func (r *runner) stopTimers() {
	r.lookAgain(time.Time{})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.active {
		if a.timer != nil {
			a.timer.Stop()
		}
		a.abandon()
	}
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
