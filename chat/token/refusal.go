package token

import "fmt"

// Reason is why a token is not believed, as metrics and logs call it.
type Reason string

// The reasons.
const (
	TooLong    Reason = "too_long"
	Malformed  Reason = "malformed"   // not a token, or not in a form that is taken
	UnknownKey Reason = "unknown_key" // it names a key that is not there
	Algorithm  Reason = "algorithm"   // it says another one than its key is for
	Signature  Reason = "signature"   // changed, or signed with another key
	Issuer     Reason = "issuer"
	Audience   Reason = "audience"
	NotYet     Reason = "not_yet"
	Expired    Reason = "expired"
	BadClaims  Reason = "claims" // one is missing, or is not what it should be
)

// Error is why a token is not believed. Neither field holds anything that the token says.
type Error struct {
	Reason Reason
	Text   string
}

// Error is the text.
func (e *Error) Error() string { return e.Text }

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Text: fmt.Sprintf(format, args...)}
}
