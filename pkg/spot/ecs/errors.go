package ecs

import (
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spotbatch/spotbatch/pkg/jobs"
	"github.com/spotbatch/spotbatch/pkg/spot"
)

// errorRows tells what an error of ECS means; the first row whose code matches and whose word occurs in the message (letter
// case aside; "" always does) decides. There are four classes:
//
//   - the job's fault, which no row names: a 4xx about the request itself is LAUNCH_REJECTED and ends the job;
//   - the deployment's: access, credentials, cluster, provider, network. The job waits, an alarm rings;
//   - AWS's: a throttled call, a quota, no capacity, no free address. The job waits;
//   - none: 5xx, a time-out, a broken connection. The call may have taken effect, so it proves nothing.
//
// The codes are those of each operation's own list of errors and of the list common to all:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html
//
// RunTask's errors become answers by it. Of the other operations' errors all are the caller's to try again but those two that
// answer the question: a task that StopTask does not find, a task definition that is not there; the table keeps the latter
// apart from what ECS says with the same exceptions.
var errorRows = []struct {
	code, word string
	kind       spot.AnswerKind
	cause      jobs.Cause
}{
	// "The request was aborted before a reply was sent back": a 400 that proves nothing.
	{"RequestAbortedException", "", spot.AnswerNone, ""},
	// AWS is busy; the call had no effect. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html
	// The SDK's own list of throttling codes is asked after these rows.
	{"ClientException", "too many concurrent attempts", spot.AnswerThrottled, ""},
	{"ClientException", "rate exceeded", spot.AnswerThrottled, ""},
	// EC2's throttling, which ECS tells as an InvalidParameterException: a later launch may do, with a token of its own.
	{"", "requestlimitexceeded", spot.AnswerRefused, ""},
	{"", "request limit exceeded", spot.AnswerRefused, ""},
	// No room for now.
	{"ClientException", "reached the limit on the number of", spot.AnswerRefused, jobs.CauseQuota},
	{"ClientException", "provisioning", spot.AnswerRefused, jobs.CauseQuota},
	{"LimitExceededException", "", spot.AnswerRefused, jobs.CauseQuota},
	{"ClientException", "capacity is unavailable", spot.AnswerRefused, jobs.CauseNoCapacity},
	{"", "enough free addresses", spot.AnswerRefused, jobs.CauseSubnetFull},
	// The deployment's to mend.
	{"AccessDeniedException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"ClusterNotFoundException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"BlockedException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"PlatformUnknownException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"UnrecognizedClientException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"InvalidSignatureException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"ExpiredTokenException", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"RequestExpired", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"AccessDenied", "", spot.AnswerRefused, jobs.CauseDeploymentFault}, // STS's, when the credentials cannot be renewed
	{"ExpiredToken", "", spot.AnswerRefused, jobs.CauseDeploymentFault}, // STS's as well
	{"IncompleteSignature", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"NotAuthorized", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"OptInRequired", "", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "capacity provider", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "service linked role", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "service-linked role", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "subnet", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "security group", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "cluster not found", spot.AnswerRefused, jobs.CauseDeploymentFault},
	{"", "unable to assume", spot.AnswerRefused, jobs.CauseDeploymentFault},
}

// answerOfError classifies RunTask's error. What is no refusal for certain is no answer: 5xx, time-outs, broken connections.
func answerOfError(err error) spot.Answer {
	if conflict, ok := errors.AsType[*types.ConflictException](err); ok {
		return spot.ConflictAnswer(conflict.ResourceIds)
	}
	if unsent, ok := errors.AsType[smithy.InvalidParamsError](err); ok { // it names fields, and no value
		return spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseDeploymentFault, Reason: "RunTask was not called: " + unsent.Error()}
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return spot.Answer{Kind: spot.AnswerNone, Reason: "RunTask gave no answer."}
	}
	reason := api.ErrorCode() + ": " + api.ErrorMessage()
	message := strings.ToLower(api.ErrorMessage())
	for _, row := range errorRows {
		if (row.code == "" || row.code == api.ErrorCode()) && strings.Contains(message, row.word) && !serverFault(err, api) {
			return spot.Answer{Kind: row.kind, Cause: row.cause, Reason: reason}
		}
	}
	answer := answerOfStatus(err, api)
	answer.Reason = reason
	return answer
}

// answerOfStatus classifies what no row names: by the SDK's own lists of codes, then by the HTTP status. Only a 4xx that
// neither blames access nor the moment, and has a code of ECS's, is a refusal for good.
func answerOfStatus(err error, api smithy.APIError) spot.Answer {
	_, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]
	_, passing := retry.DefaultRetryableErrorCodes[api.ErrorCode()]
	status := statusOf(err)
	switch {
	case serverFault(err, api), passing, status == http.StatusRequestTimeout:
		return spot.Answer{Kind: spot.AnswerNone}
	case throttled, status == http.StatusTooManyRequests:
		return spot.Answer{Kind: spot.AnswerThrottled}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseDeploymentFault}
	case api.ErrorCode() == codeUnknown, status >= 300 && status < 400:
		return spot.Answer{Kind: spot.AnswerNone} // what gives no code is a proxy and not ECS
	}
	return spot.Answer{Kind: spot.AnswerRefused, Cause: jobs.CauseLaunchRejected}
}

// codeUnknown is the SDK's code of an error in whose response it found none.
const codeUnknown = "UnknownError"

// statusOf is the HTTP status of an error's response, or 0.
func statusOf(err error) int {
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		return 0
	}
	return response.HTTPStatusCode()
}

// serverFault reports whether AWS failed, by the error's own word or by its HTTP status.
func serverFault(err error, api smithy.APIError) bool {
	if api.ErrorFault() == smithy.FaultServer {
		return true
	}
	return statusOf(err) >= http.StatusInternalServerError
}

// invalidParameter reports whether ECS refused the combination of parameters.
func invalidParameter(err error) bool {
	_, invalid := errors.AsType[*types.InvalidParameterException](err)
	return invalid
}

// taskUnknown reports whether StopTask did not find the task.
func taskUnknown(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.Contains(strings.ToLower(api.ErrorMessage()), "task was not found")
}

// definitionUnknown reports whether DescribeTaskDefinition did not find the task definition. ECS says it with a general
// exception ("Unable to describe task definition."), so it is one of these that means nothing else.
func definitionUnknown(err error) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && (api.ErrorCode() == "ClientException" || api.ErrorCode() == "InvalidParameterException") &&
		answerOfError(err).Cause == jobs.CauseLaunchRejected
}
