package sqlitedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Schema is the tables of one owner, as the steps that lead to them.
type Schema struct {
	// Name of the owner, unique within the file.
	Name string
	// Steps are SQL scripts. Each is applied once to a file, in order. A step that was released is never changed; the next
	// one is appended.
	Steps []string
}

// Migrate applies the steps that the file has not seen yet. Several processes may call it at once.
func (db *DB) Migrate(ctx context.Context, schemas ...Schema) error {
	return db.Update(ctx, func(tx *Tx) error {
		const table = `CREATE TABLE IF NOT EXISTS sqlitedb_schemas (name TEXT PRIMARY KEY, steps INTEGER NOT NULL) WITHOUT ROWID`
		if _, err := tx.Exec(table); err != nil {
			return fmt.Errorf("make the list of migrations: %w", err)
		}
		for _, schema := range schemas {
			if err := schema.apply(tx); err != nil {
				return fmt.Errorf("migrate %s: %w", schema.Name, err)
			}
		}
		return nil
	})
}

func (s Schema) apply(tx *Tx) error {
	applied := 0
	err := tx.QueryRow("SELECT steps FROM sqlitedb_schemas WHERE name = ?", s.Name).Scan(&applied)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if applied > len(s.Steps) {
		return fmt.Errorf("the file is at step %d and this program knows %d: it was written by a newer version", applied, len(s.Steps))
	}
	if applied == len(s.Steps) {
		return nil
	}
	for i, step := range s.Steps[applied:] {
		if _, err := tx.Exec(step); err != nil {
			return fmt.Errorf("step %d: %w", applied+i+1, err)
		}
	}
	_, err = tx.Exec("INSERT INTO sqlitedb_schemas (name, steps) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET steps = excluded.steps",
		s.Name, len(s.Steps))
	return err
}
