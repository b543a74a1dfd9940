package lambdatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Tags are the build tags of the functions: lambda.norpc leaves out the protocol of the retired go1.x runtime,
// nethttpomithttp2 HTTP/2.
const Tags = "lambda.norpc,nethttpomithttp2"

// buildFlags are what `sam build` builds the functions with; sam.mk has them too, and a test holds both together.
var buildFlags = []string{"-tags", Tags, "-trimpath", "-buildvcs=false", "-ldflags", "-s -w"}

// Build builds a main package of this module, as the template does, into a file. env, as from os.Environ, is go's
// environment; what is added to it comes last: "GOARCH=arm64". More flags go over the template's.
func Build(ctx context.Context, env []string, pkg, file string, flags ...string) error {
	args := append(append([]string{"build"}, buildFlags...), flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", file, pkg)...)
	cmd.Env = append(env[:len(env):len(env)], "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	if _, err := os.Stat(file); err != nil {
		return fmt.Errorf("build %s: %w", pkg, err)
	}
	return nil
}
