package bench

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	"throng/bench/report"
)

// Options are what all scenarios have in common, for a parser that reads struct tags.
type Options struct {
	URL     []string `name:"url" group:"Server" sep:"none" required:"" help:"Server, as ws://HOST:PORT/PATH. Given several times, connections are spread over them: room by room, or each has a copy of the one room and is checked by itself." placeholder:"URL"`
	Name    string   `group:"Server" help:"What the result calls the server." placeholder:"NAME"`
	PID     []int    `name:"pid" group:"Server" help:"Process of the server, to count its CPU and memory; may be given several times." placeholder:"PID"`
	Metrics []string `group:"Server" sep:"none" help:"Private port of a throng node, to ask it for memory, batches and collections; may be given several times." placeholder:"URL"`

	Path        string `group:"Envelope" help:"Path of the request, {room} in it for the room. Default: the URL's own, and /rooms/{room} where there are several rooms." placeholder:"TEMPLATE"`
	Subprotocol string `group:"Envelope" help:"Subprotocol to ask for; the server has to agree." placeholder:"NAME"`
	Hello       string `group:"Envelope" help:"Text message that each connection says first, {n} in it for its number, {room} for its room." placeholder:"TEXT"`
	Prefix      string `group:"Envelope" help:"What stands before each payload, {room} in it for the room. With an envelope the payload is found by a mark in it, however the server wraps it." placeholder:"TEXT"`
	Suffix      string `group:"Envelope" help:"What stands behind each payload." placeholder:"TEXT"`
	Ack         string `group:"Envelope" help:"What is in each message by which the server acknowledges one; as many are waited for as were sent." placeholder:"TEXT"`
	Text        bool   `group:"Envelope" help:"Send text messages: the payload is printable, for servers that want UTF-8."`
	Payload     int    `group:"Envelope" help:"Bytes of a message, without prefix and suffix: 28 or more, 36 with an envelope, 46 with --text." default:"32"`

	Workers     int      `group:"Client" help:"Processes to spread the connections over; 0: as many as the descriptor limit demands." default:"0"`
	ConnectRate float64  `group:"Client" help:"Connections a second while connecting; 0: as fast as it goes." default:"0"`
	Source      []string `group:"Client" help:"Addresses to connect from; may be given several times. Default: on loopback 127.0.0.2 and upwards, else the kernel's choice." placeholder:"CIDR"`
	Nice        int      `group:"Client" help:"Scheduling priority of the client, -20 to 19; below 0 needs the right to it." default:"0"`

	JSON   bool   `group:"Report" help:"Print the result as JSON."`
	Report string `group:"Report" help:"Write the result as a page with plots." placeholder:"FILE.html"`

	// Progress is told what goes on, a line at a time; may be nil.
	Progress func(string) `kong:"-"`

	self     []string  // how this program's bench is started; nil: by its own path
	held     func(int) // for tests: called with each tick of a worker in this process
	settings []report.Setting
}

const defaultRoomPath = "/rooms/" + roomWord

func (o *Options) hooks() hooks {
	return hooks{Path: o.Path, Subprotocol: o.Subprotocol, Hello: o.Hello, Prefix: o.Prefix, Suffix: o.Suffix, Ack: o.Ack, Text: o.Text}
}

// check is for what is wrong whatever the scenario.
func (o *Options) check() error {
	h := o.hooks()
	longest := frameBytesMax - len(o.Prefix) - len(o.Suffix)
	switch {
	case o.Workers < 0:
		return fmt.Errorf("--workers %d: want 0 or more", o.Workers)
	case !countable(o.ConnectRate):
		return fmt.Errorf("--connect-rate %g: want 0 or more", o.ConnectRate)
	case o.Payload < h.payloadMin() || o.Payload > longest:
		return fmt.Errorf("--payload %d: want %d to %d bytes", o.Payload, h.payloadMin(), longest)
	case o.Nice < -20 || o.Nice > 19:
		return fmt.Errorf("--nice %d: want -20 to 19", o.Nice)
	case o.Path != "" && o.Path[0] != '/':
		return fmt.Errorf("--path %q: want it to begin with /", o.Path)
	case strings.ContainsAny(o.Path+o.Subprotocol, " \r\n"):
		return fmt.Errorf("--path and --subprotocol: want no space and no line's end in them")
	}
	return nil
}

// countable tells whether a number can be reckoned with: neither below 0 nor without end, nor none at all.
func countable(v float64) bool { return v >= 0 && v <= math.MaxInt32 }

// settingsOf lists the flags of a command that are not at zero, in their order.
func settingsOf(command any) (list []report.Setting) {
	v := reflect.Indirect(reflect.ValueOf(command))
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if field.Anonymous && value.Kind() == reflect.Struct {
			list = append(list, settingsOf(value.Addr().Interface())...)
			continue
		}
		if !field.IsExported() || field.Tag.Get("kong") == "-" || value.IsZero() {
			continue
		}
		switch name := flagName(field); name {
		case "url", "name", "json", "report": // they are elsewhere in the document, or say nothing of the run
		default:
			text := fmt.Sprint(value.Interface())
			if value.Kind() == reflect.Slice {
				text = strings.Trim(text, "[]")
			}
			list = append(list, report.Setting{Name: name, Value: text})
		}
	}
	return list
}

// flagName is the name that the parser gives a field.
func flagName(field reflect.StructField) string {
	if name := field.Tag.Get("name"); name != "" {
		return name
	}
	var b strings.Builder
	for i, r := range field.Name {
		if i > 0 && r >= 'A' && r <= 'Z' && field.Name[i-1] >= 'a' {
			b.WriteByte('-')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}
