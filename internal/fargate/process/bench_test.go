package process

import (
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/spotbatch/spotbatch/internal/fargate"
)

// BenchmarkStart measures whole tasks through the executor: started, ended, exit delivered, forgotten; 8 at a time. Half of
// what it costs beyond fork and exec is the creation of a log file each, which differs much between file systems.
func BenchmarkStart(b *testing.B) {
	e := setup(b)
	const together = 8
	var number atomic.Int64
	b.SetParallelism(max(1, together/runtime.GOMAXPROCS(0)))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprint("task", number.Add(1))
			e.start(b, fargate.TaskSpec{TaskID: id, Containers: []fargate.ContainerSpec{{
				Name: "main", Command: []string{"true"}, LogFile: filepath.Join(e.dir, id+".log"),
			}}})
			wantCode(b, e.exit(b, id, "main"), 0)
			e.Forget(id)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}
