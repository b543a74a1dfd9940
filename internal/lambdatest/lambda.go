package lambdatest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Lambda runs functions with a bounded number of instances each, which are started when they are needed.
//
// Handler is the Invoke API: RequestResponse, Event, which is answered at once and run in the background, once (Lambda would
// repeat what fails), and DryRun. Invoke is the same for callers in the same process.
type Lambda struct {
	ctx       context.Context
	functions map[string]*pool
	events    sync.WaitGroup
}

var (
	// ErrThrottled says that all instances are at work: 429 TooManyRequestsException.
	ErrThrottled = errors.New("all instances of the function are at work")
	// ErrNoFunction says that there is no function of this name: 404 ResourceNotFoundException.
	ErrNoFunction = errors.New("there is no such function")
)

// pool is one function's instances.
type pool struct {
	config Config
	slots  chan struct{} // holds one for each instance that is at work

	mu   sync.Mutex
	idle []*Function // the one that worked last is at the end, and the first to work again
}

// New makes a Lambda of functions, each with so many instances at most. The programs live until Close or until ctx ends.
func New(ctx context.Context, instances int, functions ...Config) *Lambda {
	l := &Lambda{ctx: ctx, functions: map[string]*pool{}}
	for _, config := range functions {
		l.functions[config.Name] = &pool{config: config, slots: make(chan struct{}, instances)}
	}
	return l
}

// Invoke runs an invocation on a free instance; see Function.Invoke. It does not wait for one: see ErrThrottled.
func (l *Lambda) Invoke(ctx context.Context, name string, payload []byte) (answer []byte, failed *Error, err error) {
	p := l.functions[name]
	if p == nil {
		return nil, nil, ErrNoFunction
	}
	select {
	case p.slots <- struct{}{}:
		return p.invoke(ctx, l.ctx, payload)
	default:
		return nil, nil, ErrThrottled
	}
}

// invoke runs an invocation for which there is a slot, and frees it.
func (p *pool) invoke(ctx, life context.Context, payload []byte) (answer []byte, failed *Error, err error) {
	defer func() { <-p.slots }()
	f := p.take()
	if f == nil {
		if f, err = Start(life, p.config); err != nil {
			return nil, nil, err
		}
	}
	defer p.put(f)
	return f.Invoke(ctx, payload)
}

func (p *pool) take() *Function {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	f := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return f
}

func (p *pool) put(f *Function) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, f)
}

// Log is what the instances of a function that are not at work have written.
func (l *Lambda) Log(name string) string {
	var all strings.Builder
	if p := l.functions[name]; p != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, f := range p.idle {
			all.WriteString(f.Log())
		}
	}
	return all.String()
}

// Close waits for what is under way, then stops all instances. Nothing may be invoked any more.
func (l *Lambda) Close() {
	l.events.Wait()
	for _, p := range l.functions {
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		for f := p.take(); f != nil; f = p.take() {
			f.Stop()
		}
	}
}

// Handler answers https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (l *Lambda) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", l.serve)
	return mux
}

func (l *Lambda) serve(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	name = name[strings.LastIndex(name, ":")+1:] // of an ARN; versions and aliases there are none
	payload, err := io.ReadAll(r.Body)
	if err != nil || !json.Valid(payload) {
		refuse(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); {
	case l.functions[name] == nil:
		refuse(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+name)
	case kind == "DryRun":
		w.WriteHeader(http.StatusNoContent)
	case kind == "Event":
		l.later(l.functions[name], payload)
		w.WriteHeader(http.StatusAccepted)
	case kind == "" || kind == "RequestResponse":
		l.now(w, r, name, payload)
	default:
		refuse(w, http.StatusBadRequest, "InvalidParameterValueException", "unknown invocation type "+kind)
	}
}

// later runs an invocation for which nobody waits, as soon as an instance is free. What it answers is in its log.
func (l *Lambda) later(p *pool, payload []byte) {
	l.events.Go(func() {
		select {
		case p.slots <- struct{}{}:
			_, _, _ = p.invoke(l.ctx, l.ctx, payload)
		case <-l.ctx.Done():
		}
	})
}

// now runs an invocation and answers with its result. It goes on when its caller has gone, as in Lambda.
func (l *Lambda) now(w http.ResponseWriter, r *http.Request, name string, payload []byte) {
	answer, failed, err := l.Invoke(context.WithoutCancel(r.Context()), name, payload)
	switch {
	case errors.Is(err, ErrThrottled):
		refuse(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		return
	case errors.Is(err, ErrTimedOut):
		failed = &Error{"Sandbox.Timedout", err.Error()}
	case err != nil:
		failed = &Error{"Runtime.ExitError", err.Error()}
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amz-Executed-Version", "$LATEST")
	if failed != nil {
		header.Set("X-Amz-Function-Error", "Unhandled")
		answer, _ = json.Marshal(failed) // two strings
	}
	_, _ = w.Write(answer) // who does not listen any more misses it
}

// refuse answers with an error of the API's own.
func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "message": message})
}
