package sim

import (
	"encoding/json"
	"slices"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// What is published is what was saved.

// news is what the world was told of a job.
type news struct {
	status      jobs.Status // its end, once that was told
	cause       jobs.Cause
	interrupted []int // attempts that Spot took
}

// tellNews takes a publication in.
func (w *World) tellNews(document *jobs.Job) {
	w.checkNews(document)
	n := w.published[document.JobID]
	if n == nil {
		n = &news{}
		w.published[document.JobID] = n
	}
	if n.status != "" && (!document.Ended() || document.Status != n.status || document.Cause != n.cause) {
		w.sometimes("news come out of order")
	}
	if document.Ended() {
		n.status, n.cause = document.Status, document.Cause
	}
	for _, a := range document.Attempts {
		if a.Cause == jobs.CauseSpotInterruption && !slices.Contains(n.interrupted, a.Number) {
			n.interrupted = append(n.interrupted, a.Number)
		}
	}
}

// told reports whether the world was told of the job's end.
func (w *World) told(j *jobs.Job) bool {
	n := w.published[j.JobID]
	return n != nil && n.status == j.Status && n.cause == j.Cause
}

// remember keeps the document of a save, and what of it was to be published.
func (w *World) remember(j *jobs.Job) {
	if j.Internal.Unpublished == 0 {
		return
	}
	if w.documents[j.JobID] == nil {
		w.documents[j.JobID] = map[int64]string{}
	}
	w.documents[j.JobID][j.Version] = document(j.Document(false))
}

func document(j *jobs.Job) string {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// checkNews checks that what is published is what was saved, to be published.
func (w *World) checkNews(j *jobs.Job) {
	saved, ok := w.documents[j.JobID][j.Version]
	if got := document(j); !ok || got != saved {
		w.fail("news are what was saved", j.JobID, "version %d: told %s\nsaved %s", j.Version, got, saved)
	}
}
