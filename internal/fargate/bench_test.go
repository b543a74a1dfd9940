package fargate

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// BenchmarkTasks takes tasks that exit at once from RunTask to the acknowledgement of their last event.
func BenchmarkTasks(b *testing.B) {
	for _, slots := range []int{2, 32} {
		b.Run(fmt.Sprintf("%d at once", slots), func(b *testing.B) { benchmarkTasks(b, slots, Script{}) })
	}
	b.Run("2 at once, 2 ms each", func(b *testing.B) {
		benchmarkTasks(b, 2, Script{StartDelay: time.Millisecond, RunFor: time.Millisecond})
	})
}

func benchmarkTasks(b *testing.B, slots int, script Script) {
	w := setup(b, Options{MaxTasks: slots}, always(script))
	w.register(nil)
	w.start()
	ctx, cancel := context.WithCancel(b.Context())
	var stopped atomic.Int64
	var delivering sync.WaitGroup
	delivering.Go(func() {
		_ = w.Deliver(ctx, 4, func(_ context.Context, event Event) error {
			if stopped.Add(1) == int64(2*b.N) {
				cancel()
			}
			return nil
		})
	})
	b.ResetTimer()
	requests := make(chan int)
	for range 8 {
		go func() {
			for i := range requests {
				in := spotRequest()
				in.ClientToken = new(fmt.Sprintf("token-%d", i))
				in.Overrides = &types.TaskOverride{ContainerOverrides: []types.ContainerOverride{{
					Name:        new(mainContainer),
					Command:     []string{"true"},
					Environment: []types.KeyValuePair{{Name: new("SPOTBATCH_JOB_ID"), Value: new("job")}},
				}}}
				if _, err := w.RunTask(context.Background(), in); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for i := range b.N {
		requests <- i
	}
	close(requests)
	delivering.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}
