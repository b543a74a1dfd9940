package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// The forms of output.
const (
	formTable = "table"
	formJSON  = "json"
)

// output is how a verb that prints jobs prints them.
type output struct {
	form  string
	quiet bool
}

// addFlags adds -o and -q.
func (o *output) addFlags(cmd *cobra.Command, quiet string) {
	cmd.Flags().StringVarP(&o.form, "output", "o", formTable, "output `FORM`: table or json (job documents)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formTable, formJSON}, cobra.ShellCompDirectiveNoFileComp))
	if quiet != "" {
		cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, quiet)
	}
}

func (o *output) check() error {
	switch {
	case o.form != formTable && o.form != formJSON:
		return usageError(errors.New("--output must be table or json"))
	case o.quiet && o.form == formJSON:
		return usageError(errors.New("--quiet does not go with --output json"))
	}
	return nil
}

// documents prints job documents one after another, as an array or, where there is one alone, by itself. It holds no
// more than the first.
type documents struct {
	w     io.Writer
	array bool // also for none and for one
	first []byte
	n     int
}

// several makes the output an array, however many documents come.
func (d *documents) several() { d.array = true }

func (d *documents) add(j *jobs.Job, showEnvironment bool) error {
	d.n++
	text, err := encode(j.Document(showEnvironment))
	if err != nil {
		return err
	}
	if d.n == 1 {
		d.first = text
		return nil
	}
	d.several()
	return errors.Join(d.flush(), d.write(",\n", indented(text)))
}

// flush prints the first document as that of an array.
func (d *documents) flush() error {
	if d.first == nil {
		return nil
	}
	first := d.first
	d.first = nil
	return d.write("[\n", indented(first))
}

// close ends the output.
func (d *documents) close() error {
	switch {
	case d.n == 0 && d.array:
		return d.write("[]\n", nil)
	case d.n == 0:
		return nil
	case !d.array:
		return d.write("", append(d.first, '\n'))
	}
	return errors.Join(d.flush(), d.write("\n]\n", nil))
}

func (d *documents) write(before string, text []byte) error {
	_, err := io.WriteString(d.w, before+string(text))
	return err
}

// encode writes a document as a person reads it, without a line's end. Texts keep their < and &.
func encode(j *jobs.Job) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(j)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// printJSON prints what is no job as a document.
func (c *cli) printJSON(document any) error {
	encoder := json.NewEncoder(c.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

func indented(text []byte) []byte {
	return append([]byte("  "), bytes.ReplaceAll(text, []byte("\n"), []byte("\n  "))...)
}
