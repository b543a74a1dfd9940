package awstemplate

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/pkg/jobs/dynamo"
)

// tableKeys is what both the template and the store say of the table, in CloudFormation's and DynamoDB's common words.
type tableKeys struct {
	BillingMode            string
	AttributeDefinitions   []struct{ AttributeName, AttributeType string }
	KeySchema              []keyElement
	GlobalSecondaryIndexes []struct {
		IndexName  string
		KeySchema  []keyElement
		Projection struct {
			ProjectionType   string
			NonKeyAttributes []string
		}
	}
}

type keyElement struct{ AttributeName, KeyType string }

func TestTheTableIsTheOneThatTheStoreExpects(t *testing.T) {
	t.Parallel()
	stack := resolved(t, load(t), deployment())
	var got, want tableKeys
	if err := decode(stack.Resources["Table"].Properties, &got); err != nil {
		t.Fatal(err)
	}
	if err := decode(dynamo.TableInput("Table"), &want); err != nil {
		t.Fatal(err)
	}
	for _, keys := range []*tableKeys{&got, &want} {
		slices.SortFunc(keys.AttributeDefinitions, func(a, b struct{ AttributeName, AttributeType string }) int {
			return cmp.Compare(a.AttributeName, b.AttributeName)
		})
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("the table (-store +template):\n%s", diff)
	}
	var ttl struct {
		TimeToLiveSpecification struct{ AttributeName string }
	}
	if err := decode(stack.Resources["Table"].Properties, &ttl); err != nil {
		t.Fatal(err)
	}
	if got := ttl.TimeToLiveSpecification.AttributeName; got != dynamo.TTLAttribute {
		t.Errorf("the table forgets by %q, the store writes %q", got, dynamo.TTLAttribute)
	}
}
