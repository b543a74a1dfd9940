package doctor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	awsadapter "github.com/spotbatch/spotbatch/internal/aws"
	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// deployAgain mends what the template sets and somebody changed.
const deployAgain = "deploy the stack again"

// serviceLinkedRole makes what a new account lacks.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
const serviceLinkedRole = "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"

// trouble is the finding where a fact could not be had: a part that is not there is a problem, anything else leaves it unknown.
func trouble(check, actions, what string, err error) Finding {
	failure, ok := errors.AsType[smithy.APIError](err)
	switch {
	case ok && slices.Contains(missingCodes(), failure.ErrorCode()):
		return Finding{check, Problem, "there is no " + what, deployAgain + ", or name the right one"}
	case ok && strings.Contains(strings.ToLower(failure.ErrorCode()), "accessdenied"):
		return Finding{check, Unknown, "not allowed to look", "allow " + actions}
	case ok:
		return Finding{check, Unknown, awsadapter.Words(err), "run doctor again; it needs " + actions}
	}
	return Finding{check, Unknown, awsadapter.Words(err), "run doctor again"}
}

// missingCodes are how the services say that something is not there.
func missingCodes() []string {
	return []string{
		"ResourceNotFoundException", // DynamoDB, Lambda, EventBridge, Scheduler
		"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
	}
}

// identity is the check without which there is no other.
const identity = "identity"

func judgeIdentity(arn, region string, err error) Finding {
	if err != nil {
		return Finding{identity, Problem, awsadapter.Words(err), "sign in: aws configure, aws sso login, or another --profile or --region"}
	}
	return Finding{identity, OK, arn + " in " + region, ""}
}

// judgeFunction reads a function's state.
// https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
func judgeFunction(check string, f Function) Finding {
	switch {
	case f.State == "Failed":
		return Finding{check, Problem, "Failed: " + f.StateReason, deployAgain}
	case f.Update == "Failed":
		return Finding{check, Problem, "its last update failed: " + f.UpdateReason, deployAgain}
	case f.State != "Active" || f.Update == "InProgress":
		return Finding{check, Warning, "is " + f.State + ", update " + f.Update, "wait a minute, or invoke it once"}
	}
	return Finding{check, OK, fmt.Sprintf("Active, time-out %d s", f.TimeoutSeconds), ""}
}

// required are the settings without which a function does not start.
func required() []string {
	return []string{
		"SPOTBATCH_CLUSTER", "SPOTBATCH_EVENTS_QUEUE_URL", "SPOTBATCH_EVENT_BUS", "SPOTBATCH_REJECTED_QUEUE_URL",
		"SPOTBATCH_RUNNER", "SPOTBATCH_SUBNETS", "SPOTBATCH_TABLE",
	}
}

// judgeSettings compares the functions' settings with each other and with the deployment. It names settings and no value.
func judgeSettings(submit, watch map[string]string, d Deployment) Finding {
	const check = "settings"
	names := func(differs func(name string) bool) string {
		all := maps.Clone(submit)
		maps.Copy(all, watch)
		for _, name := range required() {
			all[name] = ""
		}
		var list []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if strings.HasPrefix(name, "SPOTBATCH_") && differs(name) {
				list = append(list, name)
			}
		}
		return strings.Join(list, ", ")
	}
	if submit == nil || watch == nil {
		return Finding{check, Unknown, "not allowed to see the functions' environment", "allow kms:Decrypt on the functions' key"}
	}
	missing := names(func(name string) bool {
		return slices.Contains(required(), name) && submit[name] == "" && watch[name] == ""
	})
	if missing != "" {
		return Finding{check, Problem, "not set: " + missing, deployAgain}
	}
	if differ := names(func(name string) bool { return submit[name] != watch[name] }); differ != "" {
		return Finding{check, Problem, "submit and watch differ in " + differ, deployAgain + ", so that both have the same"}
	}
	var foreign []string
	for _, s := range d.settings() {
		if *s.value != "" && lastPart(*s.value) != lastPart(submit[s.name]) {
			foreign = append(foreign, s.name)
		}
	}
	if len(foreign) > 0 {
		return Finding{check, Problem, "the functions belong to another deployment, going by " + strings.Join(foreign, ", "), "look at --stack"}
	}
	return Finding{check, OK, "the same in both functions", ""}
}

// lastPart is a name, whether it is given alone, as an ARN or as a queue's URL.
func lastPart(name string) string { return name[strings.LastIndex(name, "/")+1:] }

func judgeTable(table string, shown int, more bool) Finding {
	count := strconv.Itoa(shown)
	if more {
		count = "more than " + count
	}
	return Finding{"table", OK, table + " answers, " + count + " jobs", ""}
}

// judgeLaunches looks for jobs that wait because something about the deployment is wrong.
func judgeLaunches(newest []*jobs.Job) Finding {
	const check = "launches"
	var reason string
	n := 0
	for _, j := range newest {
		if !j.Ended() && j.Internal.RefusedCause == jobs.CauseDeploymentFault {
			n++
			reason = j.Internal.RefusedReason
		}
	}
	if n == 0 {
		return Finding{check, OK, "none of the newest jobs waits for a fault of the deployment", ""}
	}
	found := fmt.Sprintf("%d of the newest jobs wait: %s", n, reason)
	return Finding{check, Problem, found, mendLaunch(reason)}
}

func mendLaunch(reason string) string {
	switch text := strings.ToLower(reason); {
	case strings.Contains(text, "service linked role"), strings.Contains(text, "service-linked role"):
		return serviceLinkedRole
	case strings.Contains(text, "passrole"):
		return "add the task's and the execution role to the stack's PassRoleArns"
	case strings.Contains(text, "capacity provider"):
		return "see the cluster (below): it must have FARGATE and FARGATE_SPOT"
	}
	return "mend what it says; the jobs go on by themselves"
}

func judgeOverdue(late []time.Duration, more bool) Finding {
	const check = "sweep's work"
	if len(late) == 0 {
		return Finding{check, OK, "no job is overdue", ""}
	}
	count := fmt.Sprintf("%d jobs are", len(late))
	switch {
	case more:
		count = fmt.Sprintf("more than %d jobs are", len(late))
	case len(late) == 1:
		count = "1 job is"
	}
	found := fmt.Sprintf("%s overdue, by up to %s", count, slices.Max(late).Round(time.Second))
	return Finding{check, Problem, found, "see that the sweep runs (below), and look at watch's log"}
}

func judgeCluster(name, region string, info ecs.ClusterInfo, err error) Finding {
	const check = "cluster"
	switch {
	case errors.Is(err, ecs.ErrNoCluster):
		return Finding{check, Problem, "there is no cluster " + name, deployAgain + "; in a new account first: " + serviceLinkedRole}
	case err != nil && strings.Contains(strings.ToLower(err.Error()), "service linked role"):
		return Finding{check, Problem, "the account has no service-linked role for ECS", serviceLinkedRole}
	case err != nil:
		return trouble(check, "ecs:DescribeClusters", "cluster "+name, err)
	case info.Status != "ACTIVE":
		return Finding{check, Problem, name + " is " + info.Status, deployAgain}
	}
	var missing []string
	for _, provider := range []string{"FARGATE", "FARGATE_SPOT"} {
		if !slices.Contains(info.CapacityProviders, provider) {
			missing = append(missing, provider)
		}
	}
	if len(missing) > 0 {
		return Finding{
			check, Problem, name + " lacks the capacity provider " + strings.Join(missing, " and "),
			putProviders(name, region, slices.Concat(info.CapacityProviders, missing)),
		}
	}
	return Finding{check, OK, fmt.Sprintf("%s is ACTIVE with both providers, %d tasks run, %d wait", name, info.RunningTasks, info.PendingTasks), ""}
}

// putProviders is the command that gives a cluster capacity providers. The call replaces what is there: all providers must be
// given, and the default strategy, which the command reads.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html
func putProviders(cluster, region string, providers []string) string {
	return "aws ecs put-cluster-capacity-providers --region " + region + " --cluster " + cluster +
		" --capacity-providers " + strings.Join(providers, " ") +
		` --default-capacity-provider-strategy "$(aws ecs describe-clusters --region ` + region + " --clusters " + cluster +
		` --query 'clusters[0].defaultCapacityProviderStrategy' --output json)"`
}

// judgeMapping looks at how a queue feeds its function.
// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
func judgeMapping(check, queueARN, region string, mappings []Mapping) (Finding, Mapping) {
	i := slices.IndexFunc(mappings, func(m Mapping) bool { return m.QueueARN == queueARN })
	if i < 0 {
		return Finding{check, Problem, "the queue does not feed the function", deployAgain}, Mapping{}
	}
	m := mappings[i]
	switch {
	case m.State == "Disabled" || m.State == "Disabling" || m.State == "Deleting":
		return Finding{
			check, Problem, "it is " + m.State + ": nothing reads the queue",
			"aws lambda update-event-source-mapping --region " + region + " --uuid " + m.UUID + " --enabled",
		}, m
	case !m.ReportsItems:
		return Finding{check, Problem, "no ReportBatchItemFailures: a batch with one bad message is lost or repeated whole", deployAgain}, m
	case m.State != "Enabled":
		return Finding{check, Warning, "it is " + m.State, "wait a minute"}, m
	}
	return Finding{check, OK, "Enabled, failures are reported message by message", ""}, m
}

const (
	// A queue's messages stay hidden for six times the function's time-out, plus the window, so that a throttled batch is not
	// delivered twice: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
	visibilityFactor = 6
	// receivesMin is from the same page: throttled invocations count as receives.
	receivesMin = 5
)

func judgeQueue(check string, q Queue, timeoutSeconds, windowSeconds int) Finding {
	atLeast := visibilityFactor*timeoutSeconds + windowSeconds
	switch {
	case q.DeadLetterARN == "":
		return Finding{check, Problem, "it has no dead-letter queue: what fails goes round until it expires", deployAgain}
	case q.KMSKey == "alias/aws/sqs":
		return Finding{check, Problem, "it is encrypted with alias/aws/sqs, which EventBridge may not use", "use SSE-SQS: " + deployAgain}
	case q.VisibilitySeconds < atLeast:
		return Finding{
			check, Warning, fmt.Sprintf("its visibility time-out is %d s, less than %d times the function's", q.VisibilitySeconds, visibilityFactor),
			fmt.Sprintf("set it to %d s at least", atLeast),
		}
	case q.MaxReceiveCount < receivesMin:
		return Finding{check, Warning, fmt.Sprintf("maxReceiveCount is %d", q.MaxReceiveCount), fmt.Sprintf("make it %d at least", receivesMin)}
	}
	return Finding{check, OK, fmt.Sprintf("%d messages wait, %d are in work", q.Waiting, q.InFlight), ""}
}

// judgeSweep looks for the schedule that has watch sweep.
func judgeSweep(schedules []Schedule) (Finding, Schedule) {
	const check = "sweep"
	i := slices.IndexFunc(schedules, func(s Schedule) bool { return sweeps(s.Input) })
	if i < 0 {
		return Finding{check, Problem, "no schedule invokes watch with {\"sweep\":true}", deployAgain}, Schedule{}
	}
	s := schedules[i]
	switch {
	case s.State != "ENABLED":
		return Finding{check, Problem, "schedule " + s.Name + " is " + s.State, "enable it: what events do not tell is found by it alone"}, s
	case s.Expression != "rate(1 minute)":
		return Finding{check, Warning, "schedule " + s.Name + " is " + s.Expression, "make it rate(1 minute)"}, s
	}
	return Finding{check, OK, "once a minute", ""}, s
}

func judgeLetters(box letterbox, q Queue, region string) Finding {
	n := q.Waiting + q.InFlight
	if n == 0 {
		return Finding{box.name, OK, "empty", ""}
	}
	status := Warning
	if box.requests {
		status = Problem
	}
	noun := "messages"
	if n == 1 {
		noun = "message"
	}
	return Finding{box.name, status, fmt.Sprintf("%d %s", n, noun), mendLetters(box, q.ARN, region)}
}

// mendLetters is how to look at the messages or, where they are dead letters of a queue's, how to move them back to it: of no
// others does SQS do that. The queue is named, for what EventBridge put beside them came from none.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
func mendLetters(box letterbox, arn, region string) string {
	if box.to == "" {
		return "look at them: aws sqs receive-message --region " + region + " --message-attribute-names All --queue-url " + box.url
	}
	first := "mend the cause, then: "
	if box.requests {
		// A message that is moved gets a new id, and a request that names none takes its message's.
		// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
		first = "mend the cause; look first whether the job of a request without jobId is there, for a redrive makes another; then: "
	}
	return first + "aws sqs start-message-move-task --region " + region + " --source-arn " + arn + " --destination-arn " + box.to
}

// quota is one of Fargate's quotas.
type quota struct{ check, code string }

// quotas are Fargate's for vCPUs.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
func quotas() []quota {
	return []quota{{"Spot quota", "L-36FBB829"}, {"on-demand quota", "L-3032A538"}}
}

// vCPUsMin is what one task of the largest size takes.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html
const vCPUsMin = 16

func judgeQuota(q quota, value float64, region string) Finding {
	found := fmt.Sprintf("%g vCPUs at once", value)
	ask := "choose N, then: aws service-quotas request-service-quota-increase --region " + region +
		" --service-code fargate --quota-code " + q.code + " --desired-value N"
	switch {
	case value <= 0:
		return Finding{q.check, Problem, found, ask}
	case value < vCPUsMin:
		return Finding{q.check, Warning, found + "; further tasks wait", ask}
	}
	return Finding{q.check, OK, found, ""}
}
