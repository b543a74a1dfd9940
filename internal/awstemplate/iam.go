package awstemplate

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Statement is one statement of a resolved policy.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type Statement struct {
	Effect    string
	Principal any // of a resource's policy or a role's trust
	Action    list
	Resource  list
	Condition map[string]map[string]list
}

// list is what a policy writes as one string or as several.
type list []string

// UnmarshalJSON reads either form.
func (l *list) UnmarshalJSON(data []byte) error {
	var one any
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	all, ok := one.([]any)
	if !ok {
		all = []any{one}
	}
	for _, v := range all {
		*l = append(*l, fmt.Sprint(v))
	}
	return nil
}

// Call is one call that is made of AWS, with what IAM is told of it.
type Call struct {
	Caller   string            `json:"caller"` // submit, watch, or a role or policy of the template
	Action   string            `json:"action"` // as IAM names it: ecs:RunTask
	Resource string            `json:"resource"`
	Context  map[string]string `json:"context,omitempty"` // condition keys
}

//go:embed testdata/calls.json
var recorded []byte

// Calls are all calls that the functions and everybody else make in a deployment, as testdata/calls.json lists them: the runner
// and the cluster are named spotbatch, every other resource by its name in the template.
func Calls() ([]Call, error) {
	var all []Call
	if err := json.Unmarshal(recorded, &all); err != nil {
		return nil, fmt.Errorf("read calls: %w", err)
	}
	return all, nil
}

// Allowed tells whether statements allow a call: one allows it and none denies it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func Allowed(statements []Statement, call Call) (bool, error) {
	allowed := false
	for _, s := range statements {
		applies, err := s.Applies(call)
		if err != nil {
			return false, err
		}
		if applies && s.Effect == "Deny" {
			return false, nil
		}
		allowed = allowed || applies
	}
	return allowed, nil
}

// Applies tells whether the statement speaks of the call. Who makes it is not looked at.
func (s Statement) Applies(call Call) (bool, error) {
	action := slices.ContainsFunc(s.Action, func(p string) bool { return Glob(strings.ToLower(p), strings.ToLower(call.Action)) })
	resource := slices.ContainsFunc(s.Resource, func(p string) bool { return Glob(p, call.Resource) })
	if s.Effect != "Allow" && s.Effect != "Deny" {
		return false, fmt.Errorf("effect %q is none", s.Effect)
	}
	for operator, keys := range s.Condition {
		for key, values := range keys {
			holds, err := conditionHolds(operator, values, contextValue(call.Context, key))
			if err != nil {
				return false, err
			}
			action = action && holds
		}
	}
	return action && resource, nil
}

// contextValue finds a condition key, whose case does not matter; nil = it is not there.
func contextValue(context map[string]string, key string) *string {
	for name, value := range context {
		if strings.EqualFold(name, key) {
			return &value
		}
	}
	return nil
}

// conditionHolds evaluates one key of one operator: any of the values may match; a negated operator holds if none does, or if
// the key is not there.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func conditionHolds(operator string, values list, got *string) (bool, error) {
	base, ifExists := strings.CutSuffix(operator, "IfExists")
	base, anyValue := strings.CutPrefix(base, "ForAnyValue:")
	positive, negated := base, false
	for _, family := range []string{"String", "Arn"} {
		if rest, ok := strings.CutPrefix(base, family+"Not"); ok {
			positive, negated = family+rest, true
		}
	}
	var match func(pattern, text string) bool
	switch positive {
	case "StringEquals":
		match = func(pattern, text string) bool { return pattern == text }
	case "StringLike":
		match = Glob
	case "ArnEquals", "ArnLike": // AWS treats both alike
		match = globARN
	case "Bool":
		match = strings.EqualFold
	default:
		return false, fmt.Errorf("condition operator %s is not understood", operator)
	}
	if got == nil {
		return ifExists || negated && !anyValue, nil
	}
	return slices.ContainsFunc(values, func(v string) bool { return match(v, *got) }) != negated, nil
}

// Glob matches IAM's wildcards: * for any characters, ? for one.
func Glob(pattern, text string) bool {
	// path.Match lets * stop at a slash and gives [ and \ a meaning: both are taken out of its sight.
	hide := strings.NewReplacer("/", "\x00", "[", "\x01", `\`, "\x02").Replace
	ok, err := path.Match(hide(pattern), hide(text))
	return ok && err == nil
}

// globARN matches wildcards in each of an ARN's six parts; none reaches beyond its part.
func globARN(pattern, text string) bool {
	patterns, texts := strings.SplitN(pattern, ":", 6), strings.SplitN(text, ":", 6)
	if len(patterns) != 6 || len(texts) != 6 {
		return false
	}
	return slices.EqualFunc(patterns, texts, Glob)
}

// Statements returns all that a role's policies, or a managed policy, say: those in it and those attached to it.
func (s *Stack) Statements(id string) ([]Statement, error) {
	resource, ok := s.Resources[id]
	if !ok {
		return nil, fmt.Errorf("no resource %s", id)
	}
	var properties struct {
		PolicyDocument struct{ Statement []Statement }
		Policies       []struct {
			PolicyDocument struct{ Statement []Statement }
		}
		ManagedPolicyArns []string
	}
	if err := decode(resource.Properties, &properties); err != nil {
		return nil, fmt.Errorf("read policies of %s: %w", id, err)
	}
	all := properties.PolicyDocument.Statement
	for _, p := range properties.Policies {
		all = append(all, p.PolicyDocument.Statement...)
	}
	for _, arn := range properties.ManagedPolicyArns {
		attached, err := s.Statements(path.Base(arn))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		all = append(all, attached...)
	}
	return all, nil
}

// decode reads resolved properties into a type.
func decode(properties any, into any) error {
	text, err := json.Marshal(properties)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// QueuePolicy returns what a queue's policy says. There is exactly one: a second AWS::SQS::QueuePolicy would overwrite it.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sqs-queuepolicy.html
func (s *Stack) QueuePolicy(queue string) ([]Statement, error) {
	var found []string
	for _, id := range s.OfType("AWS::SQS::QueuePolicy") {
		queues, _ := s.Resources[id].Properties["Queues"].([]any)
		if slices.Contains(queues, any(QueueURL(queue))) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("queue %s has %d policies: %v", queue, len(found), found)
	}
	return s.Statements(found[0])
}
