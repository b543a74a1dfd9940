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

// codec turns jobs into stored documents and back. The zero codec is ready. It keeps one writer, which holds 0.8 MB: a pool
// would drop it at every collection and make it again.
type codec struct {
	mu      sync.Mutex
	writer  *flate.Writer
	readers sync.Pool
}

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
	if err := c.deflate(document, text); err != nil {
		return nil, fmt.Errorf("deflate the job's document: %w", err)
	}
	return document.Bytes(), nil
}

func (c *codec) deflate(document *bytes.Buffer, text []byte) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writer == nil {
		if c.writer, err = flate.NewWriterDict(document, flate.BestCompression, []byte(dictionary)); err != nil {
			return err
		}
	}
	c.writer.Reset(document) // keeps the dictionary
	if _, err := c.writer.Write(text); err != nil {
		return err
	}
	return c.writer.Close()
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
