package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// topMax is how many identifiers are kept of a package.
const topMax = 3

// tree is a folder's Go files, in the order in which they are counted.
type tree struct {
	root  string
	files []string // slash-separated, from root; package by package, so that one package's identifiers are held at a time
	print string   // fingerprint of names and sizes: a checkpoint of another tree is worth nothing
}

// openTree lists the Go files below a folder.
func openTree(root string) (*tree, error) {
	t := &tree{root: root}
	sizes := map[string]int64{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(name) != ".go" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		t.files = append(t.files, relative)
		sizes[relative] = info.Size()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list Go files: %w", err)
	}
	slices.SortFunc(t.files, func(a, b string) int {
		return cmp.Or(cmp.Compare(path.Dir(a), path.Dir(b)), cmp.Compare(a, b))
	})
	hash := sha256.New()
	for _, name := range t.files {
		fmt.Fprintf(hash, "%s %d\n", name, sizes[name])
	}
	t.print = hex.EncodeToString(hash.Sum(nil))
	return t, nil
}

// counts is what is counted.
type counts struct {
	Files int `json:"files"`
	Lines int `json:"lines"`
	Words int `json:"words"`
	Bytes int `json:"bytes"`
}

func (c *counts) add(other counts) {
	c.Files += other.Files
	c.Lines += other.Lines
	c.Words += other.Words
	c.Bytes += other.Bytes
}

// folder is one package's counts.
type folder struct {
	Name string `json:"name"`
	counts
	Top []identifier `json:"top"` // the most frequent identifiers
}

type identifier struct {
	Name  string `json:"name"`
	Times int    `json:"times"`
}

// tally is how far a count has come: all that a checkpoint holds.
type tally struct {
	Tree    string         `json:"tree"`
	Done    int            `json:"done"` // files counted
	Folders []folder       `json:"folders"`
	Open    map[string]int `json:"open"` // identifiers of the last folder, which may have more files
}

func newTally(t *tree) *tally { return &tally{Tree: t.print, Open: map[string]int{}} }

// run counts the files that are left, until step, which is called before each, has an error.
func (s *tally) run(ctx context.Context, t *tree, step func(ctx context.Context, done int) error) error {
	for s.Done < len(t.files) {
		if err := step(ctx, s.Done); err != nil {
			return err
		}
		name := t.files[s.Done]
		source, err := os.ReadFile(filepath.Join(t.root, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("count file %d of %d: %w", s.Done+1, len(t.files), err)
		}
		s.count(path.Dir(name), source)
		s.Done++
	}
	s.closeFolder()
	return nil
}

// count adds one file.
func (s *tally) count(in string, source []byte) {
	if n := len(s.Folders); n == 0 || s.Folders[n-1].Name != in {
		s.closeFolder()
		s.Folders = append(s.Folders, folder{Name: in})
	}
	s.Folders[len(s.Folders)-1].add(countBytes(source))
	countIdentifiers(source, s.Open)
}

// closeFolder reduces the last folder's identifiers to the most frequent ones.
func (s *tally) closeFolder() {
	if len(s.Folders) > 0 && len(s.Open) > 0 {
		s.Folders[len(s.Folders)-1].Top = top(s.Open)
	}
	s.Open = map[string]int{}
}

// countBytes counts as wc does.
func countBytes(source []byte) counts {
	c := counts{Files: 1, Bytes: len(source)}
	inWord := false
	for _, b := range source {
		space := b == ' ' || '\t' <= b && b <= '\r'
		if b == '\n' {
			c.Lines++
		}
		if !space && !inWord {
			c.Words++
		}
		inWord = !space
	}
	return c
}

// countIdentifiers counts a file's identifiers. Some of Go's own test data is no valid Go; what can be read of it counts.
func countIdentifiers(source []byte, into map[string]int) {
	files := token.NewFileSet()
	var s scanner.Scanner
	s.Init(files.AddFile("", files.Base(), len(source)), source, nil, 0)
	for {
		_, kind, text := s.Scan()
		switch {
		case kind == token.EOF:
			return
		case kind == token.IDENT && text != "_":
			into[text]++
		}
	}
}

// top returns the most frequent identifiers; of equally frequent ones the first by name.
func top(times map[string]int) []identifier {
	all := make([]identifier, 0, len(times))
	for name, n := range times {
		all = append(all, identifier{name, n})
	}
	slices.SortFunc(all, func(a, b identifier) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(topMax, len(all))]
}

// total adds up all folders.
func (s *tally) total() counts {
	var sum counts
	for _, f := range s.Folders {
		sum.add(f.counts)
	}
	return sum
}

// digest is one word for everything that was counted: two counts are equal if their digests are.
func (s *tally) digest() string {
	hash := sha256.New()
	for _, f := range s.Folders {
		fmt.Fprintln(hash, f.Name, f.counts, f.Top)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// report is the result, for people.
func (s *tally) report() string {
	largest := slices.Clone(s.Folders)
	slices.SortStableFunc(largest, func(a, b folder) int { return cmp.Compare(b.Lines, a.Lines) })
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %7s %9s  %s\n", "PACKAGE", "FILES", "LINES", "MOST FREQUENT")
	for _, f := range largest[:min(5, len(largest))] {
		names := make([]string, len(f.Top))
		for i, t := range f.Top {
			names[i] = t.Name
		}
		fmt.Fprintf(&b, "%-32s %7s %9s  %s\n", f.Name, grouped(f.Files), grouped(f.Lines), strings.Join(names, ", "))
	}
	sum := s.total()
	fmt.Fprintf(&b, "total: %s files, %s lines, %s words, %s bytes in %s packages; digest %s\n",
		grouped(sum.Files), grouped(sum.Lines), grouped(sum.Words), grouped(sum.Bytes), grouped(len(s.Folders)), s.digest())
	return b.String()
}

// grouped writes 4211 as 4,211.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
