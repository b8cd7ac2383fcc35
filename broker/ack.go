package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrUnavailable: the store cannot be reached. The message may or may not be stored: sent again under the same id it is stored once.
	ErrUnavailable = errors.New("broker: the store cannot be reached; try again")
	// ErrTimeout: the store did not answer in time. As with ErrUnavailable, the message may be stored.
	ErrTimeout = errors.New("broker: the store did not answer in time; try again")
	// ErrStoreFull: there is no room for another message. It was not stored.
	ErrStoreFull = errors.New("broker: the store is full")
	// ErrBusy: too much is waiting for its acknowledgement. The message was not stored.
	ErrBusy = errors.New("broker: too many messages are waiting to be stored")
	// ErrTooBig: the store takes no message of that size. It was not sent.
	ErrTooBig = errors.New("broker: the message is too big for the store")
	// ErrClosed: the broker was closed.
	ErrClosed = errors.New("broker: closed")
)

// Ack is the store's word that it has a message.
type Ack struct {
	Seq       uint64 // the number in its stream
	Duplicate bool   // it had it already, under this number
}

// ackHead is how every acknowledgement begins that JetStream makes in the ordinary case.
var (
	ackHead      = []byte(`{"stream":"`)
	ackSeq       = []byte(`","seq":`)
	ackSeqSpace  = []byte(`", "seq":`)
	ackDuplicate = []byte(`,"duplicate": true}`)
	ackDupPlain  = []byte(`,"duplicate":true}`)
)

// parseAck reads what JetStream answers to a publish. The ordinary form is read by hand, in about 30 ns and without a copy; any other by encoding/json.
func parseAck(data []byte) (Ack, error) {
	if ack, ok := plainAck(data); ok {
		return ack, nil
	}
	return parseAnyAck(data)
}

// plainAck knows {"stream":"NAME", "seq":N} and the same with a "duplicate":true at its end. A name with a quote or a backslash is not plain.
func plainAck(data []byte) (ack Ack, ok bool) {
	rest, ok := bytes.CutPrefix(data, ackHead)
	if !ok {
		return Ack{}, false
	}
	end := 0
	for end < len(rest) && (standsForItself(rest[end])) {
		end++
	}
	rest = rest[end:]
	if tail, ok := bytes.CutPrefix(rest, ackSeqSpace); ok {
		rest = tail
	} else if rest, ok = bytes.CutPrefix(rest, ackSeq); !ok {
		return Ack{}, false
	}
	digits := 0
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		ack.Seq = ack.Seq*10 + uint64(rest[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 18 || rest[0] == '0' { // 18 digits cannot overflow
		return Ack{}, false
	}
	switch rest = rest[digits:]; {
	case len(rest) == 1 && rest[0] == '}':
		return ack, true
	case bytes.Equal(rest, ackDuplicate), bytes.Equal(rest, ackDupPlain):
		ack.Duplicate = true
		return ack, true
	}
	return Ack{}, false
}

// apiError is how JetStream refuses.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

// The refusals of JetStream that mean something else than an error of the program.
const (
	errCodeStoreFailed       = 10077 // with the reason as text: full, or not
	errCodeResourcesExceeded = 10002
	errCodeMemoryExceeded    = 10028
	errCodeInsufficient      = 10023
	errCodeStorageExceeded   = 10047
	errCodeMessageTooBig     = 10054
	errCodeStreamNotFound    = 10059
	errCodeNotAvailable      = 10008
	errCodeNotEnabled        = 10076
	errCodeNotEnabledAccount = 10039
	errCodeOffline           = 10118
	errCodeInProgress        = 10158 // the same id is being stored at this moment
)

func (e *apiError) Error() string {
	return fmt.Sprintf("broker: the store says: %s (code %d, %d)", e.Description, e.Code, e.ErrCode)
}

// Unwrap says which of the package's errors this one is, if any.
func (e *apiError) Unwrap() error {
	switch e.ErrCode {
	case errCodeStoreFailed:
		if strings.HasPrefix(e.Description, "maximum ") {
			return ErrStoreFull
		}
		return ErrUnavailable
	case errCodeResourcesExceeded, errCodeMemoryExceeded, errCodeInsufficient, errCodeStorageExceeded:
		return ErrStoreFull
	case errCodeMessageTooBig:
		return ErrTooBig
	case errCodeNotAvailable, errCodeNotEnabled, errCodeNotEnabledAccount, errCodeOffline, errCodeInProgress, errCodeStreamNotFound:
		return ErrUnavailable
	}
	switch e.Code {
	case 429: // the stream's queue is full
		return ErrBusy
	case 503:
		return ErrUnavailable
	}
	return nil
}

func parseAnyAck(data []byte) (Ack, error) {
	var answer struct {
		Seq       uint64    `json:"seq"`
		Duplicate bool      `json:"duplicate"`
		Error     *apiError `json:"error"`
	}
	switch err := json.Unmarshal(data, &answer); {
	case err != nil:
		return Ack{}, fmt.Errorf("broker: an acknowledgement that cannot be read: %w", err)
	case answer.Error != nil:
		return Ack{}, answer.Error
	case answer.Seq == 0:
		return Ack{}, errors.New("broker: an acknowledgement without a number")
	}
	return Ack{Seq: answer.Seq, Duplicate: answer.Duplicate}, nil
}

// parseSeq reads a number of a header; anything else is 0.
func parseSeq(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
