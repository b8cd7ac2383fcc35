package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// object is a JSON object with its values as they came. Go's own way from JSON to a struct takes "SUB" for "sub" and the last of two that are called
// the same; whoever checked the token before may have seen another one.
type object map[string]json.RawMessage

// The errors of reading complete a sentence that says what was read.
var (
	errNotUTF8   = errors.New("is not valid UTF-8")
	errNotObject = errors.New("is not a JSON object")
	errTwice     = errors.New("has two members of one name")
)

func readObject(text []byte) (object, error) {
	if !utf8.Valid(text) {
		return nil, errNotUTF8
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, errNotObject
	}
	o := object{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errNotObject
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errNotObject
		}
		if _, twice := o[name.(string)]; twice {
			return nil, errTwice
		}
		o[name.(string)] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errNotObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotObject
	}
	return o, nil
}

// read decodes a member, if it is there. A null is not an absent one.
func (o object) read(name string, into any) error {
	value, there := o[name]
	if !there {
		return nil
	}
	if bytes.Equal(value, []byte("null")) || json.Unmarshal(value, into) != nil {
		return fmt.Errorf("has a %s that is not of the right kind", name)
	}
	return nil
}
