package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
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

// namedRequests are the first requests of a file's ids, by id. Of a request it keeps the fingerprint, for a file may hold a
// million.
type namedRequests map[string]struct{ fingerprint, where string }

// identify returns the id that a request names, if any, and what is wrong with it: an earlier request of the file has the id and is
// another one. They are submitted side by side, and which of the two became the job would be chance.
func (n namedRequests) identify(r intake.Document) (id, problem string) {
	id = jobs.ResolveID(r.Body)
	fingerprint, err := jobs.Fingerprint(r.Body)
	if id == "" || err != nil { // what cannot be read is refused for that
		return id, ""
	}
	first, known := n[id]
	if known && first.fingerprint != fingerprint {
		return id, "jobId: " + id + " has another request at " + first.where
	}
	if !known {
		first.fingerprint, first.where = fingerprint, r.Where
		n[id] = first
	}
	return id, ""
}
