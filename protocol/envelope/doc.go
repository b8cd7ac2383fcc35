// Package envelope is throng.v1: the JSON that stands around what people say, read
// and written by the server. It does no I/O, knows no clock, starts no goroutine,
// and holds nothing but what it is handed.
//
//	text in    Request.Parse: what a client asks               request.go, scan.go
//	store      AppendRecord, Record.Parse, AppendRaw           record.go
//	text out   AppendMessage, AppendSignal, AppendGap, ...     message.go
//	           AppendJoined, AppendPublished, AppendError, ... answer.go
//	codes      Code and its table, Error                       code.go
//
// A message is written as JSON once, when it is published, and stored so: the
// [Record]. What a room's members read is the record with a few fields put before
// it, which is a copy and no encoding:
//
//	record                                       {"v":1,"time":1790000000000,"user":"~k3","name":"Ann","text":"hi"}
//	message  {"type":"message","room":"tea","seq":12,"prev":9,"v":1,"time":1790000000000,"user":"~k3","name":"Ann","text":"hi"}
//
// Nothing here allocates for an ordinary message, if the caller keeps its [Request]
// and its buffers. schema.json describes every message for others; the tests hold
// both sides against it, and the examples of docs/PROTOCOL.md against both.
package envelope
