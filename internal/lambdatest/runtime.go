package lambdatest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// invocation is one payload on its way through the program.
type invocation struct {
	id, arn string
	payload []byte
	timeout time.Duration

	began  time.Time // when the program got it
	took   time.Duration
	answer []byte
	failed *Error
	done   chan struct{} // closed when it is answered
}

func newInvocation(config Config, payload []byte) *invocation {
	return &invocation{
		id: newID(), arn: "arn:aws:lambda:us-east-1:123456789012:function:" + config.Name,
		payload: payload, timeout: config.Timeout, done: make(chan struct{}),
	}
}

// newID makes a request id in Lambda's form. It is never one that an earlier process made: submit makes job ids of it.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// runtimeAPI is Lambda's Runtime API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
func (p *process) runtimeAPI() http.Handler {
	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", p.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, r, func(i *invocation, body []byte) { i.answer = body })
	})
	mux.HandleFunc("POST "+base+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		p.answer(w, r, func(i *invocation, body []byte) { i.failed = readError(body) })
	})
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what there is of it
		select {
		case p.failed <- *readError(body):
		default: // the first counts
		}
		w.WriteHeader(http.StatusAccepted)
	})
	return mux
}

// readError reads what a runtime says of an error; where that is not in Lambda's form it is the message.
func readError(body []byte) *Error {
	e := &Error{}
	if err := json.Unmarshal(body, e); err != nil {
		e = &Error{Type: "Runtime.Unknown", Message: string(body)}
	}
	return e
}

// next is asked by the program when it has nothing to do, and answered when there is something.
func (p *process) next(w http.ResponseWriter, r *http.Request) {
	p.once.Do(func() {
		p.took = time.Since(p.began)
		close(p.ready)
	})
	select {
	case i := <-p.work:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.current, i.began = i, time.Now()
		header := w.Header()
		header.Set("Content-Type", "application/json")
		header.Set("Lambda-Runtime-Aws-Request-Id", i.id)
		header.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(i.began.Add(i.timeout).UnixMilli(), 10))
		header.Set("Lambda-Runtime-Invoked-Function-Arn", i.arn)
		header.Set("Lambda-Runtime-Trace-Id", fmt.Sprintf("Root=1-%x-000000000000000000000000;Sampled=0", i.began.Unix()))
		_, _ = w.Write(i.payload) // a program that does not read it has gone
	case <-r.Context().Done():
	}
}

// answer takes the program's answer to what it is at, in which it is put by a function.
func (p *process) answer(w http.ResponseWriter, r *http.Request, put func(*invocation, []byte)) {
	body, err := io.ReadAll(r.Body)
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.current
	if err != nil || i == nil || i.id != r.PathValue("id") {
		http.Error(w, `{"errorType":"InvalidRequestID","errorMessage":"Invalid request ID"}`, http.StatusBadRequest)
		return
	}
	p.current, i.took = nil, time.Since(i.began)
	put(i, body)
	w.WriteHeader(http.StatusAccepted)
	close(i.done)
}
