package awstemplate

import (
	"maps"
	"slices"
	"testing"
)

// finding is one place where the template breaks a rule. Rules of cdk-nag have its names.
// https://github.com/cdklabs/cdk-nag/blob/main/RULES.md
type finding struct{ rule, resource, problem string }

func (f finding) String() string { return f.resource + ": " + f.rule + ": " + f.problem }

// checks are all that a deployment is held to beside who may call what (iam_test.go) and which events pass (pattern_test.go).
var checks = []func(*Stack) []finding{
	physicalNames, queueEncryption, queuePolicies, queueDeadLetters, queueDelays, queueRetention,
	functionSettings, functionRoles, functionEnvironment, asynchronousInvocations, eventSources, recursiveLoops, logGroups,
	managedPolicies, wildcards, narrowCalls, separatePolicies, trusts,
	table, clusters, taskDefinitions, rules, schedules, alarms, alarmSignals, deadLetterAlarms, dashboards, outputs,
}

// declarations are what the template itself is held to, before anything is deployed.
var declarations = []func(*Template) []finding{parameterEdges, somethingMayRun}

func declared(template *Template) []finding {
	var all []finding
	for _, check := range declarations {
		all = append(all, check(template)...)
	}
	return all
}

// exceptions reads the reasons in a resource's metadata, as cdk-nag has them.
func exceptions(r Resource) map[string]string {
	var metadata struct {
		Nag struct {
			Rules []struct{ ID, Reason string } `json:"rules_to_suppress"`
		} `json:"cdk_nag"`
	}
	if err := decode(r.Metadata, &metadata); err != nil {
		return nil
	}
	all := map[string]string{}
	for _, r := range metadata.Nag.Rules {
		all[r.ID] = r.Reason
	}
	return all
}

// raw are all findings, those with a reason among them.
func raw(s *Stack) []finding {
	var all []finding
	for _, check := range checks {
		all = append(all, check(s)...)
	}
	return all
}

// findings are those without a reason.
func findings(s *Stack) []finding {
	return slices.DeleteFunc(raw(s), func(f finding) bool { return exceptions(s.Resources[f.resource])[f.rule] != "" })
}

func TestTheTemplateKeepsItsRules(t *testing.T) {
	t.Parallel()
	template := load(t)
	for _, f := range slices.Concat(declared(template), findings(resolved(t, template, deployment()))) {
		t.Error(f)
	}
}

func TestEveryExceptionIsNeededAndHasAReason(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), with(map[string]string{"ClusterName": ""})) // so that everything is created
	all := raw(stack)
	for _, id := range slices.Sorted(maps.Keys(stack.Resources)) {
		if stack.Resources[id].Type == "AWS::Lambda::EventInvokeConfig" { // the SAM transform copies the function's metadata to it
			continue
		}
		for rule, reason := range exceptions(stack.Resources[id]) {
			if !slices.ContainsFunc(all, func(f finding) bool { return f.rule == rule && f.resource == id }) {
				t.Errorf("%s: nothing needs the exception to %s", id, rule)
			}
			if len(reason) < 20 {
				t.Errorf("%s: the exception to %s has no reason", id, rule)
			}
		}
	}
}
