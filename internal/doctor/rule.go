package doctor

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// sweeps reports whether a schedule's input is the sweep's.
func sweeps(input string) bool {
	var in struct {
		Sweep bool `json:"sweep"`
	}
	return json.Unmarshal([]byte(input), &in) == nil && in.Sweep
}

// pattern is the part of an event pattern that is judged.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
type pattern struct {
	Source []string `json:"source"`
	Detail struct {
		ClusterARN []string          `json:"clusterArn"`
		LastStatus []string          `json:"lastStatus"`
		StopCode   []json.RawMessage `json:"stopCode"`
		StartedBy  []json.RawMessage `json:"startedBy"`
	} `json:"detail"`
}

// judgeRules finds the rule that brings task events among those that feed the events queue: the first that is good, else the
// first of all.
func judgeRules(rules []Rule, d Deployment) (Finding, Rule) {
	if len(rules) == 0 {
		return Finding{"task rule", Problem, "no rule sends to the events queue: the sweep alone moves jobs", deployAgain}, Rule{}
	}
	var first Finding
	for i, r := range rules {
		f := judgeRule(r, d)
		if f.Status == OK {
			return f, r
		}
		if i == 0 {
			first = f
		}
	}
	return first, rules[0]
}

func judgeRule(r Rule, d Deployment) Finding {
	const check = "task rule"
	bad := func(found string) Finding { return Finding{check, Problem, r.Name + " " + found, deployAgain} }
	var p pattern
	if err := json.Unmarshal([]byte(r.Pattern), &p); err != nil {
		return bad("has a pattern of a form that spotbatch does not make")
	}
	prefixes := prefixesOf(p.Detail.StartedBy)
	switch {
	case !strings.HasPrefix(r.State, "ENABLED"):
		return Finding{check, Problem, r.Name + " is " + r.State, "aws events enable-rule --region " + d.Region + " --name " + r.Name}
	case !slices.Contains(p.Source, "aws.ecs"):
		return bad("does not match source aws.ecs")
	case d.Runner != "" && !slices.Contains(prefixes, d.Runner+"/"):
		return bad("does not match startedBy with the prefix " + d.Runner + "/")
	case len(p.Detail.ClusterARN) > 0 && !slices.ContainsFunc(p.Detail.ClusterARN, func(arn string) bool {
		return d.Cluster == "" || strings.HasSuffix(arn, ":cluster/"+lastPart(d.Cluster))
	}):
		return bad("is for another cluster than " + d.Cluster)
	case len(p.Detail.LastStatus) > 0 &&
		!(slices.Contains(p.Detail.LastStatus, "RUNNING") && slices.Contains(p.Detail.LastStatus, "STOPPED")):
		return bad("does not match both lastStatus RUNNING and STOPPED")
	case len(p.Detail.StopCode) > 0: // Spot's notice may come without one
		return bad("filters on stopCode, which would miss interruptions")
	case r.DeadLetterARN == "":
		return Finding{check, Warning, r.Name + " has no dead-letter queue", deployAgain}
	}
	return Finding{check, OK, r.Name + " is ENABLED, for startedBy " + d.Runner + "/", ""}
}

// prefixesOf reads the prefix filters of a field.
func prefixesOf(filters []json.RawMessage) []string {
	var list []string
	for _, raw := range filters {
		var filter struct {
			Prefix string `json:"prefix"`
		}
		if json.Unmarshal(raw, &filter) == nil && filter.Prefix != "" {
			list = append(list, filter.Prefix)
		}
	}
	return list
}

// judgeDelivery looks whether EventBridge may send to the queue for a rule.
func judgeDelivery(q Queue, ruleARN string) Finding {
	const check = "delivery"
	if allowsRule(q.Policy, ruleARN) {
		return Finding{check, OK, "the events queue takes what the rule sends", ""}
	}
	return Finding{check, Problem, "the events queue's policy does not let the rule send", deployAgain}
}

// many is a list that JSON policies also write as a single text.
type many []string

// UnmarshalJSON implements json.Unmarshaler.
func (m *many) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*m = many{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(m))
}

// policy is a queue's policy, as far as it allows EventBridge.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
type policy struct {
	Statement []struct {
		Effect    string
		Principal json.RawMessage
		Action    many
		Condition map[string]map[string]many
	}
}

// allowsRule reports whether some statement allows EventBridge to send for a rule. Of conditions it knows those on the source.
func allowsRule(document, ruleARN string) bool {
	var p policy
	if json.Unmarshal([]byte(document), &p) != nil {
		return false
	}
	for _, s := range p.Statement {
		if s.Effect == "Allow" && isEventBridge(s.Principal) && sends(s.Action) && holds(s.Condition, ruleARN) {
			return true
		}
	}
	return false
}

func isEventBridge(principal json.RawMessage) bool {
	var by struct{ Service, AWS many }
	_ = json.Unmarshal(principal, &by) // "*" alone is no object
	return string(principal) == `"*"` || slices.Contains(by.Service, "events.amazonaws.com") || slices.Contains(by.AWS, "*")
}

func sends(actions many) bool {
	return slices.ContainsFunc(actions, func(a string) bool { return like(strings.ToLower(a), "sqs:sendmessage") })
}

func holds(condition map[string]map[string]many, ruleARN string) bool {
	for _, keys := range condition {
		for key, values := range keys {
			fits := func(v string) bool { return like(v, ruleARN) }
			if strings.EqualFold(key, "aws:SourceAccount") {
				fits = func(v string) bool { return strings.Contains(ruleARN, ":"+v+":") }
			} else if !strings.EqualFold(key, "aws:SourceArn") {
				continue
			}
			if !slices.ContainsFunc(values, fits) {
				return false
			}
		}
	}
	return true
}

// like matches a text against a pattern of IAM's: * is any text, ? any character.
func like(pattern, text string) bool {
	quoted := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
	matched, err := regexp.MatchString("^(?s:"+quoted+")$", text)
	return err == nil && matched
}
