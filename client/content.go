package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Kind is what a content is.
type Kind uint8

// The kinds of content. None is that of the zero Content, which cannot be sent.
const (
	None   Kind = iota
	IsText      // text
	IsJSON      // any JSON
	IsData      // bytes
)

// Content is what a message or signal carries: a text, a JSON value, or bytes. It is never changed.
type Content struct {
	kind  Kind
	bytes []byte
	err   error
}

// Text is a content of text, which must be valid UTF-8.
func Text(text string) Content {
	c := Content{kind: IsText, bytes: []byte(text)}
	if !utf8.ValidString(text) {
		c.err = errors.New("the text is not valid UTF-8")
	}
	return c
}

// JSON is a content of any value that encoding/json can write. If it cannot, what sends the content says so.
func JSON(value any) Content {
	text, err := marshal(value)
	return Content{kind: IsJSON, bytes: text, err: err}
}

// Data is a content of bytes, which are not copied.
func Data(bytes []byte) Content { return Content{kind: IsData, bytes: bytes} }

// Kind says what the content is.
func (c Content) Kind() Kind { return c.kind }

// Bytes returns the text, the JSON or the bytes, not to be changed.
func (c Content) Bytes() []byte { return c.bytes }

// String returns the text, the JSON or the bytes as they are.
func (c Content) String() string { return string(c.bytes) }

// Decode reads a content of JSON into a value, as json.Unmarshal does.
func (c Content) Decode(value any) error {
	if c.kind != IsJSON {
		return errors.New("throng: the content is no JSON")
	}
	return json.Unmarshal(c.bytes, value)
}

// into puts the content into a request.
func (c Content) into(r *request) error {
	if c.err != nil {
		return &Error{Code: CodeBadRequest, Message: fmt.Sprintf("the content cannot be sent: %v", c.err)}
	}
	switch c.kind {
	case IsText:
		text := string(c.bytes)
		r.Text = &text
	case IsJSON:
		r.JSON = c.bytes
	case IsData:
		data := append([]byte{}, c.bytes...) // not nil: no bytes at all are a content too
		r.Data = &data
	default:
		return &Error{Code: CodeBadRequest, Message: "there is no content"}
	}
	return nil
}
