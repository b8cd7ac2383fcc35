package client

import (
	"bytes"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"throng/protocol/envelope"
)

// clientSchema is what everything has to be that a client says: the same text that the server is held against.
var clientSchema = sync.OnceValue(func() *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(envelope.Schema))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("throng.json", document); err != nil {
		panic(err)
	}
	return compiler.MustCompile("throng.json#/$defs/client")
})
