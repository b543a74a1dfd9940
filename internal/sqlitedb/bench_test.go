package sqlitedb_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// BenchmarkUpdate writes rows of 1.5 KB, about a job, from 1, 8 and 64 goroutines; alone, and while another process
// writes as fast as it can.
func BenchmarkUpdate(b *testing.B) {
	for _, contended := range []bool{false, true} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("contended=%t/writers=%d", contended, writers), func(b *testing.B) {
				path := filepath.Join(b.TempDir(), "bench.db")
				if contended {
					contend(b, path)
				}
				benchmarkUpdate(b, open(b, path, itemsSchema), writers)
			})
		}
	}
}

func benchmarkUpdate(b *testing.B, db *sqlitedb.DB, writers int) {
	var next, slowest atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range writers {
		group.Go(func() {
			body := make([]byte, 1500)
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				binary.LittleEndian.PutUint64(body, uint64(n)) // SQLite skips writes that change nothing
				began := time.Now()
				err := db.Update(b.Context(), func(tx *sqlitedb.Tx) error {
					_, err := tx.Exec("INSERT INTO items VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body", n%10000, body)
					return err
				})
				if err != nil {
					b.Error(err)
					return
				}
				slowest.Store(max(slowest.Load(), int64(time.Since(began)))) // about
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(slowest.Load())/1e6, "slowest-ms")
}

// contend has another process write until the benchmark is over.
func contend(b *testing.B, path string) {
	command, acknowledged := writer(b, path, 0, 1<<40)
	acknowledged.Scan() // it is at work
	drained := make(chan struct{})
	var others atomic.Int64
	go func() {
		defer close(drained)
		for acknowledged.Scan() {
			others.Add(1)
		}
	}()
	b.Cleanup(func() {
		b.ReportMetric(float64(others.Load())/b.Elapsed().Seconds(), "others/s")
		_ = command.Process.Kill()
		<-drained
		_ = command.Wait()
	})
}

func BenchmarkView(b *testing.B) {
	db := open(b, filepath.Join(b.TempDir(), "bench.db"), itemsSchema)
	for b.Loop() {
		err := db.View(b.Context(), func(tx *sqlitedb.Tx) error {
			var n int
			return tx.QueryRow("SELECT count(*) FROM items WHERE id = ?", 1).Scan(&n)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
