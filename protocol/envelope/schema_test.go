package envelope_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"throng/protocol/envelope"
)

const schemaURL = "urn:throng:v1"

// A book compiles a definition of the schema when it is first asked for.
type book struct {
	mu       sync.Mutex
	document any
	compiled map[string]*jsonschema.Schema
}

// The schema as it is published, which lets unknown fields pass, and one that does not: what we write has to be described.
var (
	published = sync.OnceValue(func() *book { return newBook(func(map[string]any) {}) })
	strict    = sync.OnceValue(func() *book {
		return newBook(func(definition map[string]any) {
			if definition["type"] == "object" {
				definition["unevaluatedProperties"] = false
			}
		})
	})
)

func newBook(change func(definition map[string]any)) *book {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(envelope.Schema))
	if err != nil {
		panic(err)
	}
	each(document, change)
	return &book{document: document, compiled: map[string]*jsonschema.Schema{}}
}

// each visits every object of the schema.
func each(node any, visit func(map[string]any)) {
	switch n := node.(type) {
	case map[string]any:
		for _, child := range n {
			each(child, visit)
		}
		visit(n)
	case []any:
		for _, child := range n {
			each(child, visit)
		}
	}
}

// validate holds a text against a definition.
func (b *book) validate(definition string, text []byte) error {
	b.mu.Lock()
	schema := b.compiled[definition]
	if schema == nil {
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource(schemaURL, b.document); err != nil {
			panic(err)
		}
		schema = compiler.MustCompile(schemaURL + "#/$defs/" + definition)
		b.compiled[definition] = schema
	}
	b.mu.Unlock()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}

// wrote holds what was written against what was expected, and against the schema.
func wrote(t *testing.T, definition string, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Errorf("got\n\t%s\nwant\n\t%s", got, want)
	}
	for _, definition := range []string{definition, "server"} {
		if err := strict().validate(definition, got); err != nil {
			t.Error(err)
		}
		if err := published().validate(definition, got); err != nil {
			t.Error(err)
		}
	}
}

// TestSchema: the schema keeps its draft's rules, and what it says of codes, types and limits is what the code has.
func TestSchema(t *testing.T) {
	var document struct {
		Defs map[string]struct {
			Enum       []string
			Properties map[string]any
			OneOf      []struct {
				Ref string `json:"$ref"`
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(envelope.Schema, &document); err != nil {
		t.Fatal(err)
	}
	var codes []string
	for _, code := range envelope.Codes() {
		codes = append(codes, code.String())
	}
	if listed := document.Defs["code"].Enum; !slices.Equal(listed, codes) {
		t.Errorf("the schema has the codes %v, want %v", listed, codes)
	}
	var types, want []string
	for _, one := range document.Defs["client"].OneOf {
		definition := document.Defs[strings.TrimPrefix(one.Ref, "#/$defs/")]
		types = append(types, definition.Properties["type"].(map[string]any)["const"].(string))
	}
	for _, one := range envelope.Types() {
		want = append(want, one.String())
	}
	if !slices.Equal(types, want) {
		t.Errorf("the schema has the requests %v, want %v", types, want)
	}
	for name := range document.Defs {
		_ = published().validate(name, []byte("{}")) // panics if the definition is none
	}
}
