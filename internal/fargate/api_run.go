package fargate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// What RunTask answers with HTTP 200 where it starts nothing.
const (
	// https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity
	failureCapacity = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
	// With a curly apostrophe, as AWS prints it.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
	failureQuota = "You’ve reached the limit on the number of vCPUs you can run concurrently"
)

// The platform that tasks run on, and the name of whichever is newest.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/platform-fargate.html
const (
	platformVersion = "1.4.0"
	platformLatest  = "LATEST"
)

// runRequest is a RunTask request whose shape has been checked.
type runRequest struct {
	in          *ecs.RunTaskInput
	provider    string // empty: launchType FARGATE
	count       int
	overrides   []byte // JSON, as the task echoes them
	token       string
	fingerprint string
	// ids of the tasks that it may start, made here because the transaction may run twice.
	ids []string
}

// runAnswer is what a RunTask comes to, once it is stored.
type runAnswer struct {
	tasks    []types.Task
	failures []types.Failure
	err      error // an answer, too: what it has changed stays
	launched bool
}

// RunTask accepts tasks. They wait in PROVISIONING until the process that executes takes them.
func (c *Cluster) RunTask(ctx context.Context, in *ecs.RunTaskInput, _ ...func(*ecs.Options)) (*ecs.RunTaskOutput, error) {
	request, err := c.checkRun(in)
	if err != nil {
		return nil, err
	}
	var answer runAnswer
	err = c.db.Update(ctx, func(tx *sqlitedb.Tx) (err error) {
		answer, err = c.run(tx, request)
		return err
	})
	if err != nil {
		return nil, err
	}
	if answer.launched {
		rouse(c.work)
	}
	if answer.err != nil {
		return nil, answer.err
	}
	// ECS shows empty lists, too.
	return &ecs.RunTaskOutput{Tasks: append([]types.Task{}, answer.tasks...), Failures: append([]types.Failure{}, answer.failures...)}, nil
}

// run is RunTask within its transaction. An error it returns comes before any write.
func (c *Cluster) run(tx *sqlitedb.Tx, request *runRequest) (answer runAnswer, err error) {
	now := c.opts.Now()
	faults, err := loadFaults(tx)
	if err != nil {
		return answer, err
	}
	if _, throttled := faults.take(faultThrottle); throttled {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
		answer.err = &smithy.GenericAPIError{Code: "ThrottlingException", Message: "Rate exceeded", Fault: smithy.FaultClient}
		return answer, faults.store(tx)
	}
	if request.token != "" {
		replayed, found, err := c.replay(tx, request, now)
		if err != nil || found {
			return replayed, err
		}
	}
	definition, err := c.definition(tx, *request.in.TaskDefinition)
	if err != nil {
		return answer, err
	}
	size, err := checkAgainst(definition, request.in.Overrides)
	if err != nil {
		return answer, err
	}
	reason, err := refusal(tx, faults, request)
	if err != nil {
		return answer, err
	}
	if reason != "" {
		answer.failures = []types.Failure{{Reason: &reason}}
	} else if answer.tasks, err = c.launch(tx, request, definition, size, now); err != nil {
		return answer, err
	}
	if err := storeToken(tx, request, answer, now); err != nil {
		return answer, err
	}
	if answer.launched = len(answer.tasks) > 0; answer.launched {
		if _, lost := faults.take(faultLostAnswer); lost {
			answer.err = errAnswerLost
		}
	}
	return answer, faults.store(tx)
}

// refusal is the failure that faults put in the place of the tasks, or empty.
func refusal(tx *sqlitedb.Tx, faults *faultSet, request *runRequest) (string, error) {
	fault := faultNoCapacityOnDemand
	if request.provider == providerSpot {
		fault = faultNoCapacity
	}
	if _, none := faults.take(fault); none {
		return failureCapacity, nil
	}
	quota := faults.find(faultQuota)
	if quota == nil {
		return "", nil
	}
	live, err := countLive(tx)
	if err != nil || live.Waiting+live.Handed+request.count <= quota.Count {
		return "", err
	}
	return failureQuota, nil
}

// launch stores the tasks.
func (c *Cluster) launch(tx *sqlitedb.Tx, request *runRequest, d *definition, size spot.Size, now time.Time) ([]types.Task, error) {
	tasks := make([]types.Task, 0, request.count)
	for _, id := range request.ids {
		t := c.newTask(id, request, d, size, now)
		if err := t.insert(tx); err != nil {
			return nil, fmt.Errorf("store task: %w", err)
		}
		shown := t.api()
		shown.Tags = t.apiTags()
		tasks = append(tasks, shown)
	}
	return tasks, nil
}

// newTask is a task as it begins.
func (c *Cluster) newTask(id string, request *runRequest, d *definition, size spot.Size, now time.Time) *task {
	arn := c.taskARN(id)
	t := &task{id: id, family: *d.Family, token: request.token, phase: phaseWaiting, tags: tagsOf(request.in, d)}
	t.detail = detail{
		Attachments:          []struct{}{},
		Attributes:           []attribute{{"ecs.cpu-architecture", architecture(d)}},
		AvailabilityZone:     region,
		CapacityProviderName: request.provider,
		ClusterArn:           c.clusterARN(),
		CPU:                  fmt.Sprint(size.CPU),
		CreatedAt:            *instant(now),
		DesiredStatus:        statusRunning,
		EnableExecuteCommand: request.in.EnableExecuteCommand,
		EphemeralStorage:     ephemeralStorage{storageSize(d, request.in.Overrides)},
		Group:                deref(request.in.Group),
		LaunchType:           string(types.LaunchTypeFargate),
		LastStatus:           statusProvisioning,
		Memory:               fmt.Sprint(size.MemoryMiB),
		Overrides:            request.overrides,
		PlatformVersion:      platformVersion,
		StartedBy:            deref(request.in.StartedBy),
		TaskArn:              arn,
		TaskDefinitionArn:    d.arn(),
		UpdatedAt:            *instant(now),
		Version:              1,
	}
	if t.Group == "" {
		t.Group = "family:" + *d.Family
	}
	for i := range d.ContainerDefinitions {
		of := &d.ContainerDefinitions[i]
		t.Containers = append(t.Containers, container{
			ContainerArn:      arnBase + "container/" + c.opts.Name + "/" + id + "/" + randomUUID(),
			LastStatus:        statusPending,
			Name:              *of.Name,
			Image:             *of.Image,
			TaskArn:           arn,
			NetworkInterfaces: []struct{}{},
			CPU:               fmt.Sprint(of.Cpu),
		})
	}
	return t
}

// tagsOf are a task's tags as JSON: the request's, and the task definition's where they are to be propagated. Empty: none.
func tagsOf(in *ecs.RunTaskInput, d *definition) string {
	tags := slices.Clone(in.Tags)
	if in.PropagateTags == types.PropagateTagsTaskDefinition {
		for _, tag := range d.Tags {
			if !slices.ContainsFunc(tags, func(t types.Tag) bool { return deref(t.Key) == deref(tag.Key) }) {
				tags = append(tags, tag)
			}
		}
	}
	if len(tags) == 0 {
		return ""
	}
	return string(encodeShapes(tags))
}

func architecture(d *definition) string {
	if d.RuntimePlatform != nil && d.RuntimePlatform.CpuArchitecture == types.CPUArchitectureArm64 {
		return "arm64"
	}
	return "x86_64"
}

func storageSize(d *definition, overrides *types.TaskOverride) int32 {
	var overridden *types.EphemeralStorage
	if overrides != nil {
		overridden = overrides.EphemeralStorage
	}
	if storage := first(overridden, d.EphemeralStorage); storage != nil {
		return storage.SizeInGiB
	}
	return 20 // Fargate's default, GiB
}

// errAnswerLost is what a caller sees whose request took effect and whose answer did not come: the SDK's error for a
// connection that timed out.
var errAnswerLost = &smithy.OperationError{
	ServiceID:     "ECS",
	OperationName: "RunTask",
	Err:           &smithyhttp.RequestSendError{Err: timeoutError{}},
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "the answer was lost: timeout awaiting response headers" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }
