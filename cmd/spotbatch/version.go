package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(c.stdout, versionLine(info))
			return err
		},
	}
}

// versionLine is the version, the commit and the Go release of a build, as far as the build knows them.
func versionLine(info *debug.BuildInfo) string {
	if info == nil {
		return "spotbatch (unknown build)"
	}
	line := "spotbatch " + info.Main.Version
	if info.Main.Version == "" {
		line = "spotbatch (devel)"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		line += " " + revision[:min(len(revision), 12)]
		if settings["vcs.modified"] == "true" {
			line += " (modified)"
		}
	}
	return line + " " + info.GoVersion + " " + runtime.GOOS + "/" + runtime.GOARCH
}
