package dynamo

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// formatDeflate is the first byte of a document that is the job's JSON, deflated with the dictionary. Another dictionary is
// another format: what is stored must stay readable.
const formatDeflate = 1

// documentMax bounds a document's JSON, so that a damaged one cannot fill the memory. It is ten times what an item holds.
const documentMax = 4 << 20

// codec turns jobs into stored documents and back. What deflating needs is large and used again; the zero codec is ready.
type codec struct{ writers, readers sync.Pool }

// encode returns the job's stored document.
func (c *codec) encode(job *jobs.Job) ([]byte, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, errors.New("the job has no JSON form") // the error could quote a value
	}
	if len(text) > documentMax {
		return nil, fmt.Errorf("the job's document takes %d bytes, more than %d", len(text), documentMax)
	}
	document := bytes.NewBuffer(make([]byte, 0, 1024))
	document.WriteByte(formatDeflate)
	w, ok := c.writers.Get().(*flate.Writer)
	if ok {
		w.Reset(document) // keeps the dictionary
	} else if w, err = flate.NewWriterDict(document, flate.BestCompression, []byte(dictionary)); err != nil {
		return nil, fmt.Errorf("deflate the job's document: %w", err)
	}
	defer c.writers.Put(w)
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("deflate the job's document: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("deflate the job's document: %w", err)
	}
	return document.Bytes(), nil
}

// errDamaged says no more than it must: whatever else was found there could be a part of somebody's command.
var errDamaged = errors.New("the stored document is damaged")

// decode reads a stored document.
func (c *codec) decode(document []byte) (*jobs.Job, error) {
	if len(document) == 0 {
		return nil, errDamaged
	}
	if format := document[0]; format != formatDeflate {
		return nil, fmt.Errorf("the stored document is in format %d, which this version does not know", format)
	}
	from := bytes.NewReader(document[1:])
	r, ok := c.readers.Get().(io.Reader)
	if !ok {
		r = flate.NewReaderDict(from, []byte(dictionary))
	} else if err := r.(flate.Resetter).Reset(from, []byte(dictionary)); err != nil {
		return nil, errDamaged
	}
	defer c.readers.Put(r)
	text, err := io.ReadAll(io.LimitReader(r, documentMax+1))
	if err != nil || len(text) > documentMax || from.Len() > 0 {
		return nil, errDamaged
	}
	job := new(jobs.Job)
	if err := json.Unmarshal(text, job); err != nil {
		return nil, errDamaged
	}
	return job, nil
}
