package sqlite

// What the tests of the query plans need to see.
var (
	ListStatement = (*Store).listStatement
	DueStatement  = (*Store).dueStatement
)

// DueCursor makes a cursor of Due.
func DueCursor(time, seq int64) string { return position{time, seq}.cursor(dueCursor) }
