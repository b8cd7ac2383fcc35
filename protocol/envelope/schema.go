package envelope

import _ "embed"

// Schema describes every message of both sides: JSON Schema, draft 2020-12. What a client sends is $defs/client, what it reads $defs/server.
//
//go:embed schema.json
var Schema []byte
