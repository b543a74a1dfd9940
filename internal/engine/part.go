package engine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// sweepParts is how many processes go on with a sweep that was too long for one: with them three times as many jobs are visited
// in a minute, and at the template's concurrency half of watch is left for events.
const sweepParts = 2

// sweepPartsMax bounds what a cursor may say, which another version may have written.
const sweepPartsMax = 16

// part is the jobs that one of several sweeps visits, so that no two of them visit the same one; 0 of 1 is all.
type part struct{ n, of int }

// has reports whether a job belongs to the part.
func (p part) has(jobID string) bool {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(jobID))
	return int(hash.Sum32()%uint32(p.of)) == p.n
}

// cursor is where a sweep of this part goes on: the store's own cursor behind "n/of:".
func (p part) cursor(store string) string { return fmt.Sprintf("%d/%d:%s", p.n, p.of, store) }

// parseCursor reads what cursor wrote; "" is the beginning of a whole sweep.
func parseCursor(cursor string) (mine part, store string, err error) {
	if cursor == "" {
		return part{0, 1}, "", nil
	}
	name, store, found := strings.Cut(cursor, ":")
	n, of, _ := strings.Cut(name, "/")
	mine.n, err = strconv.Atoi(n)
	if err == nil {
		mine.of, err = strconv.Atoi(of)
	}
	if err != nil || !found || mine.of < 2 || mine.of > sweepPartsMax || mine.n < 0 || mine.n >= mine.of {
		return part{}, "", errors.New("the cursor of a sweep does not begin with its part")
	}
	return mine, store, nil
}
