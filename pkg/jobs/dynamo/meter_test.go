package dynamo_test

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// meter has DynamoDB say what each call consumed, and adds it up.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConsumedCapacity.html
type meter struct {
	mu   sync.Mutex
	bill bill
}

// bill is what was consumed: write units of the table and of its indexes, read units of both together.
type bill struct {
	puts                     int
	tableWrites, indexWrites float64
	gets, queries, batches   int
	reads                    float64
}

// reset starts a new bill and returns the last.
func (m *meter) reset() bill {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.bill
	m.bill = bill{}
	return last
}

// metered returns the configuration with the meter in it.
func (m *meter) metered(cfg aws.Config) aws.Config {
	cfg = cfg.Copy()
	cfg.APIOptions = append(cfg.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Meter", m.count), middleware.Before)
	})
	return cfg
}

func (m *meter) count(ctx context.Context, in middleware.InitializeInput, handler middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	switch p := in.Parameters.(type) {
	case *dynamodb.PutItemInput:
		p.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	case *dynamodb.GetItemInput:
		p.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	case *dynamodb.QueryInput:
		p.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	case *dynamodb.BatchGetItemInput:
		p.ReturnConsumedCapacity = types.ReturnConsumedCapacityIndexes
	}
	out, metadata, err := handler.HandleInitialize(ctx, in)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch result := out.Result.(type) {
	case *dynamodb.PutItemOutput:
		m.bill.puts++
		m.bill.tableWrites += aws.ToFloat64(result.ConsumedCapacity.Table.CapacityUnits)
		for _, index := range result.ConsumedCapacity.GlobalSecondaryIndexes {
			m.bill.indexWrites += aws.ToFloat64(index.CapacityUnits)
		}
	case *dynamodb.GetItemOutput:
		m.bill.gets++
		m.bill.reads += aws.ToFloat64(result.ConsumedCapacity.CapacityUnits)
	case *dynamodb.QueryOutput:
		m.bill.queries++
		m.bill.reads += aws.ToFloat64(result.ConsumedCapacity.CapacityUnits)
	case *dynamodb.BatchGetItemOutput:
		m.bill.batches++
		for _, c := range result.ConsumedCapacity {
			m.bill.reads += aws.ToFloat64(c.CapacityUnits)
		}
	}
	return out, metadata, err
}
