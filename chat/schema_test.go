package chat

import (
	"bytes"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"throng/protocol/envelope"
)

// serverSchema is what everything has to be that the server says.
var serverSchema = sync.OnceValue(func() *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(envelope.Schema))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("throng.json", document); err != nil {
		panic(err)
	}
	return compiler.MustCompile("throng.json#/$defs/server")
})

// fits holds a message of the server's against the schema.
func fits(t testing.TB, text []byte) {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = serverSchema().Validate(value)
	}
	if err != nil {
		t.Errorf("the server says %s, which the schema does not allow: %v", text, err)
	}
}
