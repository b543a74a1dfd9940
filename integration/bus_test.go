//go:build integration

package integration_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// bus stands in for EventBridge: it takes PutEvents and keeps the job documents.
type bus struct {
	*httptest.Server

	mu        sync.Mutex
	documents []jobs.Job
}

func beginBus(t *testing.T, host string) *bus {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	b := &bus{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(b.put))
	b.Listener.Close()
	b.Listener = listener
	b.Start()
	t.Cleanup(b.Close)
	return b
}

// put answers https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (b *bus) put(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Entries []struct{ EventBusName, Source, DetailType, Detail string }
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("X-Amz-Target") != "AWSEvents.PutEvents" || json.Unmarshal(body, &request) != nil {
		http.Error(w, `{"__type": "InvalidRequest"}`, http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	entries := []map[string]string{}
	for _, entry := range request.Entries {
		var document jobs.Job
		err := json.Unmarshal([]byte(entry.Detail), &document)
		if err != nil || entry.Source != "spotbatch" || entry.DetailType != "Spotbatch Job State Change" {
			http.Error(w, `{"__type": "InvalidEvent"}`, http.StatusBadRequest)
			return
		}
		b.documents = append(b.documents, document)
		entries = append(entries, map[string]string{"EventId": document.JobID})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": 0, "Entries": entries})
}

// published are the documents of a job in the order in which they came.
func (b *bus) published(jobID string) []jobs.Job {
	b.mu.Lock()
	defer b.mu.Unlock()
	var of []jobs.Job
	for _, document := range b.documents {
		if document.JobID == jobID {
			of = append(of, document)
		}
	}
	return of
}
