package awstemplate

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

//go:embed testdata/transformed.json
var transformed []byte

// Template is a CloudFormation template, its intrinsic functions unresolved.
type Template struct {
	Parameters map[string]Parameter
	Rules      map[string]Rule
	Mappings   map[string]map[string]map[string]any
	Conditions map[string]any
	Resources  map[string]Resource
	Outputs    map[string]Output
}

// Parameter is one parameter's declaration.
type Parameter struct {
	Type, Description  string
	Default            any
	AllowedValues      []any
	AllowedPattern     string
	MinValue, MaxValue *float64
}

// Rule is a rule that parameters are held to together.
type Rule struct {
	RuleCondition any
	Assertions    []struct {
		Assert            any
		AssertDescription string
	}
}

// Resource is one resource. In a Stack its properties are resolved.
type Resource struct {
	Type                string
	Condition           string
	DeletionPolicy      string
	UpdateReplacePolicy string
	Properties          map[string]any
	Metadata            map[string]any
}

// Output is one output.
type Output struct {
	Condition, Description string
	Value                  any
}

// Load returns what the SAM transform made of template.yaml, and the SHA-256 of the template.yaml that it was made from.
func Load() (*Template, string, error) {
	var file struct {
		SHA256   string
		Template *Template
	}
	if err := json.Unmarshal(transformed, &file); err != nil {
		return nil, "", fmt.Errorf("read transformed template: %w", err)
	}
	return file.Template, file.SHA256, nil
}

// Stack is a template deployed in thought: conditions decided, intrinsic functions resolved.
type Stack struct {
	Parameters map[string]string // those not given by their default
	Resources  map[string]Resource
	Outputs    map[string]string
}

// OfType returns the names of all resources of a type, sorted.
func (s *Stack) OfType(typ string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.Resources)), func(id string) bool { return s.Resources[id].Type != typ })
}
