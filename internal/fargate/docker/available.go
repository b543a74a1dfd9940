package docker

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/client"
)

// answerMax is how long an engine may take to say that it is there.
const answerMax = 2 * time.Second

// Available tells which engine answers at the place that the docker command would use too (DOCKER_HOST or the usual
// socket), or why none does.
func Available(ctx context.Context) (string, error) {
	api, err := client.New(client.FromEnv)
	if err != nil {
		return "", fmt.Errorf("configure Docker client: %w", err)
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, answerMax)
	defer cancel()
	return answers(ctx, api)
}

// answers asks an engine for its name.
func answers(ctx context.Context, api *client.Client) (string, error) {
	ping, err := api.Ping(ctx, client.PingOptions{})
	if err != nil {
		return "", fmt.Errorf("reach Docker engine: %w", err)
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		return "", fmt.Errorf("the Docker engine runs %s containers, not Linux ones", ping.OSType)
	}
	version, err := api.ServerVersion(ctx, client.ServerVersionOptions{})
	if err != nil {
		return "", fmt.Errorf("reach Docker engine: %w", err)
	}
	return "Docker " + version.Version, nil
}
