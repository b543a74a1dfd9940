package fargate

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := setup(t, Options{}, always(Script{RunFor: time.Second}))
		w.register(nil)
		w.start()
		for range 8 {
			w.run(nil)
		}
		ctx, cancel := context.WithCancel(t.Context())
		type delivered struct {
			task    string
			version int64
		}
		deliveries := make(chan delivered, 100)
		done := make(chan error)
		failures := 0
		go func() {
			done <- w.Deliver(ctx, 1, func(_ context.Context, event Event) error {
				if failures++; failures%3 == 0 {
					return fmt.Errorf("not now")
				}
				var body struct{ Detail detail }
				if err := json.Unmarshal(event.Body, &body); err != nil {
					t.Error(err)
				}
				deliveries <- delivered{event.TaskID, body.Detail.Version}
				return nil
			})
		}()
		settle(15 * time.Second)
		if n := w.count("fargate_events"); n != 0 {
			t.Errorf("%d events were not acknowledged", n)
		}
		last := map[string]int64{}
		for range 16 {
			d := <-deliveries
			if d.version <= last[d.task] {
				t.Errorf("version %d came after %d", d.version, last[d.task])
			}
			last[d.task] = d.version
		}
		cancel()
		if err := <-done; err != nil || len(last) != 8 || len(deliveries) != 0 {
			t.Errorf("%v; there were events of %d tasks, and %d too many", err, len(last), len(deliveries))
		}
	})
}
