package sim

import "time"

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
	IndexLags       // Due answers what was true up to two minutes ago

	RunThrottled     // ThrottlingException
	RunAnswerLost    // a task is made, or refused, and there is no answer
	RunUnanswered    // 5xx without effect
	RunDenied        // AccessDeniedException: says nothing of an earlier call
	RunTokenConflict // ConflictException without a task
	RunRejected      // ECS refuses the request for good
	StopFails
	StopAnswerLost
	DescribeFails
	DescribeLags // DescribeTasks and ListTasks answer what was true up to two minutes ago
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

	Killed      // Lambda ends an invocation at a call
	Slow        // calls take long, so that invocations run out of time
	ClockWrong  // instances' clocks are up to a minute ahead or behind
	PacerStrict // the pacer lets few launches through

	Interrupted    // Spot takes a task
	Reclaimed      // Spot takes half of all tasks at once
	StartFails     // a task stops before it ran
	PlatformFails  // a task is lost to the platform
	NeverRuns      // a task never gets beyond PROVISIONING
	RunsOn         // a task never ends by itself
	ExitsNonzero   // the job's own failure
	UserCancels    // at any time, also before the job is stored
	UserRetries    // retries an ended job
	UserStopsTask  // stops a task by hand
	UserSendsTwice // the same request again
	UserErrs       // sends what is no request
	UserRunsCopy   // runs a task by hand that says it is an attempt's

	faults
)

// names of the faults, as a trace and the counters show them.
var faultNames = [faults]string{
	"message twice", "message shuffled", "message early", "message late",
	"store throttled", "store answer lost", "store echo", "index lags",
	"RunTask throttled", "RunTask answer lost", "RunTask unanswered", "RunTask denied", "RunTask token conflict", "RunTask rejected",
	"StopTask fails", "StopTask answer lost", "DescribeTasks fails", "DescribeTasks lags", "ListTasks fails", "DescribeTaskDefinition fails",
	"PutEvents fails", "PutEvents answer lost", "wake-up fails", "rejected queue fails",
	"event lost", "event twice", "event late", "event a day late", "event malformed",
	"killed", "slow", "clock wrong", "pacer strict",
	"interrupted", "reclaimed", "start fails", "platform fails", "never runs", "runs on", "exits nonzero",
	"user cancels", "user retries", "user stops task", "user sends twice", "user errs", "user runs copy",
}

func (f Fault) String() string { return faultNames[f] }

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
