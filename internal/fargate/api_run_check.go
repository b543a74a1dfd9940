package fargate

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// The limits of RunTask. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
const (
	countMax     = 10
	overridesMax = 8192 // characters of JSON
	tagsMax      = 50
	tagKeyMax    = 128
	tagValueMax  = 256
)

var startedByRule = regexp.MustCompile(`^[A-Za-z0-9/_-]{0,128}$`)

// checkRun checks what can be checked of a request without looking at what is stored.
func (c *Cluster) checkRun(in *ecs.RunTaskInput) (*runRequest, error) {
	if err := c.checkCluster(in.Cluster); err != nil {
		return nil, err
	}
	request := &runRequest{in: in, token: deref(in.ClientToken), count: 1}
	if in.Count != nil {
		request.count = int(*in.Count)
	}
	switch {
	case deref(in.TaskDefinition) == "":
		return nil, clientError("TaskDefinition cannot be empty.")
	case request.count < 1 || request.count > countMax:
		return nil, parameterError("count must be between 1 and %d.", countMax)
	case !startedByRule.MatchString(deref(in.StartedBy)):
		return nil, parameterError("startedBy must be 128 or fewer letters (uppercase and lowercase), numbers, hyphens, forward slashes and underscores.")
	case !isToken(request.token):
		return nil, parameterError("clientToken must be 64 or fewer ASCII characters in the range of 33-126.")
	}
	if err := checkIgnored(in); err != nil {
		return nil, err
	}
	var err error
	if request.provider, err = provider(in); err != nil {
		return nil, err
	}
	if request.overrides, err = checkOverrides(in.Overrides); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if request.token != "" {
		request.fingerprint = fingerprint(in)
	}
	for range request.count {
		request.ids = append(request.ids, randomHex(16))
	}
	return request, nil
}

// checkIgnored refuses what would change the task and what the stand-in, or Fargate itself, does not have. What else it
// ignores is told in the package's comment.
func checkIgnored(in *ecs.RunTaskInput) error {
	environmentFiles, resources := false, false
	if in.Overrides != nil {
		//lint:ignore SA1019 A request may still have it, and Fargate never did.
		resources = len(in.Overrides.InferenceAcceleratorOverrides) > 0
		for _, override := range in.Overrides.ContainerOverrides {
			environmentFiles = environmentFiles || len(override.EnvironmentFiles) > 0
			resources = resources || len(override.ResourceRequirements) > 0
		}
	}
	switch version := deref(in.PlatformVersion); {
	case version != "" && version != platformLatest && version != platformVersion:
		return &types.PlatformUnknownException{Message: new("The specified platform does not exist.")}
	case in.PropagateTags == types.PropagateTagsService:
		return parameterError("propagateTags must be TASK_DEFINITION or NONE: there is no service.")
	case len(in.PlacementConstraints) > 0:
		return parameterError("placementConstraints: Fargate does not support them.")
	case len(in.PlacementStrategy) > 0:
		return parameterError("placementStrategy: Fargate does not support it.")
	case len(in.VolumeConfigurations) > 0:
		return parameterError("volumeConfigurations: this stand-in does not have volumes.")
	case environmentFiles:
		return parameterError("environmentFiles: this stand-in does not read them.")
	case resources:
		return parameterError("resourceRequirements: Fargate has neither GPUs nor inference accelerators.")
	}
	return nil
}

// provider is the capacity provider asked for; empty for launchType FARGATE.
func provider(in *ecs.RunTaskInput) (string, error) {
	strategy := in.CapacityProviderStrategy
	switch {
	case len(strategy) > 0 && in.LaunchType != "":
		return "", parameterError("Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.")
	case in.LaunchType == types.LaunchTypeFargate:
		return "", nil
	case in.LaunchType != "":
		return "", parameterError("No Container Instances were found in your cluster.")
	case len(strategy) == 0:
		return providerOnDemand, nil // the cluster's default strategy
	case len(strategy) > 1:
		return "", parameterError("This stand-in takes a capacity provider strategy of one item only.")
	}
	name := deref(strategy[0].CapacityProvider)
	if name != providerSpot && name != providerOnDemand {
		return "", parameterError("The specified capacity provider '%s' was not found.", name)
	}
	return name, nil
}

// checkOverrides returns the overrides as JSON, as the task echoes them.
func checkOverrides(overrides *types.TaskOverride) ([]byte, error) {
	if overrides == nil {
		overrides = &types.TaskOverride{}
	}
	encoded := encodeShape(overrides)
	if utf8.RuneCount(encoded) > overridesMax {
		return nil, parameterError("Container Overrides length must be at most %d", overridesMax)
	}
	if storage := overrides.EphemeralStorage; storage != nil && (storage.SizeInGiB < 21 || storage.SizeInGiB > 200) {
		return nil, parameterError("EphemeralStorage sizeInGiB must be between 21 and 200.")
	}
	if overrides.ContainerOverrides == nil {
		echo := *overrides
		echo.ContainerOverrides = []types.ContainerOverride{}
		return encodeShape(echo), nil
	}
	return encoded, nil
}

func checkTags(tags []types.Tag) error {
	if len(tags) > tagsMax {
		return parameterError("Tags cannot be more than %d.", tagsMax)
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		key, value := deref(tag.Key), deref(tag.Value)
		switch {
		case key == "" || utf8.RuneCountInString(key) > tagKeyMax:
			return parameterError("A tag's key must have 1 to %d characters.", tagKeyMax)
		case utf8.RuneCountInString(value) > tagValueMax:
			return parameterError("A tag's value must have at most %d characters.", tagValueMax)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return parameterError("A tag's key must not begin with aws: (reserved).")
		case seen[key]:
			return parameterError("A tag's key must not be there twice.")
		}
		seen[key] = true
	}
	return nil
}

// checkAgainst checks the overrides against the task definition, and returns the size that the task has with them.
func checkAgainst(d *definition, overrides *types.TaskOverride) (spot.Size, error) {
	switch {
	case d == nil:
		return spot.Size{}, clientError("TaskDefinition not found.")
	case !d.active:
		return spot.Size{}, clientError("TaskDefinition is inactive")
	case overrides == nil:
		return d.size, nil
	}
	cpu, memory := *first(overrides.Cpu, d.Cpu), *first(overrides.Memory, d.Memory)
	size, err := spot.ParseSize(cpu, memory)
	if err != nil {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
		return size, clientError("No Fargate configuration exists for given values: %s CPU, %s memory. See the Amazon ECS documentation for the valid values.", cpu, memory)
	}
	return size, checkContainerOverrides(d, overrides, size)
}

func checkContainerOverrides(d *definition, overrides *types.TaskOverride, size spot.Size) error {
	overridden := map[string]types.ContainerOverride{}
	for _, override := range overrides.ContainerOverrides {
		name := deref(override.Name)
		if d.container(name) == nil {
			return parameterError("Override for container named %s is not a container in the TaskDefinition.", name)
		}
		for _, variable := range override.Environment {
			if deref(variable.Name) == "" {
				return parameterError("An environment variable of the override for container %s has no name.", name)
			}
		}
		overridden[name] = override
	}
	memory := 0
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		override := overridden[*c.Name]
		hard := deref(first(override.Memory, c.Memory))
		if int(hard) > size.MemoryMiB {
			return clientError("Invalid setting for container %s: its memory must not be more than the task's.", *c.Name)
		}
		memory += int(deref(first(override.MemoryReservation, c.MemoryReservation, override.Memory, c.Memory)))
	}
	if memory > size.MemoryMiB {
		return clientError("The containers' memory of %d MiB is more than the task's %d MiB.", memory, size.MemoryMiB)
	}
	return nil
}
