package awstemplate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Where a stack is deployed in thought.
const (
	Region    = "us-east-1"
	Account   = "123456789012"
	StackName = "spotbatch"
)

// noValue stands for AWS::NoValue: the property or element is left out.
type noValue struct{}

// resolver resolves intrinsic functions.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
type resolver struct {
	template   *Template
	parameters map[string]any
}

// Resolve deploys the template in thought, or refuses parameters as CloudFormation would. A resource's physical name is its
// logical one.
func (t *Template) Resolve(parameters map[string]string) (*Stack, error) {
	r := &resolver{template: t, parameters: map[string]any{
		"AWS::Region": Region, "AWS::AccountId": Account, "AWS::Partition": "aws", "AWS::StackName": StackName,
		"AWS::StackId": arn("cloudformation", "stack/"+StackName+"/1"), "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": noValue{},
	}}
	for name := range parameters {
		if _, known := t.Parameters[name]; !known {
			return nil, fmt.Errorf("resolve: no parameter %s", name)
		}
	}
	stack := &Stack{Parameters: map[string]string{}, Resources: map[string]Resource{}, Outputs: map[string]string{}}
	for name, p := range t.Parameters {
		value, given := parameters[name]
		if !given {
			if p.Default == nil {
				return nil, fmt.Errorf("resolve: parameter %s has no default", name)
			}
			value = fmt.Sprint(p.Default)
		}
		if err := p.Check(value); err != nil {
			return nil, fmt.Errorf("resolve: parameter %s: %w", name, err)
		}
		stack.Parameters[name], r.parameters[name] = value, value
		if p.list() {
			r.parameters[name] = split(",", value)
		}
	}
	if err := r.rules(); err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		resource := t.Resources[id]
		if exists, err := r.condition(resource.Condition); err != nil || !exists {
			if err != nil {
				return nil, err
			}
			continue
		}
		properties, err := r.value(resource.Properties)
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", id, err)
		}
		resource.Properties = properties.(map[string]any)
		stack.Resources[id] = resource
	}
	for id, output := range t.Outputs {
		if exists, err := r.condition(output.Condition); err != nil || !exists {
			continue
		}
		value, err := r.value(output.Value)
		if err != nil {
			return nil, fmt.Errorf("resolve output %s: %w", id, err)
		}
		stack.Outputs[id] = fmt.Sprint(value)
	}
	return stack, nil
}

func split(by, text string) []any {
	parts := strings.Split(text, by)
	all := make([]any, len(parts))
	for i, part := range parts {
		all[i] = part
	}
	return all
}

// condition decides a condition by its name; the empty one holds.
func (r *resolver) condition(name string) (bool, error) {
	if name == "" {
		return true, nil
	}
	body, known := r.template.Conditions[name]
	if !known {
		return false, fmt.Errorf("no condition %s", name)
	}
	value, err := r.value(body)
	if err != nil {
		return false, fmt.Errorf("condition %s: %w", name, err)
	}
	holds, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("condition %s is no condition", name)
	}
	return holds, nil
}

// value resolves whatever stands in a template.
func (r *resolver) value(in any) (any, error) {
	switch in := in.(type) {
	case []any:
		out := []any{}
		for _, element := range in {
			v, err := r.value(element)
			if err != nil {
				return nil, err
			}
			if v != (noValue{}) {
				out = append(out, v)
			}
		}
		return out, nil
	case map[string]any:
		if len(in) == 1 {
			for name, args := range in {
				if name == "Ref" || name == "Condition" || strings.HasPrefix(name, "Fn::") {
					return r.intrinsic(name, args)
				}
			}
		}
		out := map[string]any{}
		for name, element := range in {
			v, err := r.value(element)
			if err != nil {
				return nil, err
			}
			if v != (noValue{}) {
				out[name] = v
			}
		}
		return out, nil
	}
	return in, nil
}

func (r *resolver) intrinsic(name string, args any) (any, error) {
	switch name {
	case "Ref":
		return r.ref(fmt.Sprint(args))
	case "Condition":
		if condition, ok := args.(string); ok {
			return r.condition(condition)
		}
		return r.object(name, args) // an IAM statement's condition
	case "Fn::GetAtt":
		return r.attribute(args)
	case "Fn::Sub":
		return r.substitute(args)
	case "Fn::If":
		return r.choose(args)
	}
	resolved, err := r.value(args)
	if err != nil {
		return nil, err
	}
	list, ok := resolved.([]any)
	if !ok {
		return nil, fmt.Errorf("%s takes a list", name)
	}
	switch {
	case name == "Fn::Join" && len(list) == 2:
		return join(fmt.Sprint(list[0]), list[1])
	case name == "Fn::Split" && len(list) == 2:
		return split(fmt.Sprint(list[0]), fmt.Sprint(list[1])), nil
	case name == "Fn::Select" && len(list) == 2:
		return pick(list[0], list[1])
	case name == "Fn::FindInMap" && len(list) == 3:
		return r.find(fmt.Sprint(list[0]), fmt.Sprint(list[1]), fmt.Sprint(list[2]))
	case name == "Fn::Equals" && len(list) == 2:
		return fmt.Sprint(list[0]) == fmt.Sprint(list[1]), nil
	case name == "Fn::Not" && len(list) == 1:
		return list[0] == false, nil
	case name == "Fn::And":
		return !slices.Contains(list, any(false)), nil
	case name == "Fn::Or":
		return slices.Contains(list, any(true)), nil
	}
	return nil, fmt.Errorf("%s with %d arguments is not understood", name, len(list))
}

func (r *resolver) object(name string, args any) (any, error) {
	v, err := r.value(args)
	return map[string]any{name: v}, err
}

func join(by string, list any) (any, error) {
	elements, ok := list.([]any)
	if !ok {
		return nil, fmt.Errorf("Fn::Join joins no %T", list)
	}
	texts := make([]string, len(elements))
	for i, e := range elements {
		texts[i] = fmt.Sprint(e)
	}
	return strings.Join(texts, by), nil
}

func pick(index, list any) (any, error) {
	i, err := strconv.Atoi(fmt.Sprint(index))
	elements, ok := list.([]any)
	if err != nil || !ok || i < 0 || i >= len(elements) {
		return nil, fmt.Errorf("Fn::Select has no element %v", index)
	}
	return elements[i], nil
}

func (r *resolver) find(mapping, top, second string) (any, error) {
	v, ok := r.template.Mappings[mapping][top][second]
	if !ok {
		return nil, fmt.Errorf("Fn::FindInMap: nothing at %s, %s, %s", mapping, top, second)
	}
	return v, nil
}

func (r *resolver) choose(args any) (any, error) {
	list, ok := args.([]any)
	if !ok || len(list) != 3 {
		return nil, fmt.Errorf("Fn::If takes a condition and two values")
	}
	holds, err := r.condition(fmt.Sprint(list[0]))
	if err != nil {
		return nil, err
	}
	if holds {
		return r.value(list[1])
	}
	return r.value(list[2])
}

var placeholder = regexp.MustCompile(`\$\{[^}]*\}`)

func (r *resolver) substitute(args any) (any, error) {
	text, own := args, map[string]any{}
	if list, ok := args.([]any); ok && len(list) == 2 {
		v, err := r.value(list[1])
		if err != nil {
			return nil, err
		}
		text, own = list[0], v.(map[string]any)
	}
	var failed error
	out := placeholder.ReplaceAllStringFunc(fmt.Sprint(text), func(found string) string {
		name := found[2 : len(found)-1]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		value, known := own[name]
		var err error
		if id, attribute, dotted := strings.Cut(name, "."); !known && dotted {
			value, err = r.attribute([]any{id, attribute})
		} else if !known {
			value, err = r.ref(name)
		}
		if err != nil {
			failed = err
		}
		return fmt.Sprint(value)
	})
	return out, failed
}

func (r *resolver) ref(name string) (any, error) {
	if v, ok := r.parameters[name]; ok {
		return v, nil
	}
	resource, ok := r.template.Resources[name]
	if !ok {
		return nil, fmt.Errorf("nothing is named %s", name)
	}
	if exists, err := r.condition(resource.Condition); err != nil || !exists {
		return nil, fmt.Errorf("%s is referred to and not created", name)
	}
	switch resource.Type {
	case "AWS::SQS::Queue":
		return QueueURL(name), nil
	case "AWS::IAM::ManagedPolicy":
		return r.attribute([]any{name, "PolicyArn"})
	case "AWS::ECS::TaskDefinition":
		family, err := r.value(resource.Properties["Family"])
		return arn("ecs", fmt.Sprintf("task-definition/%v:1", family)), err
	}
	return name, nil
}

// QueueURL is what Ref gives for a queue.
func QueueURL(id string) string {
	return "https://sqs." + Region + ".amazonaws.com/" + Account + "/" + id
}

func arn(service, resource string) string {
	return "arn:aws:" + service + ":" + Region + ":" + Account + ":" + resource
}

func (r *resolver) attribute(args any) (any, error) {
	list, ok := args.([]any)
	if !ok || len(list) != 2 {
		return nil, fmt.Errorf("Fn::GetAtt takes a resource and an attribute")
	}
	id, attribute := fmt.Sprint(list[0]), fmt.Sprint(list[1])
	resource, ok := r.template.Resources[id]
	if !ok {
		return nil, fmt.Errorf("Fn::GetAtt: no resource %s", id)
	}
	if exists, err := r.condition(resource.Condition); err != nil || !exists {
		return nil, fmt.Errorf("an attribute of %s, which is not created", id)
	}
	switch resource.Type + " " + attribute {
	case "AWS::SQS::Queue Arn":
		return arn("sqs", id), nil
	case "AWS::SQS::Queue QueueName":
		return id, nil
	case "AWS::DynamoDB::Table Arn":
		return arn("dynamodb", "table/"+id), nil
	case "AWS::Lambda::Function Arn":
		return arn("lambda", "function:"+id), nil
	case "AWS::ECS::Cluster Arn":
		return arn("ecs", "cluster/"+id), nil
	case "AWS::Events::Rule Arn":
		return arn("events", "rule/"+id), nil
	case "AWS::Scheduler::Schedule Arn":
		group, err := r.value(resource.Properties["GroupName"])
		return arn("scheduler", fmt.Sprintf("schedule/%v/%s", group, id)), err
	case "AWS::Logs::LogGroup Arn": // with its streams:
		// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-logs-loggroup.html
		return arn("logs", "log-group:"+id+":*"), nil
	case "AWS::IAM::Role Arn":
		return "arn:aws:iam::" + Account + ":role/" + id, nil
	case "AWS::IAM::ManagedPolicy PolicyArn":
		return "arn:aws:iam::" + Account + ":policy/" + id, nil
	}
	return nil, fmt.Errorf("Fn::GetAtt: %s of %s is not understood", attribute, resource.Type)
}
