//go:build defaultconfig

package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// loadConfig makes the configuration as most functions do, with the SDK's general loader.
func loadConfig() (aws.Config, error) { return config.LoadDefaultConfig(context.Background()) }
