package jobs

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
)

// RequestBytesMax is how large a request document may be. ECS takes 8,192 characters of overrides, so a request that could
// run is far below it, white space and tags included.
const RequestBytesMax = 256 << 10

// BudgetMax is the most that retryStrategy.attempts and capacity.spotAttempts may be.
const BudgetMax = 10

// The defaults and limits of the request contract.
const (
	defaultSpotAttempts     = 1
	defaultSpotOnlyAttempts = 10
	defaultBackoffSeconds   = 10
	defaultDaySeconds       = 24 * 60 * 60 // attemptDurationSeconds and startWithinSeconds
	defaultTotalSeconds     = 14 * defaultDaySeconds

	exitRulesMax      = 5
	attemptSecondsMin = 60
	totalSecondsMax   = 30 * defaultDaySeconds
	// secondsMax bounds the clocks that have no limit of their own so that a time.Duration holds them; totalSeconds ends
	// the job long before.
	secondsMax      = 1<<31 - 1
	ephemeralGiBMin = 21
	ephemeralGiBMax = 200
)

// ParseRequest reads a job request strictly, fills in the defaults, and answers with every problem at once as an
// *InvalidRequest. What only a task definition can tell (the size, the container's name, the length of all overrides) is
// pkg/spot's to check.
func ParseRequest(raw []byte) (Request, error) {
	p := &problems{}
	if len(raw) > RequestBytesMax {
		p.add("request", "must not be larger than %d bytes", RequestBytesMax)
		return Request{}, p.err()
	}
	if _, problem := Members(raw); problem != "" {
		p.add("request", "%s", problem)
		return Request{}, p.err()
	}
	if at, found := loneSurrogate(raw); found {
		p.add("request", `has half a character at byte %d: an escape from \ud800 to \udfff that is no pair`, at+1)
		return Request{}, p.err()
	}
	doc := p.readObject("", raw,
		"jobName", "jobId", "schedule", "taskDefinition", "containerOverrides", "ephemeralStorageGiB",
		"capacity", "retryStrategy", "timeout", "tags")
	doc.require("jobName", "taskDefinition")
	request := Request{
		JobName:             doc.matching("jobName", validJobName, mustBeJobName),
		JobID:               doc.matching("jobId", ValidID, mustBeJobID),
		Schedule:            parseSchedule(doc),
		TaskDefinition:      doc.matching("taskDefinition", validTaskDefinition, mustBeTaskDefinition),
		ContainerOverrides:  parseOverrides(doc),
		EphemeralStorageGiB: doc.integer("ephemeralStorageGiB", ephemeralGiBMin, ephemeralGiBMax, 0),
		Capacity:            parseCapacity(doc),
		RetryStrategy:       parseRetryStrategy(doc),
		Timeout:             parseTimeout(doc),
		Tags:                parseTags(doc),
	}
	if err := p.err(); err != nil {
		return Request{}, err
	}
	return request, nil
}

func parseSchedule(doc object) *Schedule {
	if !doc.has("schedule") {
		return nil
	}
	o := doc.child("schedule", "arn", "scheduledTime")
	if doc.has("jobId") {
		o.add(o.path, "must not be given together with jobId, for either alone identifies the job")
	}
	o.require("arn", "scheduledTime")
	return &Schedule{
		ARN:           parseContextAttribute(o, "arn", scheduleARNMax),
		ScheduledTime: parseContextAttribute(o, "scheduledTime", scheduledTimeMax),
	}
}

func parseContextAttribute(o object, field string, longest int) string {
	text, ok := o.text(field)
	if !ok {
		return ""
	}
	switch {
	case unsubstituted(text):
		o.add(o.at(field), "holds a context attribute that was not substituted: EventBridge Scheduler replaces "+
			"<aws.scheduler.schedule-arn> and <aws.scheduler.scheduled-time>, spelled so, in its target's input alone")
	case text == "" || len(text) > longest || strings.ContainsFunc(text, notPrintable):
		o.add(o.at(field), "must be 1 to %d printable characters", longest)
	}
	return text
}

func parseOverrides(doc object) ContainerOverrides {
	o := doc.child("containerOverrides", "name", "command", "environment", "cpu", "memory")
	return ContainerOverrides{
		Name:        o.matching("name", validContainerName, mustBeContainerName),
		Command:     parseCommand(o),
		Environment: parseEnvironment(o),
		CPU:         o.matching("cpu", validAmount, `must be a decimal string of CPU units, such as "1024" for 1 vCPU`),
		Memory:      o.matching("memory", validAmount, `must be a decimal string of MiB, such as "2048"`),
	}
}

func parseCommand(o object) []string {
	var command []string
	for i, raw := range o.list("command") {
		path := element(o.at("command"), i)
		word, ok := o.stringAt(path, raw)
		if ok && strings.Contains(word, "\x00") {
			o.add(path, "must not contain NUL")
		}
		command = append(command, word)
	}
	return command
}

func parseEnvironment(o object) []EnvVar {
	var environment []EnvVar
	seen := map[string]int{}
	for i, raw := range o.list("environment") {
		entry := o.readObject(element(o.at("environment"), i), raw, "name", "value")
		name, ok := entry.text("name")
		if ok {
			entry.checkEnvironmentName(name, i, seen)
		}
		value, _ := entry.text("value")
		if strings.Contains(value, "\x00") {
			entry.add(entry.at("value"), "must not contain NUL")
		}
		entry.require("name", "value")
		environment = append(environment, EnvVar{Name: name, Value: value})
	}
	return environment
}

// checkEnvironmentName reports a name that is no name, that is reserved, or that an earlier entry has.
func (o object) checkEnvironmentName(name string, i int, seen map[string]int) {
	path := o.at("name")
	if !validEnvironmentName(name) {
		o.add(path, mustBeEnvironmentName)
		return
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			o.add(path, "must not begin with %s, which is reserved", prefix)
		}
	}
	if first, repeated := seen[name]; repeated {
		o.add(path, "is the name of environment[%d] already", first)
		return
	}
	seen[name] = i
}

func parseCapacity(doc object) Capacity {
	o := doc.child("capacity", "strategy", "spotAttempts", "exitZeroOnInterruption")
	c := Capacity{Strategy: choice(o, "strategy", SpotThenOnDemand, SpotOnly, OnDemand)}
	fallback := defaultSpotAttempts
	if c.Strategy == SpotOnly {
		fallback = defaultSpotOnlyAttempts
	}
	c.SpotAttempts = o.integer("spotAttempts", 1, BudgetMax, fallback)
	if c.Strategy == OnDemand {
		c.SpotAttempts = 0 // checked above, and then dropped: there is nothing to interrupt
	}
	c.ExitZeroOnInterruption = choice(o, "exitZeroOnInterruption", ExitZeroRetry, ExitZeroSucceed)
	return c
}

func parseRetryStrategy(doc object) RetryStrategy {
	o := doc.child("retryStrategy", "attempts", "evaluateOnExit", "backoffSeconds")
	return RetryStrategy{
		Attempts:       o.integer("attempts", 1, BudgetMax, 1),
		EvaluateOnExit: parseExitRules(o),
		BackoffSeconds: o.integer("backoffSeconds", 0, int(BackoffMax.Seconds()), defaultBackoffSeconds),
	}
}

func parseExitRules(o object) []ExitRule {
	items := o.list("evaluateOnExit")
	if len(items) > exitRulesMax {
		o.add(o.at("evaluateOnExit"), "must not have more than %d rules", exitRulesMax)
		items = items[:exitRulesMax]
	}
	var rules []ExitRule
	for i, raw := range items {
		rule := o.readObject(element(o.at("evaluateOnExit"), i), raw, "onExitCode", "onReason", "onStatusReason", "action")
		rules = append(rules, ExitRule{
			OnExitCode:     rule.matching("onExitCode", validCodePattern, mustBeCodePattern),
			OnReason:       rule.matching("onReason", validPattern, mustBePattern),
			OnStatusReason: rule.matching("onStatusReason", validPattern, mustBePattern),
			Action:         parseAction(rule),
		})
	}
	return rules
}

// parseAction reads an action in any case, as AWS Batch does: its own describe calls answer in lower case.
func parseAction(rule object) ExitAction {
	rule.require("action")
	text, ok := rule.text("action")
	action := ExitAction(strings.ToUpper(text))
	if ok && action != ActionRetry && action != ActionExit {
		rule.add(rule.at("action"), "must be RETRY or EXIT")
	}
	return action
}

func parseTimeout(doc object) Timeout {
	o := doc.child("timeout", "attemptDurationSeconds", "startWithinSeconds", "totalSeconds")
	return Timeout{
		AttemptDurationSeconds: o.integer("attemptDurationSeconds", attemptSecondsMin, secondsMax, defaultDaySeconds),
		StartWithinSeconds:     o.integer("startWithinSeconds", 1, secondsMax, defaultDaySeconds),
		TotalSeconds:           o.integer("totalSeconds", 1, totalSecondsMax, defaultTotalSeconds),
	}
}

func parseTags(doc object) map[string]string {
	raw, ok := doc.values["tags"]
	if !ok {
		return nil
	}
	members, problem := Members(raw)
	if problem != "" {
		doc.add("tags", "%s", problem)
	}
	if len(members) > tagsMax {
		doc.add("tags", "must not be more than %d", tagsMax)
		members = members[:tagsMax]
	}
	tags := map[string]string{}
	for _, m := range members {
		path := "tags." + QuoteName(m.Name)
		if _, repeated := tags[m.Name]; repeated {
			doc.add(path, "is given more than once")
		}
		tags[m.Name] = parseTag(doc, path, m)
	}
	if len(tags) == 0 {
		return nil
	}
	return tags
}

func parseTag(doc object, path string, m Member) string {
	value, _ := doc.stringAt(path, m.Value)
	if problem := cmp.Or(tagProblem("key", m.Name, 1, tagKeyMax), tagProblem("value", value, 0, tagValueMax)); problem != "" {
		doc.add(path, "%s", problem)
	}
	return value
}

// element is the path of an array's element.
func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// UsableName returns the jobName of a request that may be bad in any other way, if the jobName itself is valid.
func UsableName(raw []byte) (string, bool) {
	members, _ := Members(raw)
	return usable(members, "jobName", validJobName)
}

// usable reads one string of a document without judging the rest. A member that is given twice is not usable.
func usable(members []Member, field string, valid func(string) bool) (string, bool) {
	value, times := find(members, field)
	if times != 1 {
		return "", false
	}
	if text, ok := only(field, value).text(field); ok && valid(text) {
		return text, true
	}
	return "", false
}

// find returns the first member of a name, and how often the name is there.
func find(members []Member, name string) (value json.RawMessage, times int) {
	for _, m := range members {
		if m.Name == name {
			if times++; times == 1 {
				value = m.Value
			}
		}
	}
	return value, times
}

// only is an object of which one member alone is read.
func only(field string, value json.RawMessage) object {
	return object{problems: &problems{}, values: map[string]json.RawMessage{field: value}}
}
