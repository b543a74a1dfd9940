package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	quotatypes "github.com/aws/aws-sdk-go-v2/service/servicequotas/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/spotbatch/spotbatch/pkg/spot/ecs"
)

// AWS is the Source that asks the services. It calls nothing that changes anything.
type AWS struct {
	config    aws.Config
	lambda    *lambda.Client
	sqs       *sqs.Client
	events    *eventbridge.Client
	scheduler *scheduler.Client
	quotas    *servicequotas.Client
}

var _ Source = (*AWS)(nil)

// OnAWS makes the Source.
func OnAWS(config aws.Config) *AWS {
	return &AWS{
		config: config, lambda: lambda.NewFromConfig(config), sqs: sqs.NewFromConfig(config),
		events: eventbridge.NewFromConfig(config), scheduler: scheduler.NewFromConfig(config),
		quotas: servicequotas.NewFromConfig(config),
	}
}

// Identity asks who we are, which needs no permission.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (a *AWS) Identity(ctx context.Context) (string, error) {
	out, err := sts.NewFromConfig(a.config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Arn), nil
}

// Cluster implements Source.
func (a *AWS) Cluster(ctx context.Context, name string) (ecs.ClusterInfo, error) {
	return ecs.DescribeCluster(ctx, a.config, name)
}

// Function implements Source.
func (a *AWS) Function(ctx context.Context, name string) (Function, error) {
	out, err := a.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return Function{}, err
	}
	f := Function{
		ARN: aws.ToString(out.FunctionArn), State: string(out.State), StateReason: aws.ToString(out.StateReason),
		Update: string(out.LastUpdateStatus), UpdateReason: aws.ToString(out.LastUpdateStatusReason),
		TimeoutSeconds: int(aws.ToInt32(out.Timeout)),
	}
	if out.Environment != nil {
		f.Environment = out.Environment.Variables
	}
	return f, nil
}

// Mappings implements Source.
func (a *AWS) Mappings(ctx context.Context, function string) ([]Mapping, error) {
	var list []Mapping
	pages := lambda.NewListEventSourceMappingsPaginator(a.lambda, &lambda.ListEventSourceMappingsInput{FunctionName: &function})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range page.EventSourceMappings {
			mapping := Mapping{
				UUID: aws.ToString(m.UUID), QueueARN: aws.ToString(m.EventSourceArn), State: aws.ToString(m.State),
				WindowSeconds: int(aws.ToInt32(m.MaximumBatchingWindowInSeconds)),
			}
			for _, t := range m.FunctionResponseTypes {
				mapping.ReportsItems = mapping.ReportsItems || t == lambdatypes.FunctionResponseTypeReportBatchItemFailures
			}
			list = append(list, mapping)
		}
	}
	return list, nil
}

// FailureQueue implements Source.
func (a *AWS) FailureQueue(ctx context.Context, function string) (string, error) {
	out, err := a.lambda.GetFunctionEventInvokeConfig(ctx, &lambda.GetFunctionEventInvokeConfigInput{FunctionName: &function})
	if _, none := errors.AsType[*lambdatypes.ResourceNotFoundException](err); none {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if out.DestinationConfig == nil || out.DestinationConfig.OnFailure == nil {
		return "", nil
	}
	arn := aws.ToString(out.DestinationConfig.OnFailure.Destination)
	if !strings.Contains(arn, ":sqs:") { // a topic or a bus keeps nothing
		return "", nil
	}
	return arn, nil
}

// Queue implements Source.
func (a *AWS) Queue(ctx context.Context, url string) (Queue, error) {
	out, err := a.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll},
	})
	if err != nil {
		return Queue{}, err
	}
	number := func(name sqstypes.QueueAttributeName) int {
		n, _ := strconv.Atoi(out.Attributes[string(name)])
		return n
	}
	q := Queue{
		ARN: out.Attributes["QueueArn"], Policy: out.Attributes["Policy"], KMSKey: out.Attributes["KmsMasterKeyId"],
		VisibilitySeconds: number(sqstypes.QueueAttributeNameVisibilityTimeout),
		Waiting:           number(sqstypes.QueueAttributeNameApproximateNumberOfMessages),
		InFlight:          number(sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
	}
	q.DeadLetterARN, q.MaxReceiveCount = redrive(out.Attributes["RedrivePolicy"])
	return q, nil
}

// redrive reads a redrive policy, whose count is a number or a text.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
func redrive(document string) (arn string, receives int) {
	var p struct {
		ARN      string `json:"deadLetterTargetArn"`
		Receives any    `json:"maxReceiveCount"`
	}
	_ = json.Unmarshal([]byte(document), &p) // none is empty
	switch n := p.Receives.(type) {
	case float64:
		receives = int(n)
	case string:
		receives, _ = strconv.Atoi(n)
	}
	return p.ARN, receives
}

// QueueURL implements Source. The last two parts of a queue's ARN are its account and its name.
func (a *AWS) QueueURL(ctx context.Context, arn string) (string, error) {
	parts := strings.Split(arn, ":")
	if len(parts) < 6 {
		return "", errors.New(arn + " is no queue's ARN")
	}
	out, err := a.sqs.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &parts[5], QueueOwnerAWSAccountId: &parts[4]})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.QueueUrl), nil
}

// RulesTo implements Source.
func (a *AWS) RulesTo(ctx context.Context, targetARN string) ([]Rule, error) {
	names, err := a.events.ListRuleNamesByTarget(ctx, &eventbridge.ListRuleNamesByTargetInput{TargetArn: &targetARN})
	if err != nil {
		return nil, err
	}
	var list []Rule
	for _, name := range names.RuleNames {
		rule, err := a.rule(ctx, name, targetARN)
		if err != nil {
			return nil, err
		}
		list = append(list, rule)
	}
	return list, nil
}

func (a *AWS) rule(ctx context.Context, name, targetARN string) (Rule, error) {
	out, err := a.events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &name})
	if err != nil {
		return Rule{}, err
	}
	targets, err := a.events.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: &name})
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Name: name, ARN: aws.ToString(out.Arn), State: string(out.State), Pattern: aws.ToString(out.EventPattern)}
	for _, t := range targets.Targets {
		if aws.ToString(t.Arn) == targetARN && t.DeadLetterConfig != nil {
			r.DeadLetterARN = aws.ToString(t.DeadLetterConfig.Arn)
		}
	}
	return r, nil
}

// schedulePagesMax bounds the search: an account may have a million schedules, and they cannot be found by target.
const schedulePagesMax = 20

// SchedulesTo implements Source. It looks no further than the sweep's.
func (a *AWS) SchedulesTo(ctx context.Context, targetARN string) ([]Schedule, error) {
	var list []Schedule
	pages := scheduler.NewListSchedulesPaginator(a.scheduler, &scheduler.ListSchedulesInput{MaxResults: aws.Int32(100)})
	swept := func(s Schedule) bool { return sweeps(s.Input) }
	for n := 0; pages.HasMorePages() && !slices.ContainsFunc(list, swept); n++ {
		if n == schedulePagesMax {
			return nil, errors.New("there are too many schedules to look through")
		}
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Schedules {
			if s.Target == nil || aws.ToString(s.Target.Arn) != targetARN {
				continue
			}
			out, err := a.scheduler.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: s.Name, GroupName: s.GroupName})
			if err != nil {
				return nil, err
			}
			schedule := Schedule{
				Name: aws.ToString(out.Name), State: string(out.State), Expression: aws.ToString(out.ScheduleExpression),
				Input: aws.ToString(out.Target.Input),
			}
			if out.Target.DeadLetterConfig != nil {
				schedule.DeadLetterARN = aws.ToString(out.Target.DeadLetterConfig.Arn)
			}
			list = append(list, schedule)
		}
	}
	return list, nil
}

// fargate is the service's code at Service Quotas.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const fargate = "fargate"

// Quota implements Source. An account may have no value of its own; then the default applies.
// https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
func (a *AWS) Quota(ctx context.Context, code string) (float64, error) {
	out, err := a.quotas.GetServiceQuota(ctx, &servicequotas.GetServiceQuotaInput{
		ServiceCode: aws.String(fargate), QuotaCode: &code,
	})
	if _, none := errors.AsType[*quotatypes.NoSuchResourceException](err); none {
		return a.defaultQuota(ctx, code)
	}
	if err != nil {
		return 0, err
	}
	return quotaValue(out.Quota)
}

func (a *AWS) defaultQuota(ctx context.Context, code string) (float64, error) {
	out, err := a.quotas.GetAWSDefaultServiceQuota(ctx, &servicequotas.GetAWSDefaultServiceQuotaInput{
		ServiceCode: aws.String(fargate), QuotaCode: &code,
	})
	if err != nil {
		return 0, err
	}
	return quotaValue(out.Quota)
}

func quotaValue(quota *quotatypes.ServiceQuota) (float64, error) {
	if quota == nil || quota.Value == nil {
		return 0, errors.New("there is no value in the answer of Service Quotas")
	}
	return *quota.Value, nil
}
