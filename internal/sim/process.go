package sim

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/spotbatch/spotbatch/internal/engine"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// functionTimeout is the functions' time-out in the template, and spot.AWSTimes' FunctionTimeout.
const functionTimeout = time.Minute

// instance is one Lambda instance: it has a clock and a share of the launch rate of its own, and serves one invocation at a time.
type instance struct {
	name   string
	skew   time.Duration
	pacers pacers
	busy   bool
	// patience is how long a launch may wait for its token.
	patience time.Duration
	wakes    int // wake-ups that it asked for
}

// invocation is one invocation of a function: some work side by side, which lives and dies together.
type invocation struct {
	w       *World
	on      *instance
	members []*process
	left    int // members that are at work
	died    bool
	errs    []error
	done    func(err error, died bool)
}

// process is one piece of an invocation's work: a coroutine that gives the world back its turn at every call.
type process struct {
	*invocation
	name     string
	deadline time.Time
	do       func(p *process) error
	co       *coroutine
	gone     bool
	engine   *engine.Engine
	works    string    // the job that it has read last
	running  string    // startedBy of the RunTask that is being called
	wasDue   bool      // the job was due when that call was saved: whoever called before may still be at it
	made     spot.Call // its latest call of RunTask
	madeFor  string    // a job
	launch   int       // the number of the launch in its attempt, as this process saved it last
	owes     debts
	looks    map[string]look // by ARN: at tasks
	unfound  string          // startedBy of the launch of which ListTasks has shown this process no task
}

// begins takes note of the job that the process works on from now.
func (p *process) begins(jobID string) {
	p.works = jobID
	for other := range p.w.alive {
		if other.invocation != p.invocation && other.works == jobID {
			p.w.sometimes("two invocations work on one job")
			return
		}
	}
}

// intends takes note of the launch that a save of this process holds, if the save took effect.
func (p *process) intends(j *jobs.Job, err error) error {
	if a := j.Live(); err == nil && a != nil {
		p.launch = a.Launches
	}
	return err
}

// killed is what unwinds a process that ends in the middle.
type killed struct{}

// invoke starts an invocation. done is told how it ended: died means that nobody heard of any error.
func (w *World) invoke(on *instance, name string, work []func(p *process) error, done func(err error, died bool)) {
	w.invocations++
	i := &invocation{w: w, on: on, left: len(work), done: done}
	for _, do := range work {
		p := &process{invocation: i, name: name, deadline: w.now.Add(functionTimeout), do: do}
		p.co = w.coroutine(p)
		p.engine = p.co.engine
		i.members = append(i.members, p)
		w.alive[p] = struct{}{}
	}
	for _, p := range i.members {
		p.step()
	}
}

// run does the work, in a coroutine. An invocation of which one piece is killed is dead.
func (p *process) run() {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case killed:
			p.died = true
		default:
			p.w.fail("no panic", "", "%v\n%s", r, debug.Stack())
		}
	}()
	if err := p.do(p); err != nil {
		p.w.hear(err.Error())
		p.errs = append(p.errs, err)
		return
	}
	p.checkPaid()
}

// step lets the process go on until its next pause.
func (p *process) step() {
	if p.gone {
		return
	}
	w := p.w
	pause, running := p.co.resume()
	switch {
	case !running:
		p.end(true)
	case w.now.Add(pause).After(p.deadline):
		w.schedule(p.deadline, func() {
			if !p.gone {
				w.note("", "%s runs out of time", p.name)
				w.sometimes("an invocation runs out of time")
				p.died = true
				p.end(false)
			}
		})
	default:
		w.schedule(w.now.Add(pause), p.step)
	}
}

// end takes a process away, and if it died all the others of its invocation.
func (p *process) end(done bool) {
	p.gone = true
	p.w.free(p.co, done)
	delete(p.w.alive, p)
	if p.left--; p.died {
		for _, other := range p.members {
			if !other.gone {
				other.end(false)
			}
		}
	}
	if p.left == 0 {
		p.left--
		p.done(errors.Join(p.errs...), p.died)
	}
}

// now is what the instance's clock shows.
func (p *process) now() time.Time { return p.w.now.Add(p.on.skew) }

// pause lets time pass, and the rest of the world go on.
func (p *process) pause(d time.Duration) {
	if !p.co.pause(d) {
		panic(killed{})
	}
}

// call makes one call: it takes effect somewhere between its beginning and its answer, and the invocation may be killed at
// any point of it. A request that was sent may take effect though its sender is dead.
func (p *process) call(what string, effect func()) {
	w := p.w
	w.calls++
	dies := w.plan.KillAt == w.calls || w.hit(Killed)
	after := w.plan.KillAfter
	if w.plan.KillAt == 0 {
		after = dies && w.streams[Killed].chance(0.5)
	}
	if dies {
		w.note("", "%s is killed at %s, after it took effect: %v", p.name, what, after)
	}
	if dies && !after {
		panic(killed{})
	}
	if !p.co.pause(p.latency()) {
		if p.w.dice.chance(0.3) {
			p.act(effect)
		}
		panic(killed{})
	}
	p.act(effect)
	if dies {
		panic(killed{})
	}
	p.pause(p.latency())
}

// look is what a process has last asked DescribeTasks about a task.
type look struct {
	asked   time.Time // by the process's clock
	version int64     // that was shown; 0 = none
	ending  bool      // it was shown on its way down
}

// looked notes what ECS was asked, and what it has shown.
func (p *process) looked(arns []string, tasks []spot.Task) {
	if p.looks == nil {
		p.looks = map[string]look{}
	}
	for _, arn := range arns {
		p.looks[arn] = look{asked: p.now(), ending: p.looks[arn].ending}
	}
	for _, t := range tasks {
		l := p.looks[t.ARN]
		l.version, l.ending = t.Version, l.ending || t.DesiredStatus != running
		p.looks[t.ARN] = l
	}
}

// act carries out a call's effect in this invocation's name.
func (p *process) act(effect func()) {
	p.w.acting = p
	effect()
	p.w.acting = nil
}

// latency is how long half a call takes.
func (p *process) latency() time.Duration {
	if p.w.hit(Slow) {
		longest := one(p.w.dice, 3*time.Second, 10*time.Second, 40*time.Second)
		return p.w.dice.between(time.Second, longest)
	}
	return p.w.dice.between(2*time.Millisecond, 20*time.Millisecond)
}

// timeLeft is internal/function's rule: less than fifteen seconds, and no further item is begun.
func (p *process) timeLeft() bool { return p.deadline.Sub(p.w.now) >= 15*time.Second }

// background is the context of all calls; nothing in a world ends by it.
var background = context.Background()

// trouble is an error of the world's.
type trouble string

func (t trouble) Error() string { return string(t) }
