package dynamo

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The attributes of an item. Those beside the document are what the table and its indexes are keyed by, what conditions ask
// for, and what a person looks for in the console.
const (
	attrID        = "id"        // S, the table's key
	attrName      = "jobName"   // S
	attrStatus    = "status"    // S
	attrVersion   = "version"   // N
	attrWriteID   = "writeId"   // S, while there is one
	attrDueShard  = "dueShard"  // S, while there is a due time
	attrDueAt     = "dueAt"     // N, milliseconds, while there is a due time
	attrListShard = "listShard" // S
	attrCreatedAt = "createdAt" // N, milliseconds
	attrDocument  = "job"       // B, see codec

	// TTLAttribute is when DynamoDB may delete the item: N, whole seconds, as it demands. Ended jobs alone have it.
	// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
	TTLAttribute = "expiresAt"
)

// index is a sharded index of the table, walked by time.
//
// One partition of an index takes 1,000 write units a second, and an index that is throttled throttles the table. The rate
// of launches is capped at tens a second, so one shard would do; these leave room for storms and cost a query each per page.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
type index struct {
	name, shard, time string // its own and its keys' names
	shards            int    // fixed: what is stored under a shard is found there alone
	newestFirst       bool
}

// dueIndex holds the jobs that have a due time. Its keys alone are projected, so a save that leaves the due time costs it
// nothing. A due time that moves costs two writes, one that goes costs one.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
func dueIndex() index { return index{name: "due", shard: attrDueShard, time: attrDueAt, shards: 8} }

// listIndex holds every job under what never changes: when it was created and its name.
func listIndex() index {
	return index{name: "list", shard: attrListShard, time: attrCreatedAt, shards: 4, newestFirst: true}
}

// shardOf is the shard that a job is in.
func (x index) shardOf(jobID string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(jobID)) // it never fails
	return shardName(int(hash.Sum32() % uint32(x.shards)))
}

// shardName is the key of the n-th shard of an index.
func shardName(n int) string { return strconv.Itoa(n) }

// TableInput is the table as template.yaml has it, but for time to live, which CreateTable turns on.
func TableInput(table string) *dynamodb.CreateTableInput {
	attribute := func(name string, kind types.ScalarAttributeType) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: kind}
	}
	due, list := dueIndex(), listIndex()
	return &dynamodb.CreateTableInput{
		TableName:   &table,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   []types.KeySchemaElement{{AttributeName: aws.String(attrID), KeyType: types.KeyTypeHash}},
		AttributeDefinitions: []types.AttributeDefinition{
			attribute(attrID, types.ScalarAttributeTypeS),
			attribute(due.shard, types.ScalarAttributeTypeS), attribute(due.time, types.ScalarAttributeTypeN),
			attribute(list.shard, types.ScalarAttributeTypeS), attribute(list.time, types.ScalarAttributeTypeN),
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{
			due.input(&types.Projection{ProjectionType: types.ProjectionTypeKeysOnly}),
			list.input(&types.Projection{ProjectionType: types.ProjectionTypeInclude, NonKeyAttributes: []string{attrName}}),
		},
	}
}

func (x index) input(projection *types.Projection) types.GlobalSecondaryIndex {
	return types.GlobalSecondaryIndex{
		IndexName: &x.name, Projection: projection,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: &x.shard, KeyType: types.KeyTypeHash},
			{AttributeName: &x.time, KeyType: types.KeyTypeRange},
		},
	}
}

// CreateTable makes the table where no template does, as on DynamoDB Local, and waits until it can be used.
func CreateTable(ctx context.Context, cfg aws.Config, table string) error {
	client := dynamodb.NewFromConfig(cfg)
	if _, err := client.CreateTable(ctx, TableInput(table)); err != nil {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = time.Second, 5*time.Second
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &table}, 5*time.Minute); err != nil {
		return fmt.Errorf("wait for table %s: %w", table, err)
	}
	_, err := client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName:               &table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(TTLAttribute), Enabled: aws.Bool(true)},
	})
	if err != nil {
		return fmt.Errorf("turn on time to live of table %s: %w", table, err)
	}
	return nil
}
