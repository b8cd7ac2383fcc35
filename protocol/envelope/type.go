package envelope

// Type is what a client asks for.
type Type uint8

// The types of requests.
const (
	Join Type = iota + 1
	Leave
	Publish
	Signal
	History
	Members
	Ping
	Auth

	typeEnd
)

// typeNames is indexed by Type.
var typeNames = [typeEnd]string{
	0: "none", Join: "join", Leave: "leave", Publish: "publish", Signal: "signal", History: "history", Members: "members", Ping: "ping", Auth: "auth",
}

// String is the type as it stands in a request.
func (t Type) String() string { return typeNames[t] }

// Types lists all requests there are.
func Types() []Type {
	all := make([]Type, 0, len(typeNames))
	for t := Join; t < typeEnd; t++ {
		all = append(all, t)
	}
	return all
}
