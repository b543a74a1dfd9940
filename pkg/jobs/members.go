package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Member is one member of a JSON object, its value not yet read.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Members splits one JSON object into its members, in the order of the document, so that every document of ours can be
// read more strictly than encoding/json does: names are compared exactly, and a name given twice can be seen. The problem
// is empty, or says why data is not one JSON object; it never quotes the data.
func Members(data []byte) (members []Member, problem string) {
	switch problem = wellFormed(data); {
	case problem != "":
		return nil, problem
	case TypeOf(data) != typeObject:
		return nil, "must be " + typeObject + ", not " + TypeOf(data)
	}
	return split(data), ""
}

// split is Members for what is known to be one valid JSON object. A json.Decoder would look at each value three times; most of
// what reading a request costs is this.
func split(data []byte) (members []Member) {
	for rest := after(data, '{'); rest[0] != '}'; {
		quoted := rest[:valueEnd(rest)]
		name := unquote(quoted)
		rest = after(rest[len(quoted):], ':')
		end := valueEnd(rest)
		members = append(members, Member{name, rest[:end:end]})
		if rest = bytes.TrimLeft(rest[end:], jsonSpace); rest[0] == ',' {
			rest = after(rest, ',')
		}
	}
	return members
}

// unquote reads a string of valid JSON.
func unquote(quoted []byte) (text string) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	_ = json.Unmarshal(quoted, &text) // cannot fail: valid JSON, and a string
	return text
}

// jsonSpace is what may stand between tokens: https://datatracker.ietf.org/doc/html/rfc8259#section-2
const jsonSpace = " \t\n\r"

// after is what follows a token that valid JSON has here.
func after(data []byte, token byte) []byte {
	return bytes.TrimLeft(data[bytes.IndexByte(data, token)+1:], jsonSpace)
}

// valueEnd is how many bytes the value at the beginning of valid JSON takes.
func valueEnd(data []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			quoted = !quoted
		case quoted:
			continue
		case c == '{', c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case depth == 0 && strings.IndexByte(",:}]"+jsonSpace, c) >= 0:
			return i
		default:
			continue
		}
		if depth == 0 && !quoted {
			return i + 1
		}
	}
	return len(data)
}

// wellFormed says in what way data is not one complete JSON value in UTF-8. encoding/json would quote the offending
// character, which may be part of a secret, and would replace bad UTF-8 silently.
func wellFormed(data []byte) string {
	if len(bytes.TrimSpace(data)) == 0 {
		return "is empty"
	}
	if !utf8.Valid(data) {
		return "is not valid UTF-8"
	}
	if json.Valid(data) {
		return ""
	}
	var value json.RawMessage // tells where
	err := json.Unmarshal(data, &value)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return "is not valid JSON, at byte " + strconv.FormatInt(syntax.Offset, 10)
	}
	return "is not valid JSON"
}

// loneSurrogate finds an escaped half of a UTF-16 pair that stands alone in a JSON document. encoding/json would make U+FFFD
// of it silently, as of bad UTF-8, so that what runs would not be what was asked for.
// https://datatracker.ietf.org/doc/html/rfc8259#section-8.2
func loneSurrogate(data []byte) (at int, found bool) {
	for i := 0; i < len(data); i++ {
		if data[i] != '\\' {
			continue
		}
		if high := escapedUnit(data[i:]); !utf16.IsSurrogate(high) {
			i++ // the escaped character may be a backslash
		} else if utf16.DecodeRune(high, escapedUnit(data[i+6:])) == unicode.ReplacementChar {
			return i, true
		} else {
			i += 11
		}
	}
	return 0, false
}

// escapedUnit is the UTF-16 unit that an escape \uXXXX at the beginning of data stands for, or 0.
func escapedUnit(data []byte) rune {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(unit)
}

// The JSON types as problems name them.
const (
	typeString  = "a string"
	typeNumber  = "a number"
	typeObject  = "an object"
	typeArray   = "an array"
	typeBoolean = "a boolean"
	typeNull    = "null"
)

// TypeOf names the type of one valid JSON value.
func TypeOf(value json.RawMessage) string {
	value = bytes.TrimLeft(value, jsonSpace)
	if len(value) == 0 {
		return "nothing"
	}
	switch value[0] {
	case '"':
		return typeString
	case '{':
		return typeObject
	case '[':
		return typeArray
	case 't', 'f':
		return typeBoolean
	case 'n':
		return typeNull
	}
	return typeNumber
}

// nameMax is how many characters of an unknown name a problem repeats.
const nameMax = 64

// QuoteName returns a member's name as a problem may show it: as it is if it is plain, else quoted, in ASCII; cut in any case.
func QuoteName(name string) string {
	cut := name
	if runes := []rune(name); len(runes) > nameMax {
		cut = string(runes[:nameMax]) + "..."
	}
	for _, c := range cut {
		if !isNameChar(c) && c != '.' && c != ':' && c != '/' {
			return strconv.QuoteToASCII(cut)
		}
	}
	if cut == "" {
		return `""`
	}
	return cut
}

// isNameChar reports whether c may stand in a jobName or a jobId.
func isNameChar(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
