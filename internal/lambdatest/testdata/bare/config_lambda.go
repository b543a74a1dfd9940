//go:build !defaultconfig

package main

import (
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	spotbatch "github.com/spotbatch/spotbatch/internal/aws"
)

// loadConfig makes the configuration as spotbatch's functions do.
func loadConfig() (aws.Config, error) { return spotbatch.LambdaConfig(os.Getenv) }
