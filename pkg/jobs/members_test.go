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
		if got, err := appendText(nil, text); err != nil || string(got) != string(want) {
			t.Errorf("%U is written as %s, %v; want %s", r, got, err, want)
		}
		if back, err := unquote(want); err != nil || back != text {
			t.Errorf("%s is read as %q, %v", want, back, err)
		}
	}
}
