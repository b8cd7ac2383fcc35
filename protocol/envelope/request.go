package envelope

// Position is a place in the order of a room: behind the message seq of this epoch.
type Position struct {
	Epoch []byte
	Seq   uint64
}

// Request is what a client asks, taken out of its text. Which fields mean something depends on the type; the others are zero.
//
// Its slices are parts of the text or of a buffer of the request's own, and are good until the text is changed or the next Parse. A request
// that is used again and again does not allocate.
type Request struct {
	Type Type
	ID   []byte // as it stands in the text, with quotes if it is a string, to be sent back; nil if there was no good one
	Room []byte // 1 to RoomBytesMax bytes without controls; whether it is a room's name is for others to say
	Key  []byte // nil: none
	Body Body   // of Publish and Signal; never Binary

	HasSince bool
	Since    Position
	Last     int // 0 to LastMax

	HasBefore, HasAfter bool // at most one of them
	Before, After       uint64
	Limit               int // 1 to LimitMax

	Token, Name []byte // exactly one of them, in Auth

	data   []byte
	seen   uint16 // which fields are there, by bit
	fields [fieldEnd]value
	buffer []byte // strings without their escapes, JSON without its space
}

type field uint8

const (
	fieldType field = iota
	fieldID
	fieldRoom
	fieldKey
	fieldText
	fieldJSON
	fieldData
	fieldSince
	fieldLast
	fieldBefore
	fieldAfter
	fieldLimit
	fieldToken
	fieldName
	fieldEnd
)

var fieldNames = [fieldEnd]string{"type", "id", "room", "key", "text", "json", "data", "since", "last", "before", "after", "limit", "token", "name"}

// fieldOf is written out because the compiler makes a good search of it.
func fieldOf(name []byte) field {
	switch string(name) {
	case "type":
		return fieldType
	case "id":
		return fieldID
	case "room":
		return fieldRoom
	case "key":
		return fieldKey
	case "text":
		return fieldText
	case "json":
		return fieldJSON
	case "data":
		return fieldData
	case "since":
		return fieldSince
	case "last":
		return fieldLast
	case "before":
		return fieldBefore
	case "after":
		return fieldAfter
	case "limit":
		return fieldLimit
	case "token":
		return fieldToken
	case "name":
		return fieldName
	}
	return fieldEnd
}

// Parse reads the text of one message from a client. After an error the ID is that of the request if it could be told, for the answer; so is
// the room. The text is only read.
func (r *Request) Parse(data []byte) *Error {
	r.reset(data)
	again, err := r.scan()
	if err != nil {
		return err
	}
	if err := r.readID(again == fieldID); err != nil {
		return err
	}
	if again != fieldEnd {
		return Errorf(BadRequest, "%s is there twice", fieldNames[again])
	}
	if err := r.readType(); err != nil {
		return err
	}
	return r.readFields()
}

// reset forgets the last request. The places of its fields are left: seen says which of them mean something, and to clear them costs as much as
// to read a short request.
func (r *Request) reset(data []byte) {
	r.Type, r.ID, r.Room, r.Key, r.Body = 0, nil, nil, nil, Body{}
	r.HasSince, r.Since, r.Last = false, Position{}, 0
	r.HasBefore, r.HasAfter, r.Before, r.After, r.Limit = false, false, 0, 0, 0
	r.Token, r.Name = nil, nil
	r.data, r.seen, r.buffer = data, 0, r.buffer[:0]
}

// scan goes through the text once and notes where the fields are. again is one that came twice, or fieldEnd.
func (r *Request) scan() (again field, err *Error) {
	var name, v value
	var scratch [8]byte // longer than every name
	s := scanner{data: r.data}
	again = fieldEnd
	if s.open() {
		for s.next(&name, &v) {
			f := fieldOf(s.name(&name, scratch[:0]))
			if f == fieldEnd {
				continue
			}
			if r.has(f) {
				again = min(again, f)
			}
			r.seen |= 1 << f
			r.fields[f] = v
		}
	}
	if s.fault != "" {
		return again, &Error{Code: BadRequest, Message: s.report()}
	}
	return again, nil
}

func (r *Request) has(f field) bool { return r.seen&(1<<f) != 0 }

// literal is a field as it stands in the text.
func (r *Request) literal(f field) []byte { return r.data[r.fields[f].at:r.fields[f].end] }

func (r *Request) readID(twice bool) *Error {
	const rule = "an id is a string of 1 to 64 bytes without control characters, or a whole number from 0 to 9007199254740991"
	switch {
	case twice:
		return Errorf(BadRequest, "id is there twice")
	case !r.has(fieldID):
		return Errorf(BadRequest, "id is missing; %s", rule)
	}
	literal := r.literal(fieldID)
	switch r.fields[fieldID].kind {
	case isString:
		if text := r.text(fieldID); len(text) == 0 || len(text) > IDBytesMax || hasControl(text) {
			return Errorf(BadRequest, "id is not good; %s", rule)
		}
	default:
		if _, ok := whole(literal, 0, IntegerMax); !ok {
			return Errorf(BadRequest, "id is not good; %s", rule)
		}
	}
	r.ID = literal
	return nil
}

func (r *Request) readType() *Error {
	switch {
	case !r.has(fieldType):
		return Errorf(BadRequest, "type is missing")
	case r.fields[fieldType].kind != isString:
		return Errorf(BadRequest, "type is not a string")
	}
	name := r.text(fieldType)
	for t := Join; t < typeEnd; t++ {
		if string(name) == typeNames[t] {
			r.Type = t
			return nil
		}
	}
	return Errorf(UnknownType, "there is no request of the type %q", cut(name, NameBytesMax))
}

// readFields takes out what belongs to the type. What does not is as unknown as any other field.
func (r *Request) readFields() (err *Error) {
	if r.Type != Ping && r.Type != Auth {
		if r.Room, err = r.word(fieldRoom, RoomBytesMax, BadName); err != nil {
			return err
		}
	}
	switch r.Type {
	case Join:
		return r.readJoin()
	case Publish:
		if r.has(fieldKey) {
			if r.Key, err = r.word(fieldKey, KeyBytesMax, BadRequest); err != nil {
				return err
			}
		}
		return r.readBody()
	case Signal:
		return r.readBody()
	case History:
		return r.readHistory()
	case Auth:
		return r.readAuth()
	}
	return nil
}

func (r *Request) readJoin() *Error {
	last, err := r.number(fieldLast, 0, LastMax, 0)
	r.Last = int(last)
	if err != nil || !r.has(fieldSince) {
		return err
	}
	return r.readSince()
}

// readSince reads {"epoch":"...","seq":12}.
func (r *Request) readSince() *Error {
	const rule = "since is not an object with an epoch of 1 to 64 bytes and a whole number seq, each once"
	if r.fields[fieldSince].kind != isObject {
		return Errorf(BadRequest, rule)
	}
	var name, v, epoch, seq value
	var scratch [8]byte
	s := scanner{data: r.literal(fieldSince)}
	for more := s.open(); more && s.next(&name, &v); {
		switch string(s.name(&name, scratch[:0])) {
		case "epoch":
			if epoch.kind != 0 {
				return Errorf(BadRequest, rule)
			}
			epoch = v
		case "seq":
			if seq.kind != 0 {
				return Errorf(BadRequest, rule)
			}
			seq = v
		}
	}
	if epoch.kind != isString {
		return Errorf(BadRequest, rule)
	}
	r.Since.Epoch = r.unquote(s.data[epoch.at:epoch.end], epoch.escaped)
	n, ok := whole(s.data[seq.at:seq.end], 0, IntegerMax)
	if !ok || len(r.Since.Epoch) == 0 || len(r.Since.Epoch) > EpochBytesMax || hasControl(r.Since.Epoch) {
		return Errorf(BadRequest, rule)
	}
	r.Since.Seq, r.HasSince = n, true
	return nil
}

func (r *Request) readHistory() (err *Error) {
	if r.has(fieldBefore) && r.has(fieldAfter) {
		return Errorf(BadRequest, "before and after are both there; at most one may be")
	}
	if r.Before, err = r.number(fieldBefore, 1, IntegerMax, 0); err != nil {
		return err
	}
	if r.After, err = r.number(fieldAfter, 0, IntegerMax, 0); err != nil {
		return err
	}
	r.HasBefore, r.HasAfter = r.has(fieldBefore), r.has(fieldAfter)
	limit, err := r.number(fieldLimit, 1, LimitMax, LimitDefault)
	r.Limit = int(limit)
	return err
}

func (r *Request) readAuth() (err *Error) {
	switch {
	case r.has(fieldToken) == r.has(fieldName):
		return Errorf(BadRequest, "exactly one of token and name has to be there")
	case r.has(fieldToken):
		r.Token, err = r.word(fieldToken, TokenBytesMax, BadRequest)
	default:
		r.Name, err = r.word(fieldName, NameBytesMax, BadName)
	}
	return err
}

func (r *Request) readBody() *Error {
	const all = 1<<fieldText | 1<<fieldJSON | 1<<fieldData
	switch r.seen & all {
	case 1 << fieldText:
		if r.fields[fieldText].kind != isString {
			return Errorf(BadRequest, "text is not a string")
		}
		r.Body = Body{Text, r.text(fieldText)}
	case 1 << fieldJSON:
		literal := r.literal(fieldJSON)
		if r.fields[fieldJSON].spaced {
			start := len(r.buffer)
			r.buffer = appendCompact(r.buffer, literal)
			literal = r.buffer[start:]
		}
		r.Body = Body{JSON, literal}
	case 1 << fieldData:
		if r.fields[fieldData].kind != isString {
			return Errorf(BadRequest, "data is not a string")
		}
		data := r.text(fieldData)
		if !isBase64(data) {
			return Errorf(BadRequest, "data is not base64 with padding (RFC 4648, section 4)")
		}
		r.Body = Body{Data, data}
	default:
		return Errorf(BadRequest, "exactly one of text, json and data has to be there")
	}
	return nil
}

// word reads a string that has to be there, of 1 to most bytes without controls; otherwise is the code for those that are not.
func (r *Request) word(f field, most int, otherwise Code) ([]byte, *Error) {
	switch {
	case !r.has(f):
		return nil, Errorf(BadRequest, "%s is missing", fieldNames[f])
	case r.fields[f].kind != isString:
		return nil, Errorf(BadRequest, "%s is not a string", fieldNames[f])
	}
	text := r.text(f)
	switch {
	case len(text) == 0:
		return nil, Errorf(otherwise, "%s is empty", fieldNames[f])
	case len(text) > most:
		return nil, Errorf(otherwise, "%s is longer than %d bytes", fieldNames[f], most)
	case hasControl(text):
		return nil, Errorf(otherwise, "%s has a control character in it", fieldNames[f])
	}
	return text, nil
}

// number reads a whole number that may be missing.
func (r *Request) number(f field, least, most, missing uint64) (uint64, *Error) {
	if !r.has(f) {
		return missing, nil
	}
	n, ok := whole(r.literal(f), least, most)
	if !ok {
		return 0, Errorf(BadRequest, "%s is not a whole number from %d to %d, written in digits", fieldNames[f], least, most)
	}
	return n, nil
}

// whole reads a number that is written in digits alone. 5.0 and 5e0 are whole too, but a sequence number that somebody's library made a
// double of is wrong sooner or later.
func whole(literal []byte, least, most uint64) (uint64, bool) {
	if len(literal) == 0 || len(literal) > 16 {
		return 0, false
	}
	var n uint64
	for _, c := range literal {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, least <= n && n <= most
}

// text is what a string says.
func (r *Request) text(f field) []byte { return r.unquote(r.literal(f), r.fields[f].escaped) }

func (r *Request) unquote(literal []byte, escaped bool) []byte {
	literal = literal[1 : len(literal)-1]
	if !escaped {
		return literal
	}
	start := len(r.buffer)
	r.buffer = appendUnescaped(r.buffer, literal)
	return r.buffer[start:]
}
