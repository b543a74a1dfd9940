package awstemplate

import (
	"cmp"
	"path"
	"slices"
	"strings"

	gocmp "github.com/google/go-cmp/cmp"
)

// queue is what is checked of a queue.
type queue struct {
	SQSManagedSSEEnabled   bool `json:"SqsManagedSseEnabled"`
	KMSMasterKeyID         string
	MessageRetentionPeriod int
	VisibilityTimeout      int
	DelaySeconds           int
	RedriveAllowPolicy     struct {
		RedrivePermission string `json:"redrivePermission"`
	}
	RedrivePolicy *struct {
		DeadLetterTargetARN string `json:"deadLetterTargetArn"`
		MaxReceiveCount     int    `json:"maxReceiveCount"`
	}
}

// all decodes every resource of a type.
func all[T any](s *Stack, typ string) map[string]T {
	found := map[string]T{}
	for _, id := range s.OfType(typ) {
		var one T
		if err := decode(s.Resources[id].Properties, &one); err != nil {
			panic(id + ": " + err.Error())
		}
		found[id] = one
	}
	return found
}

// nameOf is the logical name in an ARN or a queue's URL.
func nameOf(arn string) string { return path.Base(arn[strings.LastIndex(arn, ":")+1:]) }

// physicalNames: a second stack, or a resource that is replaced, would collide, and a named role needs CAPABILITY_NAMED_IAM.
func physicalNames(s *Stack) []finding {
	var found []finding
	names := map[string]string{
		"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName", "AWS::SQS::Queue": "QueueName",
		"AWS::DynamoDB::Table": "TableName", "AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName",
		"AWS::ECS::Cluster": "ClusterName", "AWS::Events::Rule": "Name", "AWS::Scheduler::Schedule": "Name",
		"AWS::Scheduler::ScheduleGroup": "Name", "AWS::CloudWatch::Alarm": "AlarmName", "AWS::CloudWatch::Dashboard": "DashboardName",
	}
	for id, r := range s.Resources {
		if name := names[r.Type]; r.Properties[name] != nil {
			found = append(found, finding{"names", id, "has a name of its own"})
		}
	}
	return found
}

// queueEncryption: EventBridge may not use alias/aws/sqs.
func queueEncryption(s *Stack) []finding {
	var found []finding
	for id, q := range all[queue](s, "AWS::SQS::Queue") {
		if !q.SQSManagedSSEEnabled || q.KMSMasterKeyID != "" {
			found = append(found, finding{"AwsSolutions-SQS2", id, "is not encrypted with SQS's own key"})
		}
	}
	return found
}

// queuePolicies: TLS alone, and nobody but EventBridge may send without a role.
func queuePolicies(s *Stack) []finding {
	var found []finding
	eventBridge := map[string]any{"Service": "events.amazonaws.com"}
	for _, id := range s.OfType("AWS::SQS::Queue") {
		statements, err := s.QueuePolicy(id)
		if err != nil {
			found = append(found, finding{"AwsSolutions-SQS4", id, err.Error()})
			continue
		}
		for _, st := range statements {
			sends := gocmp.Equal(st.Principal, any(eventBridge)) && slices.Equal(st.Action, []string{"sqs:SendMessage"})
			if st.Effect == "Allow" && !sends || st.Effect == "Deny" && st.Principal != "*" {
				found = append(found, finding{"AwsSolutions-SQS4", id, "lets others in, or lets them do more than send"})
			}
		}
		// Let everything be allowed: what is left is what the policy denies.
		statements = append(slices.Clone(statements), Statement{Effect: "Allow", Action: list{"*"}, Resource: list{"*"}})
		call := Call{Action: "sqs:ReceiveMessage", Resource: arn("sqs", id), Context: map[string]string{"aws:SecureTransport": "false"}}
		if ok, err := Allowed(statements, call); ok || err != nil {
			found = append(found, finding{"AwsSolutions-SQS4", id, "may be used without TLS"})
		}
	}
	return found
}

// deadLetterQueues are the queues in which something ends that failed elsewhere.
func deadLetterQueues(s *Stack) map[string]bool {
	ends := map[string]bool{}
	for _, q := range all[queue](s, "AWS::SQS::Queue") {
		if q.RedrivePolicy != nil {
			ends[nameOf(q.RedrivePolicy.DeadLetterTargetARN)] = true
		}
	}
	for _, r := range all[rule](s, "AWS::Events::Rule") {
		for _, target := range r.Targets {
			ends[nameOf(target.DeadLetterConfig.ARN)] = true
		}
	}
	for _, sc := range all[schedule](s, "AWS::Scheduler::Schedule") {
		ends[nameOf(sc.Target.DeadLetterConfig.ARN)] = true
	}
	for _, c := range all[invokeConfig](s, "AWS::Lambda::EventInvokeConfig") {
		ends[nameOf(c.DestinationConfig.OnFailure.Destination)] = true
	}
	return ends
}

func queueDeadLetters(s *Stack) []finding {
	var found []finding
	ends := deadLetterQueues(s)
	for id, q := range all[queue](s, "AWS::SQS::Queue") {
		if q.RedrivePolicy != nil || ends[id] {
			continue
		}
		for _, rule := range []string{"AwsSolutions-SQS3", "Serverless-SQSRedrivePolicy"} {
			found = append(found, finding{rule, id, "has no dead-letter queue and is none"})
		}
	}
	return found
}

// queueDelays: a job that comes alone starts at once.
func queueDelays(s *Stack) []finding {
	var found []finding
	for id, q := range all[queue](s, "AWS::SQS::Queue") {
		if q.DelaySeconds != 0 {
			found = append(found, finding{"delay", id, "keeps its messages back"})
		}
	}
	return found
}

// queueRetention: a message keeps its age when it becomes a dead letter.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
func queueRetention(s *Stack) []finding {
	var found []finding
	queues := all[queue](s, "AWS::SQS::Queue")
	for id, q := range queues {
		if q.RedrivePolicy == nil {
			if q.MessageRetentionPeriod != 1209600 { // two weeks, the most there is
				found = append(found, finding{"redrive", id, "forgets what ended there"})
			}
			continue
		}
		target := nameOf(q.RedrivePolicy.DeadLetterTargetARN)
		switch end, ok := queues[target]; {
		case !ok || end.RedrivePolicy != nil:
			found = append(found, finding{"redrive", id, target + " is no end"})
		case end.RedriveAllowPolicy.RedrivePermission != "":
			found = append(found, finding{"redrive", id, target + " does not take its dead letters"})
		case cmp.Or(end.MessageRetentionPeriod, 345600) <= cmp.Or(q.MessageRetentionPeriod, 345600):
			found = append(found, finding{"redrive", id, "its dead letters may expire as soon as they are there"})
		case q.RedrivePolicy.MaxReceiveCount < 10 || q.RedrivePolicy.MaxReceiveCount > 30: // throttled invocations count too
			found = append(found, finding{"redrive", id, "gives up after few tries, or goes on for days"})
		}
	}
	return found
}
