package process

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

const (
	// drainMax is how long an older engine's supervisor may take over the starts that it had received: they are forks.
	drainMax = 30 * time.Second
	// drainPoll and watchPoll are how often files are looked at; the second for as long as adopted tasks run.
	drainPoll = 5 * time.Millisecond
	watchPoll = 50 * time.Millisecond
)

// Adopt implements fargate.Executor.
func (e *Executor) Adopt(ctx context.Context, tasks []fargate.TaskSpec) (map[string]fargate.Adopted, error) {
	older, err := e.older(ctx)
	if err != nil {
		return nil, err
	}
	fates := make(map[string]fargate.Adopted, len(tasks))
	remains := map[string]history{}
	var unrecorded []string
	var running []*watched
	for _, task := range tasks {
		p, h := historyOf(older, task.TaskID)
		fate := judge(older, p, h, task.TaskID)
		fates[task.TaskID] = fate
		switch {
		case fate == fargate.AdoptedRunning:
			running = append(running, adopted(task.TaskID, p, h))
		case fate == fargate.AdoptedLost:
			remains[task.TaskID] = h
			if p == nil {
				unrecorded = append(unrecorded, task.TaskID)
			}
		}
	}
	addUnlisted(remains, older, fates)
	e.killRemains(remains)
	if err := e.clearUp(older, fates, unrecorded); err != nil {
		return nil, err
	}
	e.watch(running)
	return fates, nil
}

// predecessor is a supervisor of an older engine.
type predecessor struct {
	id      string
	held    bool // it lives
	drained bool // it carried out all that it was ever sent, and its journal is complete
	judged  bool // an earlier Adopt knew it dead: nothing that came later was in its hands
	lost    []string
	journal *journalReader
}

// older returns the supervisors of older engines, once each that lives has carried out what its engine sent before it
// died: until then a task that it has not written down may still be started.
func (e *Executor) older(ctx context.Context) ([]*predecessor, error) {
	ctx, cancel := context.WithTimeout(ctx, drainMax)
	defer cancel()
	ids, err := e.files.ids()
	if err != nil {
		return nil, err
	}
	var all []*predecessor
	for _, id := range ids {
		p := &predecessor{id: id}
		if err := e.awaitDrained(ctx, p); err != nil {
			return nil, err
		}
		if p.lost, p.judged, err = e.files.judgements(id); err != nil {
			return nil, err
		}
		p.journal = e.journalOf(id)
		if err := p.journal.read(); err != nil {
			return nil, err
		}
		switch {
		case !p.held && !p.journal.exists:
			p.drained = true // its engine died while starting it, and it never took a request
		case p.journal.corrupt:
			p.drained = false
		}
		all = append(all, p)
	}
	return all, nil
}

// awaitDrained waits until a supervisor has drained or is dead. The lock is looked at first: one that dies after the look
// counts as alive, and the watch finds it dead; one that drains after the look is looked at again.
func (e *Executor) awaitDrained(ctx context.Context, p *predecessor) error {
	for {
		var err error
		if p.held, err = e.files.held(p.id); err != nil {
			return err
		}
		p.drained = e.files.drained(p.id)
		if !p.held || p.drained {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for supervisor %s of an older engine to drain: %w", p.id, ctx.Err())
		case <-time.After(drainPoll):
		}
	}
}

func (e *Executor) journalOf(supervisor string) *journalReader {
	return &journalReader{path: e.files.file(supervisor, journalSuffix), tasks: map[string]*history{}}
}

// historyOf finds the supervisor that started a task, nil for none.
func historyOf(older []*predecessor, taskID string) (*predecessor, history) {
	for _, p := range older {
		if h := p.journal.tasks[taskID]; h != nil {
			return p, *h
		}
	}
	return nil, history{}
}

// judge says what became of a task.
func judge(older []*predecessor, p *predecessor, h history, taskID string) fargate.Adopted {
	switch {
	case p == nil:
		for _, q := range older {
			// One that died with requests in hand perhaps had this one, and began.
			if slices.Contains(q.lost, taskID) || (!q.drained && !q.judged) {
				return fargate.AdoptedLost
			}
		}
		return fargate.AdoptedNotStarted
	case p.held, h.anyExit():
		return fargate.AdoptedRunning // one exit code is worth delivering, even if another's is not known
	default:
		return fargate.AdoptedLost
	}
}

func adopted(taskID string, p *predecessor, h history) *watched {
	w := &watched{id: taskID, older: p, containers: map[string]bool{}}
	for _, c := range h.containers {
		w.containers[c.Container] = false
	}
	return w
}

// addUnlisted adds the tasks that run although the state says that they have stopped (their engine died between storing
// the end and seeing it): nobody would ever see their end, so they are killed.
func addUnlisted(remains map[string]history, older []*predecessor, listed map[string]fargate.Adopted) {
	for _, p := range older {
		for id, h := range p.journal.tasks {
			if _, ok := listed[id]; !ok && h.unfinished() {
				remains[id] = *h
			}
		}
	}
}

// clearUp writes down which tasks are lost for want of a word about them, and removes the files of dead supervisors that no
// verdict rests on. The verdicts that rest on a journal will be the same while it is there.
func (e *Executor) clearUp(older []*predecessor, listed map[string]fargate.Adopted, unrecorded []string) error {
	for _, p := range older {
		if p.held {
			continue
		}
		if !p.drained && !p.judged {
			p.lost = unrecorded
			if err := e.files.writeJudgements(p.id, unrecorded); err != nil {
				return err
			}
		}
		if p.neededFor(listed) {
			continue
		}
		if err := e.files.remove(p.id); err != nil {
			return err
		}
	}
	return nil
}

func (p *predecessor) neededFor(listed map[string]fargate.Adopted) bool {
	for id := range listed {
		if p.journal.tasks[id] != nil || slices.Contains(p.lost, id) {
			return true
		}
	}
	return false
}

// watch looks after adopted tasks for as long as one of them runs.
func (e *Executor) watch(running []*watched) {
	if len(running) == 0 {
		return
	}
	e.mu.Lock()
	for _, w := range running {
		e.tasks[w.id] = w
	}
	e.mu.Unlock()
	go func() {
		ticker := time.NewTicker(watchPoll)
		defer ticker.Stop()
		for {
			running = slices.DeleteFunc(running, e.hasEnded)
			if len(running) == 0 {
				return
			}
			e.look(running)
			select {
			case <-e.closed:
				return
			case <-ticker.C:
			}
		}
	}()
}

// hasEnded tells whether a task needs no watching any more: all its exits are delivered, or it was forgotten.
func (e *Executor) hasEnded(w *watched) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tasks[w.id] != w
}

// look delivers what has happened to adopted tasks since the last look.
func (e *Executor) look(running []*watched) {
	e.watching.Lock()
	defer e.watching.Unlock()
	looked := map[*predecessor]bool{}
	remains := map[string]history{}
	for _, w := range running {
		p := w.older
		if !looked[p] {
			looked[p] = true
			if err := e.lookAt(p); err != nil {
				e.config.Logger.Warn("cannot see what an older supervisor does", "supervisor", p.id, "err", err)
			}
		}
		if h := p.journal.of(w.id); !p.held && h.unfinished() {
			remains[w.id] = h
		}
	}
	e.killRemains(remains)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range running {
		if e.tasks[w.id] == w {
			e.settle(w, w.older.journal.of(w.id), !w.older.held)
		}
	}
}

// lookAt asks whether a supervisor lives before it reads its journal: asked afterwards, one that wrote its last exit in
// between would seem to have died without it.
func (e *Executor) lookAt(p *predecessor) error {
	held, err := e.files.held(p.id)
	if err != nil {
		return err
	}
	if err := p.journal.read(); err != nil {
		return err
	}
	p.held = held
	return nil
}
