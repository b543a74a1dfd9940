package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// errTxOver is the answer to a statement of a Tx whose function has returned.
var errTxOver = errors.New("the transaction's function has returned")

// statementsMax is how many prepared statements a connection keeps. Only a caller that puts values into its query text
// reaches it.
const statementsMax = 256

// Tx runs statements within one Update or View. It is valid until the function returns, and on the function's own
// goroutine only. The function never begins, ends or nests a transaction itself.
type Tx struct {
	conn *conn
	over bool
	// wrote: a statement has, or may have, changed something, so that a failure of the function must be undone.
	wrote bool
	// fault is an error after which the transaction may be gone. The function cannot hide it, nor go on: what it wrote next
	// might be outside of any transaction.
	fault error
	open  []opened
}

// opened is a result that the function may have left open; only an exhausted or closed one lets its transaction go.
type opened struct {
	query string
	rows  *sql.Rows
	row   *sql.Row
	once  *sql.Stmt // prepared for this result alone
}

// Exec runs a statement and returns how many rows it has changed, inserted or deleted. An INSERT ... ON CONFLICT DO
// NOTHING and a look at the number is much cheaper than a violated constraint, whose Update has to be undone.
func (tx *Tx) Exec(query string, args ...any) (rowsAffected int64, err error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	statement, err := tx.conn.prepare(query)
	if err != nil {
		return 0, err
	}
	result, err := statement.Exec(args...)
	if err != nil {
		tx.wrote = true
		return 0, tx.noted(err)
	}
	rowsAffected, err = result.RowsAffected()
	if rowsAffected > 0 || err != nil || !changesRows(query) {
		tx.wrote = true
	}
	return rowsAffected, err
}

// Query runs a statement that returns rows. They are closed at the latest when the function returns.
func (tx *Tx) Query(query string, args ...any) (*sql.Rows, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	tx.wrote = tx.wrote || !readsOnly(query)
	statement, once, err := tx.statement(query)
	if err != nil {
		return nil, err
	}
	rows, err := statement.Query(args...)
	if err != nil {
		return nil, errors.Join(tx.noted(err), closeStatement(once))
	}
	tx.open = append(tx.open, opened{query: query, rows: rows, once: once})
	return rows, nil
}

// QueryRow runs a statement that returns at most one row. Scan it before the same query is run again.
func (tx *Tx) QueryRow(query string, args ...any) *sql.Row {
	if err := tx.usable(); err != nil {
		// A Row cannot be made from an error, but a context that has ended makes one that carries an error.
		ended, cancel := context.WithCancelCause(context.Background())
		cancel(err)
		return tx.conn.raw.QueryRowContext(ended, query, args...)
	}
	tx.wrote = tx.wrote || !readsOnly(query)
	statement, once, err := tx.statement(query)
	if err != nil {
		return tx.conn.raw.QueryRowContext(context.Background(), query, args...) // carries the same error
	}
	row := statement.QueryRow(args...)
	tx.open = append(tx.open, opened{query: query, row: row, once: once})
	return row
}

func (tx *Tx) usable() error {
	if tx.over {
		return errTxOver
	}
	return tx.fault
}

// noted remembers an error that ends more than its statement.
func (tx *Tx) noted(err error) error {
	if tx.fault == nil && fatal(err) {
		tx.fault = err
	}
	return err
}

// statement returns the connection's prepared statement, or one made for this call alone (once) where the rows of the
// same query are still being read: a statement can be at one place only.
func (tx *Tx) statement(query string) (statement, once *sql.Stmt, err error) {
	for _, o := range tx.open {
		if o.rows == nil || o.query != query {
			continue
		}
		if _, closed := o.rows.Columns(); closed == nil {
			once, err = tx.conn.raw.PrepareContext(context.Background(), query)
			return once, once, err
		}
	}
	statement, err = tx.conn.prepare(query)
	return statement, nil, err
}

// end closes what the function has left open: a result in the middle of its rows would keep the connection's snapshot,
// and the next transaction could not write.
func (tx *Tx) end() error {
	tx.over = true
	var errs []error
	for _, o := range tx.open {
		if o.rows != nil {
			errs = append(errs, o.rows.Close())
		} else {
			_ = o.row.Scan() // closes a row that was not scanned; otherwise it has nothing to say
		}
		errs = append(errs, closeStatement(o.once))
	}
	tx.open = nil
	return errors.Join(errs...)
}

func closeStatement(statement *sql.Stmt) error {
	if statement == nil {
		return nil
	}
	return statement.Close()
}

// changesRows tells whether the number of rows affected says everything about what the statement has done.
func changesRows(query string) bool {
	return startsWith(query, "INSERT", "UPDATE", "DELETE", "REPLACE")
}

func readsOnly(query string) bool { return startsWith(query, "SELECT") }

func startsWith(query string, verbs ...string) bool {
	query = strings.TrimLeft(query, " \t\r\n")
	for _, verb := range verbs {
		if len(query) >= len(verb) && strings.EqualFold(query[:len(verb)], verb) {
			return true
		}
	}
	return false
}

// conn is one connection with its prepared statements. Whoever holds it uses it alone.
type conn struct {
	raw        *sql.Conn
	statements map[string]*sql.Stmt
}

// Statements run without a context: watching one costs a goroutine for each of them, and all of them are short.

func (c *conn) prepare(query string) (*sql.Stmt, error) {
	if statement := c.statements[query]; statement != nil {
		return statement, nil
	}
	if len(c.statements) >= statementsMax {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	statement, err := c.raw.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.statements[query] = statement
	return statement, nil
}

func (c *conn) exec(query string) error {
	statement, err := c.prepare(query)
	if err != nil {
		return err
	}
	_, err = statement.Exec()
	return err
}

// view runs fn in a transaction that only reads.
func (c *conn) view(fn func(tx *Tx) error) (err error) {
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	tx := &Tx{conn: c}
	defer func() {
		// Also when fn panics: the next View gets a clean connection.
		ended := errors.Join(tx.end(), c.exec("COMMIT"))
		if err == nil {
			err = ended
		}
	}()
	return fn(tx)
}

// forget closes the prepared statements. One whose rows are still being read lives until they are closed.
func (c *conn) forget() error {
	var errs []error
	for _, statement := range c.statements {
		errs = append(errs, statement.Close())
	}
	clear(c.statements)
	return errors.Join(errs...)
}

func (c *conn) close() error { return errors.Join(c.forget(), c.raw.Close()) }
