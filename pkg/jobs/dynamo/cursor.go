package dynamo

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// shardEnd stands in a cursor for a shard that has been walked to its end, nothing for one that has not been begun.
const shardEnd = "."

// cursor is where the walk has passed to; "" if it has ended. It is the index, the latest time that is still walked, and the
// place in each shard.
func (w *walk) cursor() string {
	if w.ended() {
		return ""
	}
	parts := []string{w.index.name, strconv.FormatInt(w.to, 10)}
	for i := range w.shards {
		s := &w.shards[i]
		at, end := s.passed, false
		if s.settled() { // also past entries that did not match
			at, end = s.read, s.end
		}
		switch {
		case end:
			parts = append(parts, shardEnd)
		case at == place{}:
			parts = append(parts, "")
		default:
			parts = append(parts, strconv.FormatInt(at.at, 10)+"/"+at.id)
		}
	}
	return base64.RawURLEncoding.EncodeToString([]byte(strings.Join(parts, " ")))
}

// resume takes a new walk to where a cursor says.
func (w *walk) resume(cursor string) error {
	refused := fmt.Errorf("%q is not a cursor of this listing", cursor)
	decoded, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return refused
	}
	parts := strings.Split(string(decoded), " ")
	if len(parts) != 2+len(w.shards) || parts[0] != w.index.name {
		return refused
	}
	if w.to, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return refused
	}
	for i, part := range parts[2:] {
		switch part {
		case "":
		case shardEnd:
			w.shards[i].end = true
		default:
			at, id, _ := strings.Cut(part, "/")
			moment, err := strconv.ParseInt(at, 10, 64)
			if err != nil || id == "" {
				return refused
			}
			w.shards[i].passed = place{moment, id}
			w.shards[i].read = w.shards[i].passed
		}
	}
	return nil
}
