package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/pkg/spot"
)

// fakeEngine keeps what it was told.
type fakeEngine struct {
	mu     sync.Mutex // a batch is handled a few items at a time
	seen   []spot.Task
	woken  []string
	sweeps []time.Time
	err    error
}

func (f *fakeEngine) Observe(_ context.Context, t spot.Task) (spot.Seen, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, t)
	return spot.Seen{Changed: true}, f.err
}

func (f *fakeEngine) Wake(_ context.Context, jobID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.woken = append(f.woken, jobID)
	return f.err
}

func (f *fakeEngine) Sweep(_ context.Context, _ string, until time.Time) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sweeps = append(f.sweeps, until)
	return 0, f.err
}

// fakeMeter counts the sweeps that told how late they found the latest job.
type fakeMeter struct{ late int }

func (f *fakeMeter) Late(time.Duration) { f.late++ }

func setup() (*handler, *fakeEngine) {
	e := &fakeEngine{}
	return &handler{engine: e, meter: &fakeMeter{}, log: slog.New(slog.DiscardHandler)}, e
}

func event(t *testing.T, name string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("../../events/watch", name))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// TestEveryPayload feeds every file of events/watch to the handler: what is good reaches the engine, what is malformed is
// an error that ends in a dead-letter queue, what is not ours is neither.
func TestEveryPayload(t *testing.T) {
	t.Parallel()
	expected := map[string][]string{}
	raw, err := os.ReadFile("../../events/expected.json")
	if err != nil || json.Unmarshal(raw, &expected) != nil {
		t.Fatal(err)
	}
	for name, items := range expected {
		base, ours := strings.CutPrefix(name, "watch/")
		if !ours {
			continue
		}
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			h, e := setup()
			answer, err := h.handle(t.Context(), event(t, base))
			good, bad := 0, 0
			for _, item := range items {
				kind, problem, _ := strings.Cut(item, " ")
				switch {
				case kind == "IGNORED":
				case problem != "" || kind == "SUBMIT":
					bad++
				default:
					good++
				}
			}
			failed := 0
			if err != nil {
				failed = 1
			}
			text, _ := json.Marshal(answer)
			failed += strings.Count(string(text), "itemIdentifier")
			if got := len(e.seen) + len(e.woken) + len(e.sweeps); got != good || failed != bad {
				t.Errorf("%d items reached the engine and %d failed; want %d and %d (%s, %v)", got, failed, good, bad, text, err)
			}
		})
	}
}

func TestAnEventThatCannotBeStoredIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	h, e := setup()
	e.err = errors.New("DynamoDB is away")
	answer, err := h.handle(t.Context(), event(t, "sqs-wrapped.json"))
	if text, _ := json.Marshal(answer); err != nil || strings.Count(string(text), "itemIdentifier") != 1 {
		t.Errorf("answer %s, %v; want the item among the failures", text, err)
	}
	if _, err := h.handle(t.Context(), event(t, "running.json")); err == nil {
		t.Error("an event that EventBridge brought itself was acknowledged although it was not stored")
	}
}

func TestTheSweepStopsBeforeTheFunctionIsStopped(t *testing.T) {
	t.Parallel()
	h, e := setup()
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	if _, err := h.handle(ctx, event(t, "sweep.json")); err != nil {
		t.Fatal(err)
	}
	if h.meter.(*fakeMeter).late == 0 {
		t.Error("a sweep that finds nothing due does not say that it is in time")
	}
	if len(e.sweeps) != 1 || !e.sweeps[0].Equal(deadline.Add(-sweepReserve)) {
		t.Errorf("sweeps %v, want one until %v", e.sweeps, deadline.Add(-sweepReserve))
	}
}

func TestTheDryRunTellsWhatAnEventMeans(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"spot-notice-spotinterruption.json": "Spot's notice",
		"stopped-exit-0.json":               "stopped: EssentialContainerExited",
		"running-of-someone-else.json":      "not started by runner spotbatch",
		"malformed.json":                    `"problem"`,
		"sweep.json":                        `"kind":"SWEEP"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := dryRun("spotbatch")(t.Context(), event(t, name))
			var text strings.Builder
			encoder := json.NewEncoder(&text)
			encoder.SetEscapeHTML(false)
			if encodeErr := encoder.Encode(answer); err != nil || encodeErr != nil || !strings.Contains(text.String(), want) {
				t.Errorf("printed %s, %v; want it to contain %q", text.String(), err, want)
			}
		})
	}
}

// TestASweepThatGoesOnIsNotDeliveredAgain: a job that cannot be moved is the next sweep's again; redelivered, this one would
// only walk the same way anew.
func TestASweepThatGoesOnIsNotDeliveredAgain(t *testing.T) {
	t.Parallel()
	h, e := setup()
	e.err = errors.New("one job is damaged")
	if _, err := h.handle(t.Context(), event(t, "sweep.json")); err == nil {
		t.Error("the error of a sweep that its schedule began is nobody's")
	}
	if _, err := h.handle(t.Context(), event(t, "sweep-go-on.json")); err != nil {
		t.Errorf("the sweep that goes on fails with %v", err)
	}
}
