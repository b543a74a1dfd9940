package fargate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
)

// The AWS JSON protocol 1.1, as ECS speaks it. https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
const (
	contentType  = "application/x-amz-json-1.1"
	targetHeader = "X-Amz-Target"
	targetPrefix = "AmazonEC2ContainerServiceV20141113."
	// bodyMax is more than any request that ECS takes: a task definition has at most 64 KiB.
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
	bodyMax = 1 << 20
)

// operation is one of ECS's: it reads a request's body and returns the answer's.
type operation func(ctx context.Context, c *Cluster, body []byte) ([]byte, error)

// operations are all that are answered over HTTP.
var operations = map[string]operation{
	"DeregisterTaskDefinition": over((*Cluster).DeregisterTaskDefinition),
	"DescribeClusters":         over((*Cluster).DescribeClusters),
	"DescribeTaskDefinition":   over((*Cluster).DescribeTaskDefinition),
	"DescribeTasks":            over((*Cluster).DescribeTasks),
	"ListTasks":                over((*Cluster).ListTasks),
	"RegisterTaskDefinition":   over((*Cluster).RegisterTaskDefinition),
	"RunTask":                  over((*Cluster).RunTask),
	"StopTask":                 over((*Cluster).StopTask),
}

// over makes an operation of the method that answers it in process.
func over[In, Out any](method func(*Cluster, context.Context, *In, ...func(*ecs.Options)) (*Out, error)) operation {
	return func(ctx context.Context, c *Cluster, body []byte) ([]byte, error) {
		in := new(In)
		if err := readShape(body, in); err != nil {
			return nil, err
		}
		out, err := method(c, ctx, in)
		if err != nil {
			return nil, err
		}
		return encodeShape(out), nil
	}
}

// Handler answers ECS's API over HTTP, for the aws command, for functions and for whatever speaks to ECS. It does not check
// signatures: who can reach it can run any command, so it is for this machine. Where anyone is false it also refuses
// requests to a host name that is not this machine's, which only a web page that plays tricks with names would send.
func (c *Cluster) Handler(anyone bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-amzn-RequestId", randomUUID())
		if !anyone && !thisMachine(r.Host) {
			writeError(w, refusedHost)
			return
		}
		answer, err := c.serve(r)
		switch {
		case err == nil:
			write(w, http.StatusOK, answer)
		case errors.Is(err, errAnswerLost):
			panic(http.ErrAbortHandler) // closes the connection without a word
		default:
			if _, known := errors.AsType[smithy.APIError](err); !known && r.Context().Err() == nil {
				c.opts.Logger.Error("a request to ECS failed", "operation", r.Header.Get(targetHeader), "error", err)
			}
			writeError(w, err)
		}
	})
}

// serve answers one request.
func (c *Cluster) serve(r *http.Request) ([]byte, error) {
	name, ours := strings.CutPrefix(r.Header.Get(targetHeader), targetPrefix)
	call, known := operations[name]
	if !ours || !known || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != contentType {
		return nil, unknownOperation
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, bodyMax))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, tooLarge
	}
	if err != nil {
		return nil, badDocument("the request's body ended early")
	}
	return call(r.Context(), c, body)
}

// The errors that are common to all operations, and the status of those where it is neither 400 nor 500.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html
var (
	statuses = map[string]int{
		"UnknownOperationException":      http.StatusNotFound,
		"RequestEntityTooLargeException": http.StatusRequestEntityTooLarge,
	}
	unknownOperation = &smithy.GenericAPIError{Code: "UnknownOperationException", Message: "The stand-in for ECS does not have this operation."}
	tooLarge         = &smithy.GenericAPIError{Code: "RequestEntityTooLargeException", Message: "The request is too large."}
	refusedHost      = &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "The request was sent to the name of another machine."}
	serverError      = &types.ServerException{Message: new("Service Unavailable. Please try again later.")}
)

func badDocument(message string) error {
	return &smithy.GenericAPIError{Code: "SerializationException", Message: message}
}

// writeError answers with an error in ECS's form: its code as __type, its other members beside it.
func writeError(w http.ResponseWriter, err error) {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		api = serverError
	}
	body := map[string]any{}
	if shape := reflect.ValueOf(api).Elem(); shape.Type().PkgPath() == typesPackage {
		_ = json.Unmarshal(appendShape(nil, shape), &body)
	}
	body["__type"], body["message"] = api.ErrorCode(), api.ErrorMessage()
	status := cmp.Or(statuses[api.ErrorCode()], http.StatusBadRequest)
	if api.ErrorFault() == smithy.FaultServer {
		status = http.StatusInternalServerError
	}
	write(w, status, encodeJSON(body))
}

// typesPackage holds the errors that have members of their own.
var typesPackage = reflect.TypeFor[types.ConflictException]().PkgPath()

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not listen any more misses it
}

// thisMachine tells whether a Host header names this machine. An address cannot be played tricks with.
func thisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return net.ParseIP(host) != nil || host == "localhost" || host == "host.docker.internal"
}
