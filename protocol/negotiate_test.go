package protocol

import (
	"slices"
	"strings"
	"testing"
)

func TestSubprotocol(t *testing.T) {
	tests := []struct {
		name      string
		lines     []string
		supported []string
		want      string
	}{
		{"none offered", nil, []string{"a"}, ""},
		{"none supported", []string{"a, b"}, nil, ""},
		{"the client's order counts", []string{"b, a"}, []string{"a", "b"}, "b"},
		{"over two lines", []string{"x", "y,a"}, []string{"a"}, "a"},
		{"another case", []string{"A"}, []string{"a"}, ""},
		{"empty members", []string{", ,a,"}, []string{"a"}, "a"},
		{"part of a name", []string{"ab"}, []string{"a"}, ""},
	}
	for _, test := range tests {
		r := mustParse(t, offering("Sec-WebSocket-Protocol", test.lines...))
		if got := r.Subprotocol(test.supported); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	var all []string
	for name := range mustParse(t, offering("Sec-WebSocket-Protocol", "a ,b", "c")).Protocols() {
		all = append(all, string(name))
	}
	if !slices.Equal(all, []string{"a", "b", "c"}) {
		t.Errorf("Protocols = %q", all)
	}
}

func offering(header string, lines ...string) string {
	var changes []string
	for _, line := range lines {
		changes = append(changes, "+"+header+": "+line)
	}
	return headOf(changes...)
}

func TestNegotiateDeflate(t *testing.T) {
	yes := DeflateParams{Enabled: true, WindowBits: 15}
	server := func(bits uint8) DeflateParams { return DeflateParams{Enabled: true, WindowBits: bits, EchoBits: true} }
	client := func(bits uint8) DeflateParams {
		return DeflateParams{Enabled: true, WindowBits: 15, ClientBits: bits}
	}
	no := DeflateParams{}
	tests := []struct {
		lines []string
		want  DeflateParams
	}{
		{nil, no},
		{[]string{""}, no},
		{[]string{"permessage-deflate"}, yes},
		{[]string{"Permessage-Deflate"}, no},
		{[]string{"x-webkit-deflate-frame"}, no},
		{[]string{"permessage-deflate; server_no_context_takeover; client_no_context_takeover"}, yes},
		{[]string{"permessage-deflate; server_no_context_takeover=1"}, no},
		{[]string{"permessage-deflate; client_no_context_takeover=true"}, no},
		{[]string{"permessage-deflate; server_no_context_takeover; server_no_context_takeover"}, no},
		{[]string{"permessage-deflate; client_no_context_takeover; client_no_context_takeover"}, no},

		{[]string{"permessage-deflate; server_max_window_bits=8"}, server(8)},
		{[]string{"permessage-deflate;server_max_window_bits=15"}, server(15)},
		{[]string{"permessage-deflate ; server_max_window_bits = \"10\" "}, server(10)},
		{[]string{"permessage-deflate; server_max_window_bits"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=7"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=16"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=08"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=010"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=+9"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=99999999999999999999"}, no},
		{[]string{"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"}, no},

		{[]string{"permessage-deflate; client_max_window_bits"}, client(15)},
		{[]string{"permessage-deflate; client_max_window_bits=8"}, client(8)},
		{[]string{"permessage-deflate; client_max_window_bits=\"15\""}, client(15)},
		{[]string{"permessage-deflate; client_max_window_bits=7"}, no},
		{[]string{"permessage-deflate; client_max_window_bits=16"}, no},
		{[]string{"permessage-deflate; client_max_window_bits; client_max_window_bits"}, no},

		{[]string{"permessage-deflate; unknown"}, no},
		{[]string{"permessage-deflate; unknown=1, permessage-deflate"}, yes},
		{[]string{"permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=9, permessage-deflate"}, server(9)},
		{[]string{"permessage-bzip2; a=b", "x, permessage-deflate; client_max_window_bits=9"}, client(9)},
		{[]string{"permessage-deflate; unknown", ", permessage-deflate"}, yes},
	}
	for _, test := range tests {
		r := mustParse(t, offering("Sec-WebSocket-Extensions", test.lines...))
		if err := r.CheckUpgrade(); err != nil {
			t.Errorf("%q: %v", test.lines, err)
		}
		if got := r.NegotiateDeflate(); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.lines, got, test.want)
		}
	}
}

func TestExtensionsMalformed(t *testing.T) {
	for _, value := range []string{
		";", "=", "a b", "a;", "a; =1", "a; b=", "a; b=\"", "a; b=\"c", "a; b=\"\"", "a; b=\"c d\"", "a; b=\"c,d\"", "a; b=\"c\"d",
		"a; b=c d", "a; b=c=d", "a; b; ;", "a=1", "\"a\"", "a, b;", "a; b=\"\\c\"", "(a)", "permessage-deflate; server_max_window_bits=",
		"permessage-deflate, ;", "permessage-deflate; server_max_window_bits=\"9",
	} {
		r := mustParse(t, offering("Sec-WebSocket-Extensions", value))
		if err := r.CheckUpgrade(); err != errExtensionsHeader {
			t.Errorf("%q: %v", value, err)
		}
		if d := r.NegotiateDeflate(); d.Enabled && value != "permessage-deflate, ;" {
			t.Errorf("%q: %+v", value, d)
		}
	}
}

// negotiateSlowly is a second opinion for headers that conform to the grammar, where no separator
// is quoted, so that splitting is enough.
func negotiateSlowly(line string) DeflateParams {
	const ows = " \t"
offers:
	for offer := range strings.SplitSeq(line, ",") {
		name, params, some := strings.Cut(offer, ";")
		if strings.Trim(name, ows) != "permessage-deflate" {
			continue
		}
		d := DeflateParams{Enabled: true, WindowBits: 15}
		seen := map[string]bool{}
		for param := range strings.SplitSeq(params, ";") {
			if !some {
				break
			}
			name, value, valued := strings.Cut(param, "=")
			name, value = strings.Trim(name, ows), strings.Trim(strings.Trim(value, ows), `"`)
			bits := uint8(slices.Index([]string{"8", "9", "10", "11", "12", "13", "14", "15"}, value) + 8)
			bare := name == "server_no_context_takeover" || name == "client_no_context_takeover"
			switch {
			case seen[name], bare && valued, valued && bits < 8:
				continue offers
			case bare:
			case name == "server_max_window_bits" && valued:
				d.WindowBits, d.EchoBits = bits, true
			case name == "client_max_window_bits" && valued:
				d.ClientBits = bits
			case name == "client_max_window_bits":
				d.ClientBits = 15
			default:
				continue offers
			}
			seen[name] = true
		}
		return d
	}
	return DeflateParams{}
}

func FuzzNegotiateDeflate(f *testing.F) {
	f.Add("permessage-deflate; client_max_window_bits", "x; y=\"z\"")
	f.Add("permessage-deflate; server_max_window_bits=\"9\"; unknown, permessage-deflate", "")
	f.Add("permessage-deflate; server_no_context_takeover; client_no_context_takeover=1", "permessage-deflate")
	f.Fuzz(func(t *testing.T, first, second string) {
		if !isValue([]byte(first)) || !isValue([]byte(second)) {
			return
		}
		var r Request
		if err := r.Parse([]byte(offering("Sec-WebSocket-Extensions", first, second)), HeadLimits{}); err != nil {
			t.Fatal(err)
		}
		got, err := r.NegotiateDeflate(), r.CheckUpgrade()
		if got.Enabled && (got.WindowBits < 8 || got.WindowBits > 15 || got.ClientBits > 15) || !got.Enabled && got != (DeflateParams{}) {
			t.Fatalf("%+v", got)
		}
		if err != nil {
			return
		}
		if want := negotiateSlowly(first + "," + second); got != want {
			t.Fatalf("%q, %q: %+v, want %+v", first, second, got, want)
		}
		joined := offering("Sec-WebSocket-Extensions", "other; a=b", first+" , "+second)
		if r.Parse([]byte(joined), HeadLimits{}) != nil || r.NegotiateDeflate() != got {
			t.Fatal("one line and two are not the same")
		}
	})
}
