package awstemplate

import (
	"fmt"
	"net/netip"
	"strings"
)

// Match tells whether an EventBridge pattern matches an event, both as encoding/json reads them.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func Match(pattern, event map[string]any) (bool, error) { return matchObject(pattern, event) }

// matchObject: every field of the pattern must match. Of an array of objects one must match the pattern as a whole.
func matchObject(pattern map[string]any, event any) (bool, error) {
	if elements, ok := event.([]any); ok {
		for _, e := range elements {
			if ok, err := matchObject(pattern, e); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
	fields, _ := event.(map[string]any)
	for name, want := range pattern {
		var ok bool
		var err error
		value, present := fields[name]
		switch want := want.(type) {
		case map[string]any:
			ok, err = matchObject(want, value)
		case []any:
			if name == "$or" {
				ok, err = matchOr(want, event)
			} else {
				ok, err = matchLeaf(want, value, present)
			}
		default:
			err = fmt.Errorf("%s: a pattern's value is a list or an object, not %T", name, want)
		}
		if !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

func matchOr(patterns []any, event any) (bool, error) {
	for _, p := range patterns {
		alternative, ok := p.(map[string]any)
		if !ok {
			return false, fmt.Errorf("$or: %v is no pattern", p)
		}
		if ok, err := matchObject(alternative, event); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// matchLeaf: one of the comparisons must match one of the values.
func matchLeaf(comparisons []any, value any, present bool) (bool, error) {
	values, several := value.([]any)
	if !several && present {
		values = []any{value}
	}
	_, inner := value.(map[string]any)
	for _, c := range comparisons {
		if exists, ok := existence(c); ok {
			if exists == (present && !inner) { // only leaves exist
				return true, nil
			}
			continue
		}
		for _, v := range values {
			if ok, err := compare(c, v); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func existence(comparison any) (exists, ok bool) {
	c, _ := comparison.(map[string]any)
	exists, ok = c["exists"].(bool)
	return exists, ok
}

func compare(comparison, value any) (bool, error) {
	c, ok := comparison.(map[string]any)
	if _, nested := comparison.([]any); nested || ok && len(c) != 1 {
		return false, fmt.Errorf("%v is not one comparison", comparison)
	}
	if _, nested := value.([]any); nested || !ok {
		return !nested && comparison == value, nil
	}
	text, isText := value.(string)
	for operator, argument := range c {
		switch operator {
		case "anything-but":
			return anythingBut(argument, value)
		case "numeric":
			return numeric(argument, value)
		case "cidr":
			block, err := netip.ParsePrefix(fmt.Sprint(argument))
			address, notAddress := netip.ParseAddr(text)
			return err == nil && notAddress == nil && block.Contains(address), err
		}
		if folded, ok := argument.(map[string]any); ok && folded["equals-ignore-case"] != nil { // within prefix and suffix
			argument, text = strings.ToLower(fmt.Sprint(folded["equals-ignore-case"])), strings.ToLower(text)
		}
		want, ok := argument.(string)
		if !ok {
			return false, fmt.Errorf("%s takes a string, not %v", operator, argument)
		}
		switch operator {
		case "prefix":
			return isText && strings.HasPrefix(text, want), nil
		case "suffix":
			return isText && strings.HasSuffix(text, want), nil
		case "equals-ignore-case":
			return isText && strings.EqualFold(text, want), nil
		case "wildcard":
			return isText && Glob(strings.ReplaceAll(want, "?", "\x03"), strings.ReplaceAll(text, "?", "\x03")), nil
		}
		return false, fmt.Errorf("comparison %q is not understood", operator)
	}
	return false, nil
}

// anythingBut: a value, several, or one comparison of strings with one or several arguments.
func anythingBut(argument, value any) (bool, error) {
	if inner, ok := argument.(map[string]any); ok {
		for operator, arguments := range inner {
			list, several := arguments.([]any)
			if !several {
				list = []any{arguments}
			}
			for _, a := range list {
				if matched, err := compare(map[string]any{operator: a}, value); matched || err != nil {
					return false, err
				}
			}
		}
		return true, nil
	}
	list, several := argument.([]any)
	if !several {
		list = []any{argument}
	}
	for _, a := range list {
		if a == value {
			return false, nil
		}
	}
	return true, nil
}

func numeric(argument, value any) (bool, error) {
	list, _ := argument.([]any)
	number, isNumber := value.(float64)
	if len(list) == 0 || len(list)%2 != 0 {
		return false, fmt.Errorf("numeric takes pairs, not %v", argument)
	}
	for i := 0; i < len(list); i += 2 {
		limit, ok := list[i+1].(float64)
		holds, known := map[string]bool{
			"<": number < limit, "<=": number <= limit, "=": number == limit, ">=": number >= limit, ">": number > limit,
		}[fmt.Sprint(list[i])]
		if !ok || !known {
			return false, fmt.Errorf("numeric: %v %v is not understood", list[i], list[i+1])
		}
		isNumber = isNumber && holds
	}
	return isNumber, nil
}
