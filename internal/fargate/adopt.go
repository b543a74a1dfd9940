package fargate

import "github.com/spotbatch/spotbatch/internal/sqlitedb"

// adopt takes over the tasks that an earlier Run had handed over: what runs is watched again, what never ran goes first
// in line, what is lost has ended.
func (r *runner) adopt() error {
	var tasks []*task
	err := r.c.db.View(r.ctx, func(tx *sqlitedb.Tx) (err error) {
		tasks, err = loadTasks(tx, `phase = 'handed' ORDER BY seq`)
		return err
	})
	if err != nil {
		return err
	}
	specs := make([]TaskSpec, len(tasks))
	actives := make([]*active, len(tasks))
	for i, t := range tasks {
		d, err := r.definitionOf(t)
		if err != nil {
			return err
		}
		if actives[i], err = r.activate(t, d); err != nil {
			return err
		}
		specs[i] = actives[i].spec
	}
	fates, err := r.executor.Adopt(r.ctx, specs)
	if err != nil {
		return err
	}
	now := r.c.opts.Now()
	for i, t := range tasks {
		fate, known := fates[t.id]
		switch {
		case known && fate == AdoptedRunning:
			r.slots.occupy()
			r.startReturned(actives[i])
			r.inbox.add(input{t.id, func(t *task) { t.started(now) }})
		case known && fate == AdoptedNotStarted && t.StartedAt == nil && t.DesiredStatus == statusStopped:
			r.inbox.add(input{t.id, func(t *task) { t.neverStarted(now) }})
		case known && fate == AdoptedNotStarted && t.StartedAt == nil:
			r.slots.line(actives[i])
		default:
			// Also what the executor does not mention, and what it denies to have run although it did.
			r.inbox.add(input{t.id, func(t *task) { t.lost(now) }})
		}
	}
	rouse(r.c.work)
	return nil
}
