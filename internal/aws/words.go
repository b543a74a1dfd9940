package aws

import (
	"errors"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
)

// Words are what an error of a call says without what the SDK adds for whoever debugs a client: the service's own words, that there
// are no credentials, or what is wrong with the way to the service.
func Words(err error) string {
	text := err.Error()
	if operation, ok := errors.AsType[*smithy.OperationError](err); ok {
		text = operation.Unwrap().Error()
	}
	failure, answered := errors.AsType[smithy.APIError](err)
	trouble, unreachable := errors.AsType[*url.Error](err)
	switch {
	case answered:
		return failure.ErrorCode() + ": " + failure.ErrorMessage()
	case strings.Contains(text, "get credentials"), strings.Contains(text, "get identity"): // the SDK has no type for it
		return "there are no AWS credentials: sign in (aws configure, aws sso login), or give --profile"
	case unreachable:
		return trouble.Error()
	}
	return text
}
