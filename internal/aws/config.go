// Package aws is the small adapters between spotbatch and the AWS services that are neither its store nor its launcher: the
// queues, the event bus, and the SDK's configuration inside a Lambda function.
//
// It is responsible for building each request, for telling success from failure where the SDK's error alone does not, and for
// what people read of an error. It refuses to decide anything about a job and to read the environment: its callers,
// internal/function, internal/doctor and the command line, hand that in.
//
// The invariant it keeps: a nil error means that the service has taken the message or the event.
package aws

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// LambdaConfig is the SDK's configuration inside a Lambda function, from the variables that Lambda sets and the SDK's own
// endpoint variables. The SDK's general loader knows a dozen further sources, which no function has: without it a function's
// binary is 1.8 MB smaller and starts faster.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func LambdaConfig(getenv func(string) string) (aws.Config, error) {
	config := aws.Config{
		Region: getenv("AWS_REGION"), ConfigSources: []any{endpoints(getenv)},
		HTTPClient: httpClient(),
	}
	var missing []string
	if config.Region == "" {
		missing = append(missing, "AWS_REGION")
	}
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		if getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return config, fmt.Errorf("not set: %s; Lambda sets them for every function", strings.Join(missing, ", "))
	}
	config.Credentials = aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(
		getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN")))
	if endpoint := getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		config.BaseEndpoint = aws.String(endpoint)
	}
	return config, nil
}

const (
	// answerWithin is how long a service may take for an answer, RunTask too. Without it a call that hangs would take the whole
	// invocation with it.
	answerWithin = 10 * time.Second
	// connectWithin is how long it may take to connect; the SDK's own 30 seconds are half an invocation.
	connectWithin = 3 * time.Second
	// idleFor is how long a connection is kept that nobody uses. Lambda freezes an instance between invocations: what was idle
	// for longer the service has closed meanwhile, and a RunTask on it would count as unanswered. Go compares with the wall
	// clock, so the time in the ice counts.
	idleFor = 15 * time.Second
)

// httpClient is the one that all clients share.
func httpClient() *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTimeout(answerWithin).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectWithin }).
		WithTransportOptions(func(t *http.Transport) {
			t.TLSHandshakeTimeout, t.IdleConnTimeout = connectWithin, idleFor
		})
}

// endpoints tells the SDK's clients of AWS_ENDPOINT_URL_<SERVICE>, in the way in which the general loader does.
type endpoints func(name string) string

// GetServiceBaseEndpoint is asked by each client for the endpoint of its service.
func (e endpoints) GetServiceBaseEndpoint(_ context.Context, sdkID string) (string, bool, error) {
	endpoint := e("AWS_ENDPOINT_URL_" + strings.ToUpper(strings.ReplaceAll(sdkID, " ", "_")))
	return endpoint, endpoint != "", nil
}
