package fargate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// The SDK's types carry no JSON tags, and its own JSON codec serves clients alone. Both directions of ECS's JSON are
// here: a key is the Go field's name with its first letter in lower case.

// encodeShape writes one of the SDK's types as ECS's JSON, compact; what is nil or empty is left out.
func encodeShape(shape any) []byte { return appendShape(nil, reflect.ValueOf(shape)) }

// appendShape appends a value. Of the kinds that ECS's types have, only unions (GPU sharing) are left out.
func appendShape(to []byte, value reflect.Value) []byte {
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return append(to, "null"...)
		}
		return appendShape(to, value.Elem())
	case reflect.Struct:
		if at, ok := value.Interface().(time.Time); ok {
			// The AWS JSON protocol has seconds since 1970.
			return strconv.AppendFloat(to, float64(at.UnixMilli())/1000, 'f', -1, 64)
		}
		return appendStruct(to, value)
	case reflect.Slice:
		to = append(to, '[')
		for i := range value.Len() {
			if i > 0 {
				to = append(to, ',')
			}
			to = appendShape(to, value.Index(i))
		}
		return append(to, ']')
	case reflect.Map:
		return appendMap(to, value)
	case reflect.String:
		return appendString(to, value.String())
	case reflect.Bool:
		return strconv.AppendBool(to, value.Bool())
	case reflect.Int, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(to, value.Int(), 10)
	case reflect.Float64:
		return strconv.AppendFloat(to, value.Float(), 'f', -1, 64)
	default:
		return append(to, "null"...)
	}
}

func appendStruct(to []byte, value reflect.Value) []byte {
	to = append(to, '{')
	first := true
	for _, member := range membersOf(value.Type()) {
		field := value.Field(member.index)
		if absent(field) {
			continue
		}
		if !first {
			to = append(to, ',')
		}
		first = false
		to = append(to, member.key...)
		to = appendShape(to, field)
	}
	return append(to, '}')
}

func appendMap(to []byte, value reflect.Value) []byte {
	keys := value.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	to = append(to, '{')
	for i, key := range keys {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(appendString(to, key.String()), ':')
		to = appendShape(to, value.MapIndex(key))
	}
	return append(to, '}')
}

// absent tells whether a field says nothing. A pointer to an empty string or to false says something.
func absent(field reflect.Value) bool {
	switch field.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return field.IsNil()
	case reflect.String: // enums
		return field.String() == ""
	case reflect.Interface:
		return true
	default:
		return false
	}
}

// appendString appends a JSON string without escaping <, > and &: ECS counts an override's characters as they were sent.
func appendString(to []byte, text string) []byte {
	plain := utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
	if plain {
		return append(append(append(to, '"'), text...), '"')
	}
	return append(to, encodeJSON(text)...)
}

// encodeJSON is json.Marshal without the escapes that HTML needs.
func encodeJSON(value any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err)) // only this package's own structs come here
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))
}

type member struct {
	name  string // as in JSON
	key   string // "name":
	index int
	shape reflect.Type
}

var memberCache sync.Map // reflect.Type -> []member

func membersOf(shape reflect.Type) []member {
	if cached, ok := memberCache.Load(shape); ok {
		return cached.([]member)
	}
	var members []member
	for i := range shape.NumField() {
		field := shape.Field(i)
		if !field.IsExported() || field.Name == "ResultMetadata" {
			continue
		}
		name := nameInJSON(field.Name)
		members = append(members, member{name: name, key: `"` + name + `":`, index: i, shape: field.Type})
	}
	memberCache.Store(shape, members)
	return members
}

// nameInJSON is what ECS calls a member of a type of the SDK's.
func nameInJSON(field string) string { return strings.ToLower(field[:1]) + field[1:] }

// decodeShape reads ECS's JSON into one of the SDK's types. Keys that the type does not have are an error that names
// all of them, wherever they are: a misspelt setting must not be dropped in silence.
func decodeShape(document []byte, shape any) error {
	var generic any
	decoder := json.NewDecoder(bytes.NewReader(document))
	if err := decoder.Decode(&generic); err != nil {
		return notJSON(document, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("there is more than one JSON document")
	}
	switch unknown := unknownKeys("", generic, reflect.TypeOf(shape)); {
	case len(unknown) == 1:
		return fmt.Errorf("unknown key %s", unknown[0])
	case len(unknown) > 1:
		return fmt.Errorf("unknown keys %s", strings.Join(unknown, ", "))
	}
	err := json.Unmarshal(document, shape)
	if problem := wrongType(err); problem != "" {
		return errors.New(problem)
	}
	return err
}

// notJSON says where a document stops being JSON, in the words in which requests are refused.
func notJSON(document []byte, err error) error {
	switch syntax, ok := errors.AsType[*json.SyntaxError](err); {
	case ok:
		before := document[:syntax.Offset-1]
		return fmt.Errorf("is not valid JSON, at line %d, byte %d",
			bytes.Count(before, []byte{'\n'})+1, len(before)-bytes.LastIndexByte(before, '\n'))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("is not complete JSON: the file ends in the middle of it")
	case errors.Is(err, io.EOF):
		return errors.New("is empty")
	}
	return err
}

// wrongType tells of a value of the wrong type without the value, which may be secret; "" where err is something else.
func wrongType(err error) string {
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return ""
	}
	what := "the document"
	if wrong.Field != "" {
		path := strings.Split(wrong.Field, ".")
		for i, name := range path {
			path[i] = nameInJSON(name)
		}
		what = strings.Join(path, ".")
	}
	kind, _, _ := strings.Cut(wrong.Value, " ")
	return what + " is a JSON " + kind + " and must be " + kindInJSON(wrong.Type.Kind())
}

func kindInJSON(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
}

func unknownKeys(path string, document any, shape reflect.Type) []string {
	if shape.Kind() == reflect.Pointer {
		return unknownKeys(path, document, shape.Elem())
	}
	var unknown []string
	switch document := document.(type) {
	case []any:
		if shape.Kind() == reflect.Slice {
			for i, item := range document {
				unknown = append(unknown, unknownKeys(fmt.Sprintf("%s[%d]", path, i), item, shape.Elem())...)
			}
		}
	case map[string]any:
		if shape.Kind() == reflect.Struct {
			return unknownMembers(path, document, shape)
		}
	}
	return unknown
}

func unknownMembers(path string, document map[string]any, shape reflect.Type) []string {
	if path != "" {
		path += "."
	}
	members := membersOf(shape)
	var unknown []string
	for key, value := range document {
		i := slices.IndexFunc(members, func(m member) bool { return m.name == key })
		if i < 0 {
			unknown = append(unknown, path+printable(key))
			continue
		}
		unknown = append(unknown, unknownKeys(path+key, value, members[i].shape)...)
	}
	slices.Sort(unknown)
	return unknown
}

func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// readShape reads a request. Unknown members are ignored, as ECS ignores them. What is wrong is told without the value,
// which may be secret.
func readShape(body []byte, shape any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		return badDocument("the request's body is not a JSON object")
	}
	err := json.Unmarshal(body, shape)
	if problem := wrongType(err); problem != "" {
		return badDocument(problem)
	}
	if err != nil {
		return badDocument("the request's body cannot be read")
	}
	return nil
}

// encodeShapes is encodeShape for a list, which is written where it is nil, too.
func encodeShapes[T any](shapes []T) []byte {
	if shapes == nil {
		return []byte("[]")
	}
	return encodeShape(shapes)
}
