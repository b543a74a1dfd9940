package intake_test

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spotbatch/spotbatch/internal/intake"
	"github.com/spotbatch/spotbatch/pkg/jobs"
)

// readRequests reads a file to its end, or to what keeps it from being read on.
func readRequests(in io.Reader) (got []string, err error) {
	r := intake.NewDocuments("f", in)
	for {
		request, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		got = append(got, request.Where+" "+string(request.Body))
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	long := `{"a":"` + strings.Repeat("x", 2*jobs.RequestBytesMax) + `"}`
	for name, c := range map[string]struct {
		in   string
		want []string
		err  string
	}{
		"one request on one line":                {`{"a":1}`, []string{`f:1 {"a":1}`}, ""},
		"one request with a line end":            {"{\"a\":1}\n", []string{`f:1 {"a":1}`}, ""},
		"one request over several lines":         {"\n {\n\"a\":1\n}\n", []string{"f {\n\"a\":1\n}"}, ""},
		"one a line, numbered as an editor":      {"\n{\"a\":1}\n\n{\"a\":2}\r\n", []string{`f:2 {"a":1}`, `f:4 {"a":2}`}, ""},
		"a bad line does not spoil the next":     {"{\"a\":1}\n{\"a\n{\"a\":3}", []string{`f:1 {"a":1}`, `f:2 {"a`, `f:3 {"a":3}`}, ""},
		"several documents of any layout":        {"{\n}{}\n{\n}", []string{"f {\n}", "f[1] {}", "f[2] {\n}"}, ""},
		"several documents on the first line":    {`{"a":1} {"a":2}`, []string{`f {"a":1}`, `f[1] {"a":2}`}, ""},
		"an array":                               {"[{\"a\":1},\n {\"a\":2}]\n", []string{`f[0] {"a":1}`, `f[1] {"a":2}`}, ""},
		"an array of one":                        {`[{"a":1}]`, []string{`f[0] {"a":1}`}, ""},
		"an empty array":                         {`[ ]`, nil, ""},
		"a byte order mark":                      {"\ufeff[{}]", []string{`f[0] {}`}, ""},
		"what is no object is not its to judge":  {"[1,null]", []string{"f[0] 1", "f[1] null"}, ""},
		"nothing at all":                         {" \n", nil, "f: holds no job request"},
		"an array that breaks off":               {`[{"a":1}`, []string{`f[0] {"a":1}`}, "f[1]: is not complete JSON: the file ends in the middle of it"},
		"an array that breaks off after a comma": {`[{"a":1},`, []string{`f[0] {"a":1}`}, "f[1]: is not complete JSON: the file ends in the middle of it"},
		"an array with a bad element":            {`[{"a":1},{"a":}]`, []string{`f[0] {"a":1}`}, "f[1]: is not valid JSON, at line 1, byte 15"},
		"a comment in a document":                {"\n\n{\n  \"a\": 1, // one\n  \"b\": 2\n}\n", nil, "f: is not valid JSON, at line 4, byte 11"},
		"a comma too many in an array":           {"\n[\n{\"a\":1},\n{\"b\":1,}]", []string{`f[0] {"a":1}`}, "f[1]: is not valid JSON, at line 4, byte 8"},
		"a comma too few in an array":            {"[\n{\"a\":1}\n{\"b\":1}]", []string{`f[0] {"a":1}`}, "f[1]: is not valid JSON, at line 3"},
		"words after documents":                  {"{\n\"a\":1\n}\n{\n\"b\":1\n}\n\nthe end\n", []string{"f {\n\"a\":1\n}", "f[1] {\n\"b\":1\n}"}, "f: is not valid JSON, at line 8, byte 2"},
		"an array with more after it":            {`[] {}`, nil, "f: has more after the array"},
		"a document that breaks off":             {"{\n", nil, "f: is not complete JSON: the file ends in the middle of it"},
		"a document that is larger than a request": {
			"{\n\"a\":\"" + strings.Repeat("x", 40*jobs.RequestBytesMax) + "\"}", nil, "f: is larger than a request may be, 262144 bytes",
		},
		"an element that is larger than a request": {
			"[{\"a\":\"" + strings.Repeat("x", 40*jobs.RequestBytesMax) + "\"}]", nil, "f[0]: is larger than a request may be, 262144 bytes",
		},
		"a long line first": {long + "\n{}", []string{"f " + long, "f[1] {}"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := readRequests(strings.NewReader(c.in))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			if text := fmt.Sprint(err); err != nil && text != c.err || err == nil && c.err != "" {
				t.Errorf("error: got %v, want %q", err, c.err)
			}
		})
	}
}

func TestRequestsCutsALineThatIsTooLongAndReadsOn(t *testing.T) {
	t.Parallel()
	got, err := readRequests(strings.NewReader("{}\n" + strings.Repeat("x", 3*jobs.RequestBytesMax) + "\n{}\n"))
	if err != nil || len(got) != 3 {
		t.Fatalf("got %d requests, %v", len(got), err)
	}
	if n := len(got[1]); n < jobs.RequestBytesMax || n > 2*jobs.RequestBytesMax {
		t.Errorf("kept %d bytes of the line", n)
	}
}

// endless writes requests, as an array or one a line, without holding them.
func endless(array bool, n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		for i := range n {
			sep := "\n"
			if array {
				sep = ","
			}
			if i == 0 {
				sep = ""
				if array {
					sep = "["
				}
			}
			fmt.Fprintf(w, `%s{"jobName":"n%d","taskDefinition":"work","tags":{"pad":"%0200d"}}`, sep, i, i)
		}
		if array {
			_, _ = io.WriteString(w, "]")
		}
		_ = w.Close()
	}()
	return r
}

// TestRequestsHoldsOneAtATime measures the heap, so nothing runs beside it.
func TestRequestsHoldsOneAtATime(t *testing.T) {
	for name, array := range map[string]bool{"an array": true, "one a line": false} {
		t.Run(name, func(t *testing.T) {
			const n = 10_000 // about 2.5 MB
			r := intake.NewDocuments("f", endless(array, n))
			var before, during runtime.MemStats
			runtime.ReadMemStats(&before)
			for i := range n {
				if _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
				if i == n-1 {
					runtime.GC()
					runtime.ReadMemStats(&during)
				}
			}
			if grown := int64(during.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
				t.Errorf("holds %d bytes more after %d requests", grown, n)
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("got %v at the end", err)
			}
		})
	}
}
