package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spotbatch/spotbatch/internal/intake"
)

// standardInput is how problems call it.
const standardInput = "stdin"

// openRequests opens FILE, or standard input for "-" and for nothing where it is not a terminal.
func (c *cli) openRequests(file string) (*intake.Documents, io.Closer, error) {
	if file == "" {
		if _, _, terminal := c.window(c.stdin); terminal {
			return nil, nil, usageError(errors.New("give the job requests with -f FILE, or -f - for standard input"))
		}
		file = "-"
	}
	if file == "-" {
		return intake.NewDocuments(standardInput, c.stdin), io.NopCloser(nil), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, usageError(err)
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%s is a directory: give a file of job requests", file)
		}
		return nil, nil, usageError(errors.Join(err, f.Close()))
	}
	return intake.NewDocuments(file, f), f, nil
}
