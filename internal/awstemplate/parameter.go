package awstemplate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// list tells whether the parameter's value is several, separated by commas.
func (p Parameter) list() bool {
	return p.Type == "CommaDelimitedList" || strings.HasPrefix(p.Type, "List<")
}

// Check tells why CloudFormation refuses a value for the parameter. A pattern must match all of it, or of a list each value.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
func (p Parameter) Check(value string) error {
	allowed := func(v any) bool { return fmt.Sprint(v) == value }
	if p.AllowedValues != nil && !slices.ContainsFunc(p.AllowedValues, allowed) {
		return fmt.Errorf("%q is none of %v", value, p.AllowedValues)
	}
	if p.Type == "Number" {
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || p.MinValue != nil && n < *p.MinValue || p.MaxValue != nil && n > *p.MaxValue {
			return fmt.Errorf("%q is no number, or too small or large", value)
		}
	}
	if p.AllowedPattern == "" {
		return nil
	}
	form, err := regexp.Compile("^(?:" + p.AllowedPattern + ")$")
	if err != nil {
		return err
	}
	values := []string{value}
	if p.list() {
		values = strings.Split(value, ",")
	}
	for _, v := range values {
		if !form.MatchString(v) {
			return fmt.Errorf("%q is not of the form %s", v, p.AllowedPattern)
		}
	}
	return nil
}

// rules evaluates the template's rules; the error is the first that the parameters break.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
func (r *resolver) rules() error {
	for name, rule := range r.template.Rules {
		if rule.RuleCondition != nil {
			applies, err := r.value(rule.RuleCondition)
			if err != nil {
				return fmt.Errorf("rule %s: %w", name, err)
			}
			if applies != true {
				continue
			}
		}
		for _, assertion := range rule.Assertions {
			holds, err := r.value(assertion.Assert)
			if err != nil {
				return fmt.Errorf("rule %s: %w", name, err)
			}
			if holds != true {
				return fmt.Errorf("rule %s: %s", name, assertion.AssertDescription)
			}
		}
	}
	return nil
}
