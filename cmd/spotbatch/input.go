package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// standardInput is how problems call it.
const standardInput = "stdin"

// requests are the job requests of a file or of standard input, until there are no more or somebody stops them.
type requests struct {
	documents *intake.Documents
	file      *os.File // nil for standard input
	ctx       context.Context
	stop      context.CancelFunc // there are no more; also while Next waits for standard input
}

// openRequests opens FILE, or standard input for "-" and for nothing where it is not a terminal. Once ctx is over there are no
// more requests.
func (c *cli) openRequests(ctx context.Context, file string) (*requests, error) {
	if file == "" {
		if _, _, terminal := c.window(c.stdin); terminal {
			return nil, usageError(errors.New("give the job requests with -f FILE, or -f - for standard input"))
		}
		file = "-"
	}
	r := &requests{}
	r.ctx, r.stop = context.WithCancel(ctx)
	if file == "-" {
		r.documents = intake.NewDocuments(standardInput, until(r.ctx, c.stdin))
		return r, nil
	}
	var err error
	if r.file, err = openFile(file); err != nil {
		r.stop()
		return nil, usageError(err)
	}
	r.documents = intake.NewDocuments(file, r.file)
	return r, nil
}

func openFile(file string) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		if err == nil {
			err = fmt.Errorf("%s is a directory: give a file of job requests", file)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// until reads in until ctx is over. A read of a terminal or of a pipe waits for whoever writes, and cannot be called off: it is
// left waiting.
func until(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = w.Close() })
	return r
}

// Next returns the next request, or io.EOF.
func (r *requests) Next() (intake.Document, error) {
	if r.ctx.Err() != nil {
		return intake.Document{}, io.EOF
	}
	document, err := r.documents.Next()
	if err != nil && r.ctx.Err() != nil { // cut off in the middle, by us
		err = io.EOF
	}
	return document, err
}

func (r *requests) Close() {
	r.stop()
	if r.file != nil {
		_ = r.file.Close()
	}
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
