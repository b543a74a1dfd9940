package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one way in which the world goes wrong at a single call, message, task or user.
type Fault int

// The faults.
const (
	MessageTwice    Fault = iota // SQS delivers a message again within a minute
	MessageShuffled              // SQS delivers another message first
	MessageEarly                 // SQS delivers again while the first delivery is still at work
	MessageLate                  // SQS takes minutes

	StoreThrottled  // the call has no effect
	StoreAnswerLost // the call has its effect, and an error is the answer
	StoreEcho       // the same, and the SDK's own repeat meets what the first try wrote
	StoreLate       // an error is the answer, and the write happens up to twenty seconds later, unless another one has
	IndexLags       // Due answers what was true up to two minutes ago
	ItemSick        // a job's item can be neither read nor written, for hours after all else is well

	RunThrottled     // ThrottlingException
	RunAnswerLost    // a task is made, or refused, and there is no answer
	RunUnanswered    // 5xx without effect
	RunDenied        // AccessDeniedException: says nothing of an earlier call
	RunTokenConflict // ConflictException without a task
	RunConflict      // ConflictException with the task, for the deployment was changed between two calls
	RunRejected      // ECS refuses the request for good
	RunOdd           // refusals of the rarer kinds: failures[] that nobody knows, a quota as ClientException, above the account's limit
	RunLate          // a time-out on this side; the task is made up to half a minute later
	StopFails
	StopAnswerLost
	DescribeFails
	DescribePartly // one task of a call fails
	ShowsDeleted   // DescribeTasks shows a stopped task as DELETED
	ForgetsSoon    // ECS shows a stopped task for an hour and no longer
	DescribeLags   // DescribeTasks and ListTasks answer what was true up to some minutes ago
	FindFails
	DefinitionFails

	PublishFails
	PublishAnswerLost
	WakeFails
	RejectFails

	EventLost
	EventTwice
	EventLate    // minutes, so that events change their order
	EventDayLate // a day
	EventMalformed

	SweepTwice  // EventBridge Scheduler delivers a sweep twice
	SweepMissed // or not at all
	Killed      // Lambda ends an invocation at a call
	Slow        // calls take long, so that invocations run out of time
	ClockWrong  // instances' clocks are up to a minute ahead or behind
	PacerStrict // the pacer lets few launches through

	// What tasks and users do. World.rough counts the faults before this line alone.
	Interrupted    // Spot takes a task
	Reclaimed      // Spot takes half of all tasks at once
	StartFails     // a task stops before it ran
	PlatformFails  // a task is lost to the platform
	NeverRuns      // a task never gets beyond PROVISIONING
	StopsSlowly    // a container takes its two minutes to stop
	RunsOn         // a task never ends by itself
	ExitsNonzero   // the job's own failure
	UserCancels    // at any time, also before the job is stored
	UserRetries    // retries an ended job
	UserStopsTask  // stops a task by hand
	UserSendsTwice // the same request again
	UserSendsOther // another request under the same id
	UserErrs       // sends what is no request
	UserRunsCopy   // runs a task by hand that says it is an attempt's

	faults
)

// names of the faults, as a trace and the counters show them.
var faultNames = [faults]string{
	"message twice", "message shuffled", "message early", "message late",
	"store throttled", "store answer lost", "store echo", "store late", "index lags", "item sick",
	"RunTask throttled", "RunTask answer lost", "RunTask unanswered", "RunTask denied", "RunTask token conflict", "RunTask conflict", "RunTask rejected", "RunTask odd", "RunTask late",
	"StopTask fails", "StopTask answer lost", "DescribeTasks fails", "DescribeTasks partly", "shows deleted", "forgets soon", "DescribeTasks lags", "ListTasks fails", "DescribeTaskDefinition fails",
	"PutEvents fails", "PutEvents answer lost", "wake-up fails", "rejected queue fails",
	"event lost", "event twice", "event late", "event a day late", "event malformed",
	"sweep twice", "sweep missed", "killed", "slow", "clock wrong", "pacer strict",
	"interrupted", "reclaimed", "start fails", "platform fails", "never runs", "stops slowly", "runs on", "exits nonzero",
	"user cancels", "user retries", "user stops task", "user sends twice", "user sends other", "user errs", "user runs copy",
}

func (f Fault) String() string { return faultNames[f] }

// Strengths are how likely some faults are. As text: "RunTask throttled=0.2,slow=0".
type Strengths map[Fault]float64

// ParseStrengths reads the text form; the error names what is wrong.
func ParseStrengths(text string) (Strengths, error) {
	s := Strengths{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		name, value, _ := strings.Cut(item, "=")
		f := slices.Index(faultNames[:], name)
		strength, err := strconv.ParseFloat(value, 64)
		if f < 0 || err != nil || !(strength >= 0 && strength <= 1) {
			return nil, fmt.Errorf("%q is not a fault and its strength from 0 to 1; the faults are: %s", item, strings.Join(faultNames[:], ", "))
		}
		s[Fault(f)] = strength
	}
	return s, nil
}

// in is a plan with these strengths.
func (s Strengths) in(p Plan) Plan {
	for f, strength := range s {
		p.Strength[f] = strength
	}
	return p
}

// SpellKind is one way in which a part of AWS is away, or full, for a while.
type SpellKind int

// The spells.
const (
	ECSDown SpellKind = iota
	StoreDown
	NoSpot
	NoOnDemand
	AccessLost
	EventsGone
	AnswersLost // RunTask's
	SubnetsFull
	QuotaTight
	spells
)

var spellNames = [spells]string{
	"ECS down", "store down", "no Spot capacity", "no on-demand capacity", "access lost", "events gone", "answers lost", "subnets full", "quota tight",
}

func (k SpellKind) String() string { return spellNames[k] }

// Spell is one stretch of time in which a kind of trouble lasts.
type Spell struct {
	Kind        SpellKind
	From, Until time.Duration // since the world's beginning
	// Share of the calls that meet it.
	Share float64
}
