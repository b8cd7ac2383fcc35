package envelope

// Protocol is the name of the subprotocol.
const Protocol = "throng.v1"

// What the fields of a request may be. The lengths are of UTF-8, without quotes and
// with escapes resolved.
const (
	// IDBytesMax is enough for a UUID with a prefix; ids are kept until their answer.
	IDBytesMax = 64
	// KeyBytesMax likewise; keys are stored with the message.
	KeyBytesMax = 64
	// NameBytesMax is for a display name, or a room.
	NameBytesMax = 64
	// RoomBytesMax is a name, or @ and a user's id of as many bytes.
	RoomBytesMax = 1 + NameBytesMax
	// EpochBytesMax is far more than the server's own take.
	EpochBytesMax = 64
	// TokenBytesMax is what a head of a request could carry of it.
	TokenBytesMax = 8 << 10

	// IntegerMax is the largest whole number that JavaScript holds exactly, and JSON may carry (RFC 8259, section 6).
	IntegerMax = 1<<53 - 1
	// LastMax is how many messages a join may ask to have replayed.
	LastMax = 1000
	// LimitMax is how many messages a history may ask for, and LimitDefault how many it gets without asking.
	LimitMax     = 1000
	LimitDefault = 50

	// DepthMax is how deep objects and arrays may stand in each other, the request itself being the first. It bounds
	// the stack of whoever reads them, the other clients' included.
	DepthMax = 32
)
