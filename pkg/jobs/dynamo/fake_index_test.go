package dynamo_test

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
)

// fakeIndex is an index as template.yaml has it.
type fakeIndex struct{ name, shard, time, includes string }

func indexesOfTheTable() []fakeIndex {
	return []fakeIndex{{"due", "dueShard", "dueAt", "id"}, {"list", "listShard", "createdAt", "jobName"}}
}

// project is the entry of an item; nil if it has no place in the index.
func (x fakeIndex) project(i attributes) attributes {
	if !i.has(x.shard) || !i.has(x.time) {
		return nil
	}
	return attributes{"id": i["id"], x.shard: i[x.shard], x.time: i[x.time], x.includes: i[x.includes]}
}

// writes is what an index pays for a put: one write for an entry that comes, goes or changes, two if it moves.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
func (x fakeIndex) writes(before, after attributes) float64 {
	old, entry := x.project(before), x.project(after)
	switch {
	case gocmp.Equal(old, entry):
		return 0
	case old != nil && entry != nil && !gocmp.Equal(old[x.time], entry[x.time]):
		return 2
	}
	return 1
}

func (f *fake) query(c call) (int, any) {
	i := slices.IndexFunc(indexesOfTheTable(), func(x fakeIndex) bool { return x.name == c.IndexName })
	if i < 0 {
		return failure("ValidationException", nil)
	}
	x, values := indexesOfTheTable()[i], c.ExpressionAttributeValues
	from, to := values[":from"].number(), values[":to"].number()
	start := c.ExclusiveStartKey
	if c.KeyConditionExpression != fmt.Sprintf("%s = :shard AND %s BETWEEN :from AND :to", x.shard, x.time) || from > to ||
		c.FilterExpression != "" && c.FilterExpression != "jobName = :name" ||
		start != nil && (start[x.time].number() < from || start[x.time].number() > to) ||
		start != nil && start[x.shard].text() != values[":shard"].text() {
		return failure("ValidationException", nil)
	}
	order := func(a, b attributes) int {
		by := cmp.Compare(a[x.time].number(), b[x.time].number())
		if by == 0 { // entries of the same time stand in an order of their own
			by = cmp.Compare(hexes(8, a["id"].text()), hexes(8, b["id"].text()))
		}
		if c.ScanIndexForward {
			return by
		}
		return -by
	}
	var entries []attributes
	for _, i := range slices.AppendSeq(slices.Clone(f.ghosts), maps.Values(f.items)) {
		at := i[x.time].number()
		if !i.has(x.shard) || i[x.shard].text() != values[":shard"].text() || at < from || at > to || start != nil && order(i, start) <= 0 {
			continue
		}
		entries = append(entries, x.project(i))
	}
	slices.SortFunc(entries, order)
	answer := map[string]any{}
	limit := c.Limit
	if f.pageMax > 0 {
		limit = min(limit, f.pageMax)
	}
	if len(entries) >= limit { // also where nothing follows, as DynamoDB does
		entries = entries[:limit]
		last := entries[limit-1]
		answer["LastEvaluatedKey"] = attributes{"id": last["id"], x.shard: last[x.shard], x.time: last[x.time]}
	}
	if c.FilterExpression != "" {
		entries = slices.DeleteFunc(entries, func(e attributes) bool { return e["jobName"].text() != values[":name"].text() })
	}
	answer["Items"] = entries
	return http.StatusOK, answer
}
