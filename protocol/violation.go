package protocol

// Violation names the rule that a client's bytes broke. It is the error that a Decoder returns, and it
// determines the close code and the label in the metrics. The zero value is no violation.
type Violation uint8

// Every way in which a client's frames can be refused.
const (
	ReservedBits      Violation = iota + 1 // RSV1 to RSV3 without an extension that gives them a meaning here
	ReservedOpcode                         // opcodes 3 to 7 and 11 to 15
	ControlFragmented                      // a control frame without FIN
	BadFragmentation                       // a continuation of nothing, or a new message inside a message
	Unmasked                               // a client's frame without a masking key
	ControlTooLong                         // a control frame of more than 125 bytes
	BadLength                              // not the shortest form, or the top bit of 64 set
	BadUTF8                                // text that is not UTF-8
	BadCloseLength                         // a Close of one byte: half a code
	BadCloseCode                           // a code that nobody may send
	BadCloseReason                         // a Close reason that is not UTF-8
	MessageTooBig                          // declared over the limit of a frame or of a message
	TooManyFragments                       // a message in more pieces than the limit
	InflateTooBig                          // a message that inflates to more than the limit
	InflateCorrupt                         // data that is no DEFLATE stream
)

// Close codes that a violation leads to, RFC 6455 section 7.4.1.
const (
	closeProtocolError  = 1002
	closeInvalidPayload = 1007
	closePolicy         = 1008
	closeTooBig         = 1009
)

// violations is indexed by Violation. The labels are few and fixed: they end up in the metrics.
var violations = [...]struct {
	code  uint16
	label string
	text  string
}{
	0:                 {0, "", "no violation"},
	ReservedBits:      {closeProtocolError, "protocol_error", "reserved bits set"},
	ReservedOpcode:    {closeProtocolError, "protocol_error", "reserved opcode"},
	ControlFragmented: {closeProtocolError, "protocol_error", "fragmented control frame"},
	BadFragmentation:  {closeProtocolError, "protocol_error", "fragment out of place"},
	Unmasked:          {closeProtocolError, "protocol_error", "unmasked frame"},
	ControlTooLong:    {closeProtocolError, "protocol_error", "control frame over 125 bytes"},
	BadLength:         {closeProtocolError, "protocol_error", "length not in its shortest form"},
	BadUTF8:           {closeInvalidPayload, "utf8", "text is not UTF-8"},
	BadCloseLength:    {closeProtocolError, "close_code", "close payload of one byte"},
	BadCloseCode:      {closeProtocolError, "close_code", "close code not allowed"},
	BadCloseReason:    {closeInvalidPayload, "utf8", "close reason is not UTF-8"},
	MessageTooBig:     {closeTooBig, "too_big", "message too big"},
	TooManyFragments:  {closePolicy, "fragments", "too many fragments"},
	InflateTooBig:     {closeTooBig, "inflate_too_big", "message inflates to too much"},
	InflateCorrupt:    {closeInvalidPayload, "inflate", "compressed data is corrupt"},
}

// Error says what is wrong in a few words that may be sent as the reason of a Close.
func (v Violation) Error() string { return violations[v].text }

// Code is the close code that the client is told: 1002, 1007, 1008 or 1009.
func (v Violation) Code() uint16 { return violations[v].code }

// Label is the violation's name in the metrics; several violations share one.
func (v Violation) Label() string { return violations[v].label }
