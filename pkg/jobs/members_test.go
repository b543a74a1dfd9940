package jobs

import (
	"encoding/json"
	"testing"
)

// TestTextIsWrittenAsEncodingJSONDoes: stored fingerprints rest on it.
func TestTextIsWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for r := range rune(0x2100) {
		text := "a" + string(r) + "b"
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendText(nil, text); string(got) != string(want) {
			t.Errorf("%U is written as %s; want %s", r, got, want)
		}
		if back := unquote(want); back != text {
			t.Errorf("%s is read as %q", want, back)
		}
	}
}
