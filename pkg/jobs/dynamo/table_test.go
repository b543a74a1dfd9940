package dynamo_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

func TestCreateTableWaitsAndTurnsOnTimeToLive(t *testing.T) {
	t.Parallel()
	fake, cfg := fakeDynamo(t)
	if err := dynamo.CreateTable(t.Context(), cfg, "jobs"); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{"CreateTable": 1, "DescribeTable": 1, "UpdateTimeToLive": 1}, fake.calls); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	for _, operation := range []string{"CreateTable", "DescribeTable", "UpdateTimeToLive"} {
		fake.fault = func(called string, _ int) string {
			if called == operation {
				return "AccessDeniedException"
			}
			return ""
		}
		if err := dynamo.CreateTable(t.Context(), cfg, "jobs"); err == nil || !strings.Contains(err.Error(), "table jobs") {
			t.Errorf("%s is denied and CreateTable = %v, want an error that names the table", operation, err)
		}
	}
}

// The keys and what is projected, in a line each, as template.yaml must have them too.
func TestTheTableHasOneKeyAndTwoIndexes(t *testing.T) {
	t.Parallel()
	input := dynamo.TableInput("jobs")
	got := []string{string(input.BillingMode)}
	for _, a := range input.AttributeDefinitions {
		got = append(got, *a.AttributeName+" "+string(a.AttributeType))
	}
	got = append(got, "table: "+*input.KeySchema[0].AttributeName)
	for _, x := range input.GlobalSecondaryIndexes {
		got = append(got, *x.IndexName+": "+*x.KeySchema[0].AttributeName+" "+*x.KeySchema[1].AttributeName+" "+
			string(x.Projection.ProjectionType)+" "+strings.Join(x.Projection.NonKeyAttributes, " "))
	}
	want := []string{
		"PAY_PER_REQUEST", "id S", "dueShard S", "dueAt N", "listShard S", "createdAt N", "table: id",
		"due: dueShard dueAt KEYS_ONLY ", "list: listShard createdAt INCLUDE jobName",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
}
