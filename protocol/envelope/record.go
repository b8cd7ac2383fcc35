package envelope

import (
	"errors"
	"fmt"
	"strconv"
)

// Record is a message as it is stored, and as nodes hand it to each other. It has no room and no number: those are known by where it stands.
//
// Its JSON has no space between, begins with the version and ends with the content. Nodes of another age may write more fields; they are
// passed on to clients and otherwise ignored.
type Record struct {
	Time int64  // milliseconds since 1970
	User []byte // id of who said it
	Name []byte // what that user was called in the room at that moment
	Key  []byte // of the publish; nil: none
	Body Body

	data   []byte
	buffer []byte
}

// recordVersion is what we write. A later one must stay readable for those who know only this one.
const recordVersion = 1

// AppendRecord writes a record. A body of the kind JSON is taken as it is: it has to come from a Request or a Record.
func AppendRecord(dst []byte, r *Record) []byte {
	dst = append(dst, `{"v":1,"time":`...)
	dst = strconv.AppendInt(dst, r.Time, 10)
	dst = appendText(append(dst, `,"user":`...), r.User)
	dst = appendText(append(dst, `,"name":`...), r.Name)
	if len(r.Key) > 0 {
		dst = appendText(append(dst, `,"key":`...), r.Key)
	}
	return append(r.Body.append(dst), '}')
}

var (
	errRecord = errors.New("envelope: not a record")
	errSpaced = fmt.Errorf("%w: it has space between its members, or around it", errRecord)
)

// The members of a record, as bits of those that were seen.
const (
	hasVersion = 1 << iota
	hasTime
	hasUser
	hasName
	hasKey
	hasBody
	reserved // the envelope's own fields: in a record they would say it twice

	needed = hasVersion | hasTime | hasUser | hasName | hasBody
)

// Parse reads a record. Its slices are parts of the text or of a buffer of the record's own, and are good until the text is changed or the next Parse.
func (r *Record) Parse(data []byte) error {
	*r = Record{buffer: r.buffer[:0], data: data}
	var name, v value
	var scratch [8]byte
	seen := 0
	s := scanner{data: data}
	for more := s.open(); more && s.next(&name, &v); {
		member, ok := r.member(s.name(&name, scratch[:0]), &v)
		if !ok || seen&member != 0 {
			return fmt.Errorf("%w: a member is not what it has to be, or there twice, at byte %d", errRecord, v.at)
		}
		seen |= member
	}
	switch {
	case s.fault != "":
		return fmt.Errorf("%w: %s", errRecord, s.report())
	case s.spaces > 0:
		return errSpaced
	case seen != needed && seen != needed|hasKey:
		return fmt.Errorf("%w: it has to have v, time, user, name, and one of text, json and data", errRecord)
	}
	return nil
}

// member takes out what the record says under a name.
func (r *Record) member(name []byte, v *value) (member int, ok bool) {
	literal := r.data[v.at:v.end]
	switch string(name) {
	case "v":
		_, ok = whole(literal, recordVersion, IntegerMax)
		return hasVersion, ok
	case "time":
		n, ok := whole(literal, 0, IntegerMax)
		r.Time = int64(n)
		return hasTime, ok
	case "user":
		r.User, ok = r.text(v)
		return hasUser, ok
	case "name":
		r.Name, ok = r.text(v)
		return hasName, ok
	case "key":
		r.Key, ok = r.text(v)
		return hasKey, ok && len(r.Key) > 0
	case "text":
		r.Body.Kind = Text
		r.Body.Bytes, ok = r.text(v)
		return hasBody, ok
	case "json":
		r.Body = Body{JSON, literal}
		return hasBody, true
	case "data":
		r.Body.Kind = Data
		r.Body.Bytes, ok = r.text(v)
		return hasBody, ok && isBase64(r.Body.Bytes)
	case "type", "room", "seq", "prev":
		return reserved, false
	}
	return 0, true
}

func (r *Record) text(v *value) (text []byte, ok bool) {
	if v.kind != isString {
		return nil, false
	}
	literal := r.data[v.at+1 : v.end-1]
	if !v.escaped {
		return literal, true
	}
	start := len(r.buffer)
	r.buffer = appendUnescaped(r.buffer, literal)
	return r.buffer[start:], true
}

// AppendRaw writes what clients without the subprotocol get of the message, and says whether it is text or binary: text as it is, JSON as text, and
// the bytes behind data.
func (r *Record) AppendRaw(dst []byte) (out []byte, text bool) {
	out, text, err := r.Body.appendRaw(dst)
	if err != nil { // Parse has looked
		return dst, false
	}
	return out, text
}
