package aws

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/aws/smithy-go"
)

func TestWords(t *testing.T) {
	t.Parallel()
	operation := func(err error) error {
		return fmt.Errorf("call: %w", &smithy.OperationError{ServiceID: "STS", OperationName: "GetCallerIdentity", Err: err})
	}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"an answer of the service's": {
			operation(&smithy.GenericAPIError{Code: "ExpiredToken", Message: "The security token is expired"}),
			"ExpiredToken: The security token is expired",
		},
		"no credentials": {
			operation(errors.New("get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found")),
			"there are no AWS credentials: sign in (aws configure, aws sso login), or give --profile",
		},
		"no way to the service": {
			operation(fmt.Errorf("exceeded maximum number of attempts, 3, %w", &url.Error{Op: "Post", URL: "https://sts", Err: errors.New("no such host")})),
			`Post "https://sts": no such host`,
		},
		"anything else of the SDK's": {operation(errors.New("failed to resolve service endpoint")), "failed to resolve service endpoint"},
		"an error of nobody's":       {errors.New("it is not there"), "it is not there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Words(c.err); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
