package docker

import (
	"context"
	"fmt"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// ensureImage pulls an image unless it is on the machine. One that is there is never pulled again: it may have been built
// here, and a run on one machine should not depend on a registry.
func (e *Executor) ensureImage(ctx context.Context, image string) error {
	if image == "" {
		return &fargate.StartError{Reason: "CannotPullContainerError: the task definition names no image"}
	}
	_, err := e.api.ImageInspect(ctx, image)
	if err == nil {
		return nil
	}
	if !cerrdefs.IsNotFound(err) && !cerrdefs.IsInvalidArgument(err) {
		return fmt.Errorf("look for image %s: %w", image, err)
	}
	e.log.Info("pulling image", "image", image)
	progress, err := e.api.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		defer progress.Close()
		err = progress.Wait(ctx)
	}
	if err == nil {
		return nil
	}
	return refusal("CannotPullContainerError", err, fargate.TaskSpec{})
}
