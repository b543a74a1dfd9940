// Bare is the smallest Lambda function that can call what spotbatch's functions call: four clients of the SDK, and a handler
// that makes one call with each; with BARE_WARM_UP, one call before its first invocation, as theirs. What the functions are
// more than this is their own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// bare is the clients.
type bare struct {
	dynamodb *dynamodb.Client
	ecs      *ecs.Client
	sqs      *sqs.Client
	events   *eventbridge.Client
}

func main() {
	config, err := loadConfig()
	if err != nil {
		log.Fatal(err)
	}
	b := bare{
		dynamodb.NewFromConfig(config), ecs.NewFromConfig(config), sqs.NewFromConfig(config), eventbridge.NewFromConfig(config),
	}
	if os.Getenv("BARE_WARM_UP") != "" {
		if err := b.get(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
	lambda.Start(b.handle)
}

func (b bare) get(ctx context.Context) error {
	key := map[string]dynamodbtypes.AttributeValue{"id": &dynamodbtypes.AttributeValueMemberS{Value: "x"}}
	_, err := b.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("jobs"), Key: key})
	return err
}

// handle makes one call with each client.
func (b bare) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	dynamodbErr := b.get(ctx)
	_, ecsErr := b.ecs.RunTask(ctx, &ecs.RunTaskInput{TaskDefinition: aws.String("spotbatch-example:1"), StartedBy: aws.String("x")})
	_, sqsErr := b.sqs.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String("https://sqs.us-east-1.amazonaws.com/123456789012/x"), MessageBody: aws.String(string(payload)),
	})
	_, eventsErr := b.events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventbridgetypes.PutEventsRequestEntry{{
		Source: aws.String("bare"), DetailType: aws.String("x"), Detail: aws.String("{}"),
	}}})
	return nil, errors.Join(dynamodbErr, ecsErr, sqsErr, eventsErr)
}
