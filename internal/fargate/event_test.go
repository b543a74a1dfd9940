package fargate

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/google/go-cmp/cmp"
)

// noticeEvent is the event of a Spot notice, whole. AWS's own has the same keys, as far as they can be known.
const noticeEvent = `{"version":"0","id":"UUID","detail-type":"ECS Task State Change","source":"aws.ecs",
"account":"000000000000","time":"2000-01-01T00:00:12Z","region":"local",
"resources":["arn:aws:ecs:local:000000000000:task/batch/ID"],
"detail":{"attachments":[],"attributes":[{"name":"ecs.cpu-architecture","value":"x86_64"}],"availabilityZone":"local",
"capacityProviderName":"FARGATE_SPOT","clusterArn":"arn:aws:ecs:local:000000000000:cluster/batch",
"connectivity":"CONNECTED","connectivityAt":"2000-01-01T00:00:00Z",
"containers":[{"containerArn":"arn:aws:ecs:local:000000000000:container/batch/ID/UUID","lastStatus":"RUNNING",
"name":"main","image":"example.com/job:1","runtimeId":"ID-3207122276",
"taskArn":"arn:aws:ecs:local:000000000000:task/batch/ID","networkInterfaces":[],"cpu":"0"}],
"cpu":"1024","createdAt":"2000-01-01T00:00:00Z","desiredStatus":"STOPPED","enableExecuteCommand":false,
"ephemeralStorage":{"sizeInGiB":20},"group":"family:job","launchType":"FARGATE","lastStatus":"RUNNING","memory":"2048",
"overrides":{"containerOverrides":[{"command":["run","a<b"],"environment":[{"name":"A","value":"1"}],"name":"main"}]},
"platformVersion":"1.4.0","pullStartedAt":"2000-01-01T00:00:00Z","pullStoppedAt":"2000-01-01T00:00:01.25Z",
"startedAt":"2000-01-01T00:00:01.25Z","startedBy":"spotbatch/j1/1","stopCode":"SpotInterruption",
"stoppedReason":"Your Spot Task was interrupted.","stoppingAt":"2000-01-01T00:00:12Z",
"taskArn":"arn:aws:ecs:local:000000000000:task/batch/ID",
"taskDefinitionArn":"arn:aws:ecs:local:000000000000:task-definition/job:1","updatedAt":"2000-01-01T00:00:12Z","version":4}}`

// stoppedEvent is how the end's differs.
var stoppedEvent = strings.NewReplacer(
	`"time":"2000-01-01T00:00:12Z"`, `"time":"2000-01-01T00:00:14Z"`,
	`"lastStatus":"RUNNING",`+"\n"+`"name"`, `"exitCode":143,"lastStatus":"STOPPED","name"`,
	`"group"`, `"executionStoppedAt":"2000-01-01T00:00:14Z","group"`,
	`"lastStatus":"RUNNING","memory"`, `"lastStatus":"STOPPED","memory"`,
	`"stoppedReason"`, `"stoppedAt":"2000-01-01T00:00:14.5Z","stoppedReason"`,
	`"updatedAt":"2000-01-01T00:00:12Z","version":4`, `"updatedAt":"2000-01-01T00:00:14.5Z","version":6`,
)

func TestAnEventLooksLikeAWSs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{Name: "batch"}, always(Script{Forever: true, StartDelay: 1250 * time.Millisecond, TermDelay: 2500 * time.Millisecond}))
		w.register(nil)
		w.start()
		arn := w.run(func(in *ecs.RunTaskInput) {
			in.Cluster = new("batch")
			in.Tags = []types.Tag{{Key: new("never"), Value: new("in events")}}
			in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
				Name: new(mainContainer), Command: []string{"run", "a<b"}, Environment: []types.KeyValuePair{{Name: new("A"), Value: new("1")}},
			}}}
		})
		settle(12 * time.Second)
		if err := w.Interrupt(t.Context(), arn); err != nil {
			t.Fatal(err)
		}
		settle(5 * time.Second)
		events, err := w.unacknowledged(t.Context(), 1, 10)
		if err != nil || len(events) != 2 {
			t.Fatalf("there are %d events, %v", len(events), err)
		}
		for i, want := range []string{noticeEvent, stoppedEvent.Replace(noticeEvent)} {
			got := strings.ReplaceAll(string(events[i].Body), lastPart(arn), "ID")
			got = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`).ReplaceAllString(got, "UUID")
			lines := strings.NewReplacer(`,"`, ",\n\"")
			if diff := cmp.Diff(lines.Replace(strings.ReplaceAll(want, "\n", "")), lines.Replace(got)); diff != "" {
				t.Error(diff)
			}
		}
	})
}
