package protocol

// Defaults of a DecoderConfig. A chat line is a few hundred bytes; 64 KiB holds a pasted page and keeps
// what a hostile client can make us hold small enough to multiply by a million.
const (
	DefaultMaxMessage   = 64 << 10
	DefaultMaxFragments = 1024
)

// DecoderConfig holds the limits of a Decoder. It is shared by all connections and only read. A limit of 0
// is off; even then nothing is ever allocated by a declared length, only by bytes that have arrived.
type DecoderConfig struct {
	// MaxMessage bounds the bytes of a message: the sum of its fragments, refused when a header declares
	// too much, and what a compressed message inflates to. Default: DefaultMaxMessage.
	MaxMessage int
	// MaxFrame bounds the payload of one data frame. Default: 0, which leaves it to MaxMessage.
	MaxFrame int
	// MaxFragments bounds the frames of one message, so that empty fragments, which never reach MaxMessage,
	// come to an end. Default: DefaultMaxFragments.
	MaxFragments int
}

// DefaultDecoderConfig is the configuration with every default.
func DefaultDecoderConfig() DecoderConfig {
	return DecoderConfig{MaxMessage: DefaultMaxMessage, MaxFragments: DefaultMaxFragments}
}

// judgeLength holds a data frame's declared length n (or what it is at least, while the length is still
// arriving) against the limits; before is the sum of the message's earlier frames.
func (c *DecoderConfig) judgeLength(n uint64, before int64, deflated bool) Violation {
	if c.MaxFrame > 0 && n > uint64(c.MaxFrame) {
		return MessageTooBig
	}
	limit := int64(maxInt63)
	if c.MaxMessage > 0 {
		limit = int64(c.MaxMessage)
		if deflated {
			limit = deflatedMax(limit)
		}
	}
	if n > uint64(limit-before) {
		return MessageTooBig
	}
	return 0
}

const maxInt63 = 1<<63 - 1

// deflatedMax is how many compressed bytes a message of n bytes may take. DEFLATE makes random data bigger:
// stored blocks add 5 bytes to each, and an encoder that insists on the fixed Huffman code, as some do for
// short blocks, spends 9 bits on almost half of all bytes. An eighth covers the worst of them.
func deflatedMax(n int64) int64 {
	const flushes = 64 // sync markers and the end of the stream
	if n > maxInt63/2 {
		return maxInt63
	}
	return n + n/8 + flushes
}
