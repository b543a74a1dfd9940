package fargate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// nameRule is ECS's for families and containers.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
var nameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)

// containersMax is how many containers a task may have.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const containersMax = 10

// logDrivers are those that Fargate has.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html
var logDrivers = []types.LogDriver{types.LogDriverAwslogs, types.LogDriverSplunk, types.LogDriverAwsfirelens}

// capabilityAddable is the one capability that a container on Fargate may be given.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
const capabilityAddable = "SYS_PTRACE"

// problems gathers what is wrong with a document, so that all of it can be said at once.
type problems []string

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Sprintf(format, args...)) }

func (p *problems) addIf(wrong bool, format string, args ...any) {
	if wrong {
		p.add(format, args...)
	}
}

// checkTaskDefinition names everything for which Fargate would refuse the task definition.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
func checkTaskDefinition(in *ecs.RegisterTaskDefinitionInput) []string {
	var p problems
	p.addIf(!nameRule.MatchString(deref(in.Family)), "family: 1-255 letters, digits, hyphens and underscores are needed")
	p.addIf(!slices.Contains(in.RequiresCompatibilities, types.CompatibilityFargate), "requiresCompatibilities: FARGATE must be among them")
	p.addIf(in.NetworkMode != types.NetworkModeAwsvpc, "networkMode: Fargate needs awsvpc")
	p.addIf(len(in.PlacementConstraints) > 0, "placementConstraints: Fargate does not support them")
	//lint:ignore SA1019 A document may still have it, and Fargate never did.
	p.addIf(len(in.InferenceAccelerators) > 0, "inferenceAccelerators: Fargate does not support them")
	p.addIf(in.IpcMode != "", "ipcMode: Fargate does not support it")
	p.addIf(in.PidMode != "" && in.PidMode != types.PidModeTask, "pidMode: Fargate supports task only")
	if storage := in.EphemeralStorage; storage != nil {
		p.addIf(storage.SizeInGiB < 21 || storage.SizeInGiB > 200, "ephemeralStorage.sizeInGiB: must be 21-200")
	}
	if platform := in.RuntimePlatform; platform != nil {
		p.addIf(platform.CpuArchitecture != "" && !slices.Contains(platform.CpuArchitecture.Values(), platform.CpuArchitecture),
			"runtimePlatform.cpuArchitecture: must be X86_64 or ARM64")
		p.addIf(platform.OperatingSystemFamily != "" && platform.OperatingSystemFamily != types.OSFamilyLinux,
			"runtimePlatform.operatingSystemFamily: must be LINUX (Fargate Spot and this stand-in have no Windows)")
	}
	for i, volume := range in.Volumes {
		p.addIf(volume.Host != nil && volume.Host.SourcePath != nil, "volumes[%d].host.sourcePath: Fargate does not support it", i)
		p.addIf(volume.DockerVolumeConfiguration != nil, "volumes[%d].dockerVolumeConfiguration: Fargate does not support it", i)
	}
	size, err := taskSize(in)
	if err != nil {
		p.add("cpu, memory: %v", err)
	}
	checkContainers(&p, in.ContainerDefinitions, size)
	return p
}

func taskSize(in *ecs.RegisterTaskDefinitionInput) (spot.Size, error) {
	if in.Cpu == nil || in.Memory == nil {
		return spot.Size{}, errors.New("both are needed for a task on Fargate")
	}
	return spot.ParseSize(*in.Cpu, *in.Memory)
}

// checkContainers checks the containers, and against the task's size where that is known.
func checkContainers(p *problems, containers []types.ContainerDefinition, size spot.Size) {
	p.addIf(len(containers) > containersMax, "containerDefinitions: a task has at most %d containers", containersMax)
	essential, names := false, map[string]bool{}
	memory, cpu := 0, 0
	for i := range containers {
		c := &containers[i]
		at := fmt.Sprintf("containerDefinitions[%d]", i)
		name := deref(c.Name)
		p.addIf(!nameRule.MatchString(name), "%s.name: 1-255 letters, digits, hyphens and underscores are needed", at)
		p.addIf(name != "" && names[name], "%s.name: %s is there twice", at, name)
		names[name] = true
		essential = essential || c.Essential == nil || *c.Essential
		memory += int(deref(first(c.MemoryReservation, c.Memory)))
		cpu += int(c.Cpu)
		checkContainer(p, at, c, size)
	}
	for i := range containers {
		for j, dependency := range containers[i].DependsOn {
			p.addIf(!names[deref(dependency.ContainerName)],
				"containerDefinitions[%d].dependsOn[%d].containerName: no container has this name", i, j)
		}
	}
	p.addIf(!essential, "containerDefinitions: at least one essential container is needed")
	if size.CPU > 0 {
		p.addIf(memory > size.MemoryMiB, "containerDefinitions: the containers want %d MiB of memory, the task has %d", memory, size.MemoryMiB)
		p.addIf(cpu > size.CPU, "containerDefinitions: the containers want %d CPU units, the task has %d", cpu, size.CPU)
	}
}

func checkContainer(p *problems, at string, c *types.ContainerDefinition, size spot.Size) {
	p.addIf(deref(c.Image) == "", "%s.image: is needed", at)
	if timeout := c.StopTimeout; timeout != nil {
		p.addIf(*timeout < stopTimeoutMin || *timeout > stopTimeoutMax, "%s.stopTimeout: Fargate takes %d-%d seconds", at, stopTimeoutMin, stopTimeoutMax)
	}
	if memory := c.Memory; memory != nil {
		p.addIf(*memory < 6, "%s.memory: must be 6 MiB or more", at)
		p.addIf(size.CPU > 0 && int(*memory) > size.MemoryMiB, "%s.memory: %d MiB are more than the task's %d", at, *memory, size.MemoryMiB)
		p.addIf(deref(c.MemoryReservation) > *memory, "%s.memoryReservation: is more than memory", at)
	}
	p.addIf(c.Cpu < 0, "%s.cpu: must not be negative", at)
	p.addIf(deref(c.Privileged), "%s.privileged: Fargate does not support it", at)
	p.addIf(len(c.Links) > 0, "%s.links: awsvpc does not support them", at)
	p.addIf(len(c.ExtraHosts) > 0, "%s.extraHosts: awsvpc does not support them", at)
	p.addIf(deref(c.DisableNetworking), "%s.disableNetworking: Fargate does not support it", at)
	p.addIf(len(c.DnsSearchDomains) > 0, "%s.dnsSearchDomains: Fargate does not support them", at)
	p.addIf(len(c.DnsServers) > 0, "%s.dnsServers: Fargate does not support them", at)
	p.addIf(len(c.DockerSecurityOptions) > 0, "%s.dockerSecurityOptions: Fargate does not support them", at)
	p.addIf(len(c.ResourceRequirements) > 0, "%s.resourceRequirements: Fargate has neither GPUs nor inference accelerators", at)
	if logs := c.LogConfiguration; logs != nil {
		p.addIf(!slices.Contains(logDrivers, logs.LogDriver), "%s.logConfiguration.logDriver: Fargate takes awslogs, splunk or awsfirelens", at)
	}
	checkLinuxParameters(p, at+".linuxParameters", c.LinuxParameters)
	checkTexts(p, at, c)
	for j, port := range c.PortMappings {
		p.addIf(port.HostPort != nil && *port.HostPort != 0 && *port.HostPort != deref(port.ContainerPort),
			"%s.portMappings[%d].hostPort: awsvpc needs it to be the containerPort", at, j)
	}
}

func checkLinuxParameters(p *problems, at string, parameters *types.LinuxParameters) {
	if parameters == nil {
		return
	}
	p.addIf(parameters.MaxSwap != nil, "%s.maxSwap: Fargate does not support it", at)
	p.addIf(parameters.Swappiness != nil, "%s.swappiness: Fargate does not support it", at)
	p.addIf(len(parameters.Devices) > 0, "%s.devices: Fargate does not support them", at)
	p.addIf(parameters.SharedMemorySize != nil, "%s.sharedMemorySize: Fargate does not support it", at)
	p.addIf(len(parameters.Tmpfs) > 0, "%s.tmpfs: Fargate does not support it", at)
	if capabilities := parameters.Capabilities; capabilities != nil {
		p.addIf(slices.ContainsFunc(capabilities.Add, func(name string) bool { return name != capabilityAddable }),
			"%s.capabilities.add: Fargate takes %s only", at, capabilityAddable)
	}
}

// checkTexts checks what becomes a process's arguments and environment. It never quotes them: they may be secret.
func checkTexts(p *problems, at string, c *types.ContainerDefinition) {
	const nul = "\x00"
	for j, word := range c.EntryPoint {
		p.addIf(strings.Contains(word, nul), "%s.entryPoint[%d]: must not contain a NUL character", at, j)
	}
	for j, word := range c.Command {
		p.addIf(strings.Contains(word, nul), "%s.command[%d]: must not contain a NUL character", at, j)
	}
	for j, variable := range c.Environment {
		name := deref(variable.Name)
		p.addIf(name == "", "%s.environment[%d].name: is needed", at, j)
		p.addIf(strings.ContainsAny(name, "="+nul), "%s.environment[%d].name: must contain neither = nor a NUL character", at, j)
		p.addIf(strings.Contains(deref(variable.Value), nul), "%s.environment[%d].value: must not contain a NUL character", at, j)
	}
}

// unsupported names the settings that change what a task does and that the stand-in ignores. See the package's comment.
func unsupported(d *definition) []string {
	var p problems
	p.addIf(len(d.Volumes) > 0, "volumes")
	p.addIf(d.ProxyConfiguration != nil, "proxyConfiguration")
	p.addIf(d.PidMode != "", "pidMode")
	for i := range d.ContainerDefinitions {
		c := &d.ContainerDefinitions[i]
		for setting, given := range map[string]bool{
			"mountPoints":           len(c.MountPoints) > 0,
			"volumesFrom":           len(c.VolumesFrom) > 0,
			"dependsOn":             len(c.DependsOn) > 0,
			"secrets":               len(c.Secrets) > 0,
			"environmentFiles":      len(c.EnvironmentFiles) > 0,
			"healthCheck":           c.HealthCheck != nil,
			"restartPolicy":         c.RestartPolicy != nil && deref(c.RestartPolicy.Enabled),
			"firelensConfiguration": c.FirelensConfiguration != nil,
			"repositoryCredentials": c.RepositoryCredentials != nil,
			"startTimeout":          c.StartTimeout != nil,
			"ulimits":               len(c.Ulimits) > 0,
			"systemControls":        len(c.SystemControls) > 0,
			"interactive":           deref(c.Interactive),
			"pseudoTerminal":        deref(c.PseudoTerminal),
			"hostname":              c.Hostname != nil,
			"linuxParameters":       beyondInit(c.LinuxParameters),
		} {
			p.addIf(given, "containerDefinitions[%d].%s", i, setting)
		}
	}
	slices.Sort(p)
	return p
}

// beyondInit tells whether there is more in linuxParameters than initProcessEnabled, which is honoured.
func beyondInit(parameters *types.LinuxParameters) bool {
	if parameters == nil {
		return false
	}
	rest := *parameters
	rest.InitProcessEnabled = nil
	return string(encodeShape(rest)) != "{}"
}

// first is the first pointer that is not nil.
func first[T any](pointers ...*T) *T {
	for _, pointer := range pointers {
		if pointer != nil {
			return pointer
		}
	}
	return nil
}
