package sqlitedb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spotbatch/spotbatch/internal/sqlitedb"
)

// TestMain lets the test binary be another process that writes: "write PATH FIRST COUNT".
func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == "write" {
		if err := writeProcess(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// writeProcess writes pairs of rows from eight goroutines and prints the id of each when it is acknowledged.
func writeProcess(path, first, count string) error {
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return err
	}
	db, err := sqlitedb.Open(context.Background(), path, pairsSchema)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		group.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				if err := writePair(context.Background(), db, from+i); err != nil {
					errs <- err
					return
				}
				// One write call a line: what was printed before a kill is whole.
				fmt.Fprintf(os.Stdout, "%d\n", from+i)
			}
		})
	}
	group.Wait()
	if len(errs) > 0 {
		return <-errs
	}
	return db.Close()
}

var pairsSchema = sqlitedb.Schema{Name: "pairs", Steps: []string{`
CREATE TABLE lefts  (id INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE rights (id INTEGER PRIMARY KEY, body BLOB);
`}}

func writePair(ctx context.Context, db *sqlitedb.DB, id int64) error {
	return db.Update(ctx, func(tx *sqlitedb.Tx) error {
		if _, err := tx.Exec("INSERT INTO lefts VALUES (?, zeroblob(600))", id); err != nil {
			return err
		}
		_, err := tx.Exec("INSERT INTO rights VALUES (?, zeroblob(600))", id)
		return err
	})
}

// writer starts the other process.
func writer(t testing.TB, path string, first, count int64) (command *exec.Cmd, acknowledged *bufio.Scanner) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command = exec.Command(program, "write", path, fmt.Sprint(first), fmt.Sprint(count))
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command, bufio.NewScanner(output)
}

func TestProcessesShareOneFile(t *testing.T) {
	t.Parallel()
	const processes, each = 3, 200
	path := filepath.Join(t.TempDir(), "shared.db") // and race to make it
	var group sync.WaitGroup
	for n := range int64(processes) {
		command, acknowledged := writer(t, path, n*each, each)
		group.Go(func() {
			for acknowledged.Scan() {
			}
			if err := command.Wait(); err != nil {
				t.Errorf("process %d: %v", n, err)
			}
		})
	}
	db := open(t, path, pairsSchema)
	for n := range int64(each) {
		if err := writePair(t.Context(), db, processes*each+1+n); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if got, want := len(pairs(t, db)), (processes+1)*each; got != want {
		t.Errorf("%d pairs are there, want %d", got, want)
	}
}

func TestAKilledProcessLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "killed.db")
	db := open(t, path, pairsSchema)
	var first int64
	for range 3 {
		command, acknowledged := writer(t, path, first, 1_000_000)
		var ids []int64
		for acknowledged.Scan() {
			id, err := strconv.ParseInt(acknowledged.Text(), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
			if len(ids) == 100 {
				if err := command.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = command.Wait() // says that it was killed
		there := pairs(t, db)
		for _, id := range ids {
			if !there[id] {
				t.Errorf("pair %d was acknowledged and is not there", id)
			}
		}
		first += 1_000_000
		if err := writePair(t.Context(), db, first); err != nil {
			t.Errorf("writing on after the kill: %v", err)
		}
	}
}

// pairs returns the pairs that are there and checks that they are whole and the file sound.
func pairs(t *testing.T, db *sqlitedb.DB) map[int64]bool {
	t.Helper()
	ids := map[int64]bool{}
	err := db.View(t.Context(), func(tx *sqlitedb.Tx) error {
		clear(ids)
		var verdict string
		if err := tx.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			return fmt.Errorf("integrity check: %s, %w", verdict, err)
		}
		rows, err := tx.Query("SELECT l.id, r.id FROM lefts l FULL JOIN rights r ON l.id = r.id")
		if err != nil {
			return err
		}
		for rows.Next() {
			var left, right *int64
			if err := rows.Scan(&left, &right); err != nil {
				return err
			}
			if left == nil || right == nil {
				return fmt.Errorf("half a pair: %v, %v", left, right)
			}
			ids[*left] = true
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
