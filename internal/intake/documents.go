package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// Document is one document of a file: where it stands ("jobs.json[3]", "jobs.jsonl:17", "job.json"), and its bytes.
type Document struct {
	Where string
	Body  []byte
}

// SyntaxError says where a file stops being JSON, without quoting it. What came before it was good.
type SyntaxError struct{ Where, Problem string }

func (e *SyntaxError) Error() string { return e.Where + ": " + e.Problem }

// NoRequest is the problem of a file in which there is nothing.
const NoRequest = "holds no job request"

// Documents reads the documents of a file one after another: one, an array of them, or one a line. It holds no more than
// one at a time.
type Documents struct {
	name string
	next func() (Document, error)
}

// Next returns the next document, io.EOF at the end, or a *SyntaxError where the file cannot be read on.
func (r *Documents) Next() (Document, error) { return r.next() }

// NewDocuments finds out which of the three forms a file has: an array begins with a bracket; a file whose first line is
// one whole document has one a line; everything else is documents of any layout, as a rule a single one.
func NewDocuments(name string, in io.Reader) *Documents {
	r := &Documents{name: name}
	lines := &lineReader{in: bufio.NewReaderSize(in, 64<<10)}
	first, err := lines.skipSpace()
	above := lines.number
	switch {
	case err != nil:
		r.next = func() (Document, error) { return Document{}, err }
		if errors.Is(err, io.EOF) {
			r.next = func() (Document, error) { return Document{}, &SyntaxError{name, NoRequest} }
		}
	case first == '[':
		r.next = r.array(&limiter{in: lines.in, above: above})
	default:
		line, err := lines.read()
		if err == nil && json.Valid(line) {
			r.next = r.lines(lines, line)
			break
		}
		if err == nil {
			line = append(line, '\n')
		}
		r.next = r.documents(&limiter{in: io.MultiReader(bytes.NewReader(line), lines.in), above: above})
	}
	return r
}

// lines reads one document a line, from a first line that is read already. A line that is no document is the reader's to
// refuse; the next line is as good as ever. No line waits for the next one: the file may be somebody's typing.
func (r *Documents) lines(in *lineReader, first []byte) func() (Document, error) {
	return func() (Document, error) {
		line := first
		if first = nil; line == nil {
			var err error
			if line, err = in.nextFilled(); err != nil {
				return Document{}, err
			}
		}
		return Document{Where: fmt.Sprintf("%s:%d", r.name, in.number), Body: line}, nil
	}
}

// documents reads documents of any layout, one after another.
func (r *Documents) documents(limit *limiter) func() (Document, error) {
	decoder := json.NewDecoder(limit)
	n := 0
	return func() (Document, error) {
		where := r.name
		if n > 0 {
			where = fmt.Sprintf("%s[%d]", r.name, n)
		}
		var body json.RawMessage
		limit.refill()
		if err := decoder.Decode(&body); err != nil {
			return Document{}, r.syntax(r.name, decoder, limit, err)
		}
		n++
		return Document{where, body}, nil
	}
}

// limiter keeps the decoder from holding a document that is larger than any request: refill allows it one more. It counts the
// ends of lines that the decoder has read.
type limiter struct {
	in    io.Reader
	left  int
	lines int
	above int // lines of the file that were read before
}

var errTooLarge = fmt.Errorf("is larger than a request may be, %d bytes", jobs.RequestBytesMax)

// refill allows several times what a request may be: a document that is merely too large is refused by itself, and the file is
// read on.
func (l *limiter) refill() { l.left = 16 * jobs.RequestBytesMax }

func (l *limiter) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	n, err := l.in.Read(p[:min(len(p), l.left)])
	l.left -= n
	l.lines += bytes.Count(p[:n], []byte{'\n'})
	return n, err
}

// array reads the elements of one array.
func (r *Documents) array(limit *limiter) func() (Document, error) {
	decoder := json.NewDecoder(limit)
	n, opened := 0, false
	return func() (Document, error) {
		limit.refill()
		if !opened {
			opened = true
			if _, err := decoder.Token(); err != nil {
				return Document{}, r.syntax(r.name, decoder, limit, err)
			}
		}
		where := fmt.Sprintf("%s[%d]", r.name, n)
		if decoder.More() {
			var body json.RawMessage
			if err := decoder.Decode(&body); err != nil {
				return Document{}, r.syntax(where, decoder, limit, unexpectedEnd(err)) // a comma, and nothing after it
			}
			n++
			return Document{where, body}, nil
		}
		if _, err := decoder.Token(); err != nil { // the closing bracket
			return Document{}, r.syntax(where, decoder, limit, unexpectedEnd(err))
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return Document{}, &SyntaxError{r.name, "has more after the array"}
		}
		return Document{}, io.EOF
	}
}

// unexpectedEnd makes an end where something was due an error.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// syntax says where a file stops being JSON, without quoting it.
func (r *Documents) syntax(where string, decoder *json.Decoder, limit *limiter, err error) error {
	if _, bad := errors.AsType[*json.SyntaxError](err); bad {
		return &SyntaxError{where, "is not valid JSON, at " + badPlace(decoder, limit)}
	}
	if errors.Is(err, errTooLarge) {
		return &SyntaxError{where, errTooLarge.Error()}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &SyntaxError{where, "is not complete JSON: the file ends in the middle of it"}
	}
	return err
}

// badPlace is the line, and the byte of it where that is known, at which a decoder stopped. The decoder tells only where the
// document begins that is bad, which may be many lines above the bad byte. It still holds that document, which is therefore
// decoded once more, by itself, to find the byte.
func badPlace(decoder *json.Decoder, limit *limiter) string {
	rest, _ := io.ReadAll(decoder.Buffered()) // from memory: it cannot fail
	passed := limit.lines - bytes.Count(rest, []byte{'\n'})
	var value json.RawMessage
	if bad, ok := errors.AsType[*json.SyntaxError](json.NewDecoder(bytes.NewReader(rest)).Decode(&value)); ok {
		rest = rest[:max(0, min(int(bad.Offset)-1, len(rest)))]
	} else { // it is good by itself: what is wrong is that it stands here
		rest = nil
	}
	line := limit.above + passed + bytes.Count(rest, []byte{'\n'}) + 1
	switch begins := bytes.LastIndexByte(rest, '\n'); {
	case begins >= 0: // the bad byte's line begins within the document
		return fmt.Sprintf("line %d, byte %d", line, len(rest)-begins)
	case passed == 0: // the document is on the line with which the decoder began
		return fmt.Sprintf("line %d, byte %d", line, int(decoder.InputOffset())+len(rest)+1)
	}
	return fmt.Sprintf("line %d", line)
}

// lineReader reads lines and counts them. Of a line that is longer than any request it keeps as much as shows that.
type lineReader struct {
	in     *bufio.Reader
	number int // of the line read last, from 1
}

// skipSpace passes over a byte order mark, white space and empty lines, and tells the byte that follows without taking it.
func (l *lineReader) skipSpace() (byte, error) {
	if mark, _ := l.in.Peek(3); bytes.Equal(mark, []byte("\ufeff")) {
		_, _ = l.in.Discard(3)
	}
	for {
		c, err := l.in.ReadByte()
		if err != nil {
			return 0, err
		}
		switch c {
		case '\n':
			l.number++
		case ' ', '\t', '\r':
		default:
			return c, l.in.UnreadByte()
		}
	}
}

// read returns the next line, without its end. A line that is too long is cut, which no request survives; the rest of the
// line is passed over only by nextFilled, so that a long first line can still be read in another form.
func (l *lineReader) read() ([]byte, error) {
	l.number++
	var line []byte
	for {
		piece, err := l.in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return bytes.TrimSpace(line), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		case len(line) > jobs.RequestBytesMax:
			return line, bufio.ErrTooLong
		}
	}
}

// nextFilled returns the next line that is not empty, or io.EOF.
func (l *lineReader) nextFilled() ([]byte, error) {
	for {
		line, err := l.read()
		if errors.Is(err, bufio.ErrTooLong) {
			return line, l.skipRest()
		}
		if err != nil || len(line) > 0 {
			return line, err
		}
	}
}

// skipRest passes over what is left of a line.
func (l *lineReader) skipRest() error {
	for {
		_, err := l.in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
