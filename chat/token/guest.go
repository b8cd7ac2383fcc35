package token

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// Guests are users that nobody vouches for. What makes one the same guest again, on any node, is a session: a secret that is told to nobody else. Its
// hash is the name, so that who sees the name learns nothing of the session.

const (
	guestPrefix = "~"
	// guestLetters of base32 are 80 bits: nobody finds a session for a name, and two guests of millions do not share one.
	guestLetters = 16
	// sessionLetters of base32 are the 128 bits that crypto/rand thinks nobody guesses.
	sessionLetters = 26
)

// NewSession is a session that nobody has had.
func NewSession() string { return strings.ToLower(rand.Text()) }

// ValidSession reports whether a text can be a session. Short ones could be guessed, and then somebody would be two people.
func ValidSession(session string) bool {
	for i := range len(session) {
		if c := session[i]; !('a' <= c && c <= 'z' || '2' <= c && c <= '7') {
			return false
		}
	}
	return len(session) == sessionLetters
}

// Guest is the user whose session it is.
func Guest(session string) (user string) {
	sum := sha256.Sum256([]byte(session))
	return guestPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:guestLetters])
}

// IsGuest reports whether a user is a guest.
func IsGuest(user string) bool { return strings.HasPrefix(user, guestPrefix) }
