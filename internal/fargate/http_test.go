package fargate

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// client is the SDK's own client of an ECS that a handler is.
func client(t *testing.T, handler http.Handler) *ecs.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return ecs.New(ecs.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Retryer: aws.NopRetryer{}, HTTPClient: server.Client(),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET"}, nil
		}),
	})
}

// served is a world of its own whose cluster is called through the client. Nothing executes: tasks wait.
func served(t *testing.T) (*world, *ecs.Client) {
	t.Helper()
	w := setup(t, Options{Name: "default"}, nil)
	return w, client(t, w.Handler(false))
}

func TestEveryOperationOverHTTPAnswersAsInProcess(t *testing.T) {
	t.Parallel()
	w, c := served(t)
	ctx := t.Context()
	registered, err := c.RegisterTaskDefinition(ctx, definitionInput("job"))
	if err != nil || *registered.TaskDefinition.Family != "job" || registered.TaskDefinition.Revision != 1 {
		t.Fatalf("registered %+v, %v", registered, err)
	}
	request := spotRequest()
	request.Tags = []types.Tag{{Key: new("team"), Value: new("data")}}
	ran, err := c.RunTask(ctx, request)
	if err != nil || len(ran.Tasks) != 1 || ran.Failures == nil {
		t.Fatalf("ran %+v, %v", ran, err)
	}
	arn := *ran.Tasks[0].TaskArn
	listed, err := c.ListTasks(ctx, &ecs.ListTasksInput{StartedBy: request.StartedBy})
	if err != nil || !slices.Equal(listed.TaskArns, []string{arn}) {
		t.Errorf("listed %+v, %v", listed, err)
	}
	compare(t, c.DescribeTasks, w.DescribeTasks, &ecs.DescribeTasksInput{
		Tasks: []string{arn, arn + "0"}, Include: []types.TaskField{types.TaskFieldTags},
	})
	compare(t, c.DescribeTaskDefinition, w.DescribeTaskDefinition, &ecs.DescribeTaskDefinitionInput{TaskDefinition: new("job")})
	compare(t, c.DescribeClusters, w.DescribeClusters, &ecs.DescribeClustersInput{Clusters: []string{"default", w.clusterARN(), "other"}})
	stopped, err := c.StopTask(ctx, &ecs.StopTaskInput{Task: &arn, Reason: new("enough")})
	if err != nil || *stopped.Task.LastStatus != "STOPPED" || *stopped.Task.StoppedReason != "enough" || stopped.Task.StoppedAt == nil {
		t.Errorf("stopped %+v, %v", stopped, err)
	}
	gone, err := c.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: new("job:1")})
	if err != nil || gone.TaskDefinition.Status != types.TaskDefinitionStatusInactive {
		t.Errorf("deregistered %+v, %v", gone, err)
	}
}

// compare calls an operation over HTTP and in process, and wants the same.
func compare[In, Out any](t *testing.T, overHTTP, inProcess func(context.Context, *In, ...func(*ecs.Options)) (*Out, error), in *In) {
	t.Helper()
	got, err := overHTTP(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	want, err := inProcess(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	sameShape(t, want, got)
}

// sameShape compares two of the SDK's shapes, but for what the client adds.
func sameShape(t *testing.T, want, got any) {
	t.Helper()
	options := cmp.Options{
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".ResultMetadata" }, cmp.Ignore()),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".noSmithyDocumentSerde" }, cmp.Ignore()),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("%T: (-want +got)\n%s", want, diff)
	}
}

func TestErrorsOverHTTPAreTheSDKsTypes(t *testing.T) {
	t.Parallel()
	w, c := served(t)
	w.register(nil)
	ctx := t.Context()

	other := spotRequest()
	other.Cluster = new("other")
	_, err := c.RunTask(ctx, other)
	if _, ok := errors.AsType[*types.ClusterNotFoundException](err); !ok {
		t.Errorf("another cluster: %v", err)
	}
	other.Cluster = new(w.clusterARN())
	if _, err := c.RunTask(ctx, other); err != nil {
		t.Errorf("the cluster by its ARN: %v", err)
	}
	unknown := spotRequest()
	unknown.TaskDefinition = new("nothing")
	_, err = c.RunTask(ctx, unknown)
	if _, ok := errors.AsType[*types.ClientException](err); !ok {
		t.Errorf("an unknown task definition: %v", err)
	}
	_, err = c.StopTask(ctx, &ecs.StopTaskInput{Task: new("nothing")})
	if refused, ok := errors.AsType[*types.InvalidParameterException](err); !ok || !strings.Contains(refused.ErrorMessage(), "not found") {
		t.Errorf("an unknown task: %v", err)
	}

	first, second := spotRequest(), spotRequest()
	first.ClientToken, second.ClientToken = new("token"), new("token")
	second.StartedBy = new("someone-else")
	ran, err := c.RunTask(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.RunTask(ctx, second)
	conflict, ok := errors.AsType[*types.ConflictException](err)
	if !ok || !slices.Equal(conflict.ResourceIds, []string{*ran.Tasks[0].TaskArn}) {
		t.Errorf("a token used twice: %v, %+v", err, conflict)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	t.Parallel()
	w, c := served(t)
	w.register(nil)
	w.inject("throttle:1,no-capacity:1,lost-answer:1")
	_, err := c.RunTask(t.Context(), spotRequest())
	if api, ok := errors.AsType[smithy.APIError](err); !ok || api.ErrorCode() != "ThrottlingException" || status(err) != http.StatusBadRequest {
		t.Errorf("throttled: %d %v", status(err), err)
	}
	out, err := c.RunTask(t.Context(), spotRequest())
	if err != nil || len(out.Tasks) != 0 || len(out.Failures) != 1 || *out.Failures[0].Reason != failureCapacity {
		t.Errorf("no capacity: %+v, %v", out, err)
	}
	request := spotRequest()
	request.ClientToken = new("token")
	_, err = c.RunTask(t.Context(), request)
	if _, answered := errors.AsType[smithy.APIError](err); err == nil || answered || status(err) != 0 {
		t.Errorf("lost answer: %d %v", status(err), err)
	}
	again, err := c.RunTask(t.Context(), request)
	if err != nil || len(again.Tasks) != 1 || w.count("fargate_tasks") != 1 {
		t.Errorf("the same request again: %+v, %v; %d tasks", again, err, w.count("fargate_tasks"))
	}
}

// status is the HTTP status of a client's error; 0: there was no answer.
func status(err error) int {
	if answered, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return answered.HTTPStatusCode()
	}
	return 0
}

func TestWhatIsNoRequestToECS(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	server := httptest.NewServer(w.Handler(false))
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		edit func(*http.Request)
		body string
		want string
	}{
		"an unknown operation": {func(r *http.Request) { r.Header.Set(targetHeader, targetPrefix+"CreateService") }, `{}`, "404 UnknownOperationException"},
		"another service's":    {func(r *http.Request) { r.Header.Set(targetHeader, "DynamoDB_20120810.ListTasks") }, `{}`, "404 UnknownOperationException"},
		"no operation":         {func(r *http.Request) { r.Header.Del(targetHeader) }, `{}`, "404 UnknownOperationException"},
		"a web form":           {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, `{}`, "404 UnknownOperationException"},
		"a GET":                {func(r *http.Request) { r.Method = http.MethodGet }, ``, "404 UnknownOperationException"},
		"another path":         {func(r *http.Request) { r.URL.Path = "/x" }, `{}`, "404 UnknownOperationException"},
		"another host's name":  {func(r *http.Request) { r.Host = "evil.example:80" }, `{}`, "400 AccessDeniedException"},
		"no JSON":              {nil, `{`, "400 SerializationException"},
		"nothing":              {nil, ``, "400 SerializationException"},
		"null":                 {nil, `null`, "400 SerializationException"},
		"a list":               {nil, `[]`, "400 SerializationException"},
		"a member of another type": {
			nil, `{"maxResults":"secret"}`, "400 SerializationException maxResults is a JSON string and must be a whole number",
		},
		"a value that may be secret": {
			nil, `{"cluster":12345678}`, "400 SerializationException cluster is a JSON number and must be a string",
		},
		"too much":          {nil, `{"family":"` + strings.Repeat("x", bodyMax) + `"}`, "413 RequestEntityTooLargeException"},
		"an unknown member": {nil, `{"newInNextYear":{"a":[1]}}`, "200 "},
		"nothing asked for": {nil, `{}`, "200 "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", contentType)
			request.Header.Set(targetHeader, targetPrefix+"ListTasks")
			if c.edit != nil {
				c.edit(request)
			}
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			var failure struct {
				Type    string `json:"__type"`
				Message string `json:"message"`
			}
			if err := json.Unmarshal(body, &failure); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			got := response.Status[:4] + failure.Type + " " + failure.Message
			if !strings.HasPrefix(got, c.want) || strings.Contains(got, "secret") || response.Header.Get("Content-Type") != contentType || response.Header.Get("x-amzn-RequestId") == "" {
				t.Errorf("%s, %v; want %s", got, response.Header, c.want)
			}
		})
	}
}

func TestAnybodyMayBeServedOnRequest(t *testing.T) {
	t.Parallel()
	w := setup(t, Options{}, nil)
	request := httptest.NewRequest(http.MethodPost, "http://build-host:4510/", strings.NewReader(`{}`))
	request.Header.Set("Content-Type", contentType)
	request.Header.Set(targetHeader, targetPrefix+"ListTasks")
	recorder := httptest.NewRecorder()
	w.Handler(true).ServeHTTP(recorder, request)
	if recorder.Code != http.StatusOK {
		t.Errorf("%d %s", recorder.Code, recorder.Body)
	}
}

func TestADatabaseThatFailsIsAServersError(t *testing.T) {
	t.Parallel()
	w, c := served(t)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := c.ListTasks(t.Context(), &ecs.ListTasksInput{})
	if _, ok := errors.AsType[*types.ServerException](err); !ok || status(err) != http.StatusInternalServerError {
		t.Errorf("%d %v", status(err), err)
	}
}

// TestEveryShapeGoesThroughTheSDKsCodec fills each operation's input and output whole, sends it through the real client, and
// wants it unchanged on the other side.
func TestEveryShapeGoesThroughTheSDKsCodec(t *testing.T) {
	t.Parallel()
	t.Run("RunTask", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).RunTask) })
	t.Run("StopTask", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).StopTask) })
	t.Run("ListTasks", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).ListTasks) })
	t.Run("DescribeTasks", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).DescribeTasks) })
	t.Run("DescribeClusters", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).DescribeClusters) })
	t.Run("RegisterTaskDefinition", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).RegisterTaskDefinition) })
	t.Run("DescribeTaskDefinition", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).DescribeTaskDefinition) })
	t.Run("DeregisterTaskDefinition", func(t *testing.T) { t.Parallel(); codec(t, (*ecs.Client).DeregisterTaskDefinition) })
}

func codec[In, Out any](t *testing.T, method func(*ecs.Client, context.Context, *In, ...func(*ecs.Options)) (*Out, error)) {
	t.Helper()
	in, want, received := new(In), new(Out), new(In)
	fill(reflect.ValueOf(in).Elem(), new(0))
	fill(reflect.ValueOf(want).Elem(), new(0))
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = readShape(body, received)
		}
		if err != nil {
			t.Error(err)
		}
		write(w, http.StatusOK, encodeShape(want))
	}))
	got, err := method(c, t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	sameShape(t, in, received)
	sameShape(t, want, got)
}

// fill sets every member of a shape, each to another value. Unions, which the stand-in does not know, stay empty.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.UnixMilli(1_700_000_000_123 + int64(*n)).UTC()))
			return
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() && field.Name != "ResultMetadata" {
				fill(v.Field(i), n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"a", "b<&>\n"} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, n)
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
	case reflect.String:
		v.SetString("text \"é\" " + strings.Repeat("x", *n%7))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.25)
	}
}
