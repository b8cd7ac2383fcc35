package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"throng/admin"
	"throng/protocol"
)

// Bytes is a size. It is written as a number of bytes, or with KiB, MiB, GiB or TiB; KB is refused, since people mean two different things by it.
type Bytes int64

// AutoBytes is a size, or auto.
type AutoBytes Bytes

// AutoCount is a number, or auto.
type AutoCount int

// auto is what AutoBytes and AutoCount hold where the server is to find the value by itself.
const auto = -1

// IsAuto reports whether the server is to find the size by itself.
func (b AutoBytes) IsAuto() bool { return b == auto }

// IsAuto reports whether the server is to find the number by itself.
func (n AutoCount) IsAuto() bool { return n == auto }

var byteUnits = []struct {
	name  string
	bytes Bytes
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

func parseBytes(text string) (Bytes, error) {
	digits, factor := strings.TrimSuffix(text, "B"), Bytes(1)
	for _, unit := range byteUnits {
		if n := len(text) - len(unit.name); n > 0 && strings.EqualFold(text[n:], unit.name) {
			digits, factor = strings.TrimSpace(text[:n]), unit.bytes
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if errors.Is(err, strconv.ErrRange) || err == nil && n > math.MaxInt64/uint64(factor) {
		return 0, errors.New("is more than any machine has")
	}
	if err != nil {
		return 0, errors.New("is not a size; allowed: bytes such as 65536, or 64KiB, 1MiB, 2GiB")
	}
	return Bytes(n) * factor, nil
}

// String is the shortest exact form: 64KiB, 1MiB, 1500.
func (b Bytes) String() string {
	for _, unit := range byteUnits {
		if b != 0 && b%unit.bytes == 0 {
			return strconv.FormatInt(int64(b/unit.bytes), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// String writes the number as a size, or auto.
func (b AutoBytes) String() string {
	if b.IsAuto() {
		return "auto"
	}
	return Bytes(b).String()
}

// String writes the number, or auto.
func (n AutoCount) String() string {
	if n.IsAuto() {
		return "auto"
	}
	return strconv.Itoa(int(n))
}

// UnmarshalText reads a size; with it kong takes Bytes in any command.
func (b *Bytes) UnmarshalText(text []byte) error {
	n, err := parseBytes(string(text))
	if err != nil {
		return fmt.Errorf("%s %w", quoted(string(text)), err)
	}
	*b = n
	return nil
}

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, errors.New("is not a whole number")
	}
	return n, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("is not a duration; allowed: a number with its unit, such as 250ms, 60s or 1m30s")
	}
	return d, nil
}

// showDuration is d without the zeros that Duration.String puts behind: 1m, not 1m0s.
func showDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("is neither; allowed: true or false")
}

// setValue decodes the text of a setting and holds it against the bounds in the field's tag. The error starts with the text.
func setValue(target reflect.Value, tag *kong.Tag, texts []string) error {
	field := target.Addr().Interface()
	if list, ok := field.(*[]string); ok {
		return addValues(list, tag, texts)
	}
	if len(texts) != 1 {
		return fmt.Errorf("has %d values; allowed: one", len(texts))
	}
	text := strings.TrimSpace(texts[0])
	var err error
	switch field := field.(type) {
	case *string:
		*field, err = parseText(text, tag)
	case *bool:
		*field, err = parseBool(text)
	case *int:
		*field, err = parseWithin(text, tag, parseCount, strconv.Itoa)
	case *time.Duration:
		*field, err = parseWithin(text, tag, parseDuration, showDuration)
	case *Bytes:
		*field, err = parseWithin(text, tag, parseBytes, Bytes.String)
	case *AutoCount:
		var n int
		if n = auto; text != "auto" {
			n, err = parseWithin(text, tag, parseCount, strconv.Itoa)
		}
		*field = AutoCount(n)
	case *AutoBytes:
		var n Bytes
		if n = auto; text != "auto" {
			n, err = parseWithin(text, tag, parseBytes, Bytes.String)
		}
		*field = AutoBytes(n)
	default:
		panic("no parser for the type of this setting: " + target.Type().String())
	}
	if err != nil {
		return fmt.Errorf("%s %w", quoted(text), err)
	}
	return nil
}

// addValues adds to a list, as a repeated flag does.
func addValues(list *[]string, tag *kong.Tag, texts []string) error {
	mayBeEmpty := tag.Default == ""
	for _, text := range texts {
		if text == "" && mayBeEmpty {
			continue
		}
		for one := range strings.SplitSeq(text, ",") {
			one = strings.TrimSpace(one)
			if one == "" {
				return fmt.Errorf("%s has an empty value in it", quoted(text))
			}
			value, err := parseText(one, tag)
			if err != nil {
				return fmt.Errorf("%s %w", quoted(one), err)
			}
			*list = append(*list, value)
		}
	}
	if mayBeEmpty && len(*list) == 0 {
		*list = nil // the same from wherever it comes
		return nil
	}
	if len(*list) == 0 {
		return errors.New("is an empty list; allowed: one value or more")
	}
	return nil
}

// parseWithin parses a value and holds it against min and max. 0 is always allowed: it turns a limit off.
func parseWithin[T int | Bytes | time.Duration](text string, tag *kong.Tag, parse func(string) (T, error), show func(T) string) (T, error) {
	value, err := parse(text)
	low, lowErr := parse(tag.Get("min"))
	high, highErr := parse(tag.Get("max"))
	if highErr != nil {
		panic("a setting without a max") // the grammar is wrong, whatever the value
	}
	allowed := "0 to " + show(high)
	if lowErr == nil {
		allowed = "0, or " + show(low) + " to " + show(high)
	}
	switch {
	case err != nil && tag.Get("default") == "auto":
		return 0, fmt.Errorf("%w (auto, %s)", err, allowed)
	case err != nil:
		return 0, fmt.Errorf("%w (%s)", err, allowed)
	case value > high:
		return 0, errors.New("is too much; allowed: " + allowed)
	case value < 0 || value != 0 && value < low:
		return 0, errors.New("is too little; allowed: " + allowed)
	}
	return value, nil
}

// parseText checks a word against the form or the words that the field's tag asks for.
func parseText(text string, tag *kong.Tag) (string, error) {
	switch tag.Get("form") {
	case "address":
		return parseAddress(text)
	case "origin":
		return parseOrigin(text)
	case "network":
		return parseNetwork(text)
	case "socket":
		return parseSocket(text)
	case "sync":
		return parseSync(text)
	case "nats":
		return parseNATS(text)
	case "policy":
		_, err := parsePolicy(text)
		return text, err
	}
	if words := strings.Split(tag.Enum, ","); tag.Enum != "" && !slices.Contains(words, text) {
		return "", errors.New("is unknown; allowed: " + strings.Join(words, ", "))
	}
	return text, nil
}

// parseSocket checks the path of a Unix socket. The empty text, where a setting takes it, turns it off.
func parseSocket(text string) (string, error) {
	switch {
	case len(text) > admin.SocketPathBytesMax:
		return "", fmt.Errorf("has %d bytes; allowed: %d, since a Unix socket's name can have no more", len(text), admin.SocketPathBytesMax)
	case text != "" && text != "auto" && !strings.Contains(text, "/"):
		return "", errors.New("is no path; allowed: auto, or a path with a slash in it, such as /run/throng/admin.sock")
	}
	return text, nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9._-]*$`)

// parseAddress checks host:port. The empty text, where a setting takes it, turns the listener off.
func parseAddress(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	wrong := errors.New("is not an address; allowed: host:port, such as :8080, 127.0.0.1:8080 or [::1]:8080")
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", wrong
	}
	if _, err := netip.ParseAddr(host); err != nil && !hostName.MatchString(host) {
		return "", wrong
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", errors.New("has no port from 0 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// parseOrigin checks one entry of the list of origins; what may stand together is checked with the whole list.
func parseOrigin(text string) (string, error) {
	if _, err := protocol.ParseOrigins([]string{text}); err != nil {
		return "", fmt.Errorf("is no origin: %w; allowed: same-host, *, null, or origins such as https://chat.example", errors.Unwrap(err))
	}
	return text, nil
}

// parseNetwork checks one network, which is written as such, masked, also if it is a single address.
func parseNetwork(text string) (string, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()).String(), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return "", errors.New("is no network; allowed: an address, or a network such as 10.0.3.0/24 or 2001:db8::/64")
	}
	if network.Addr().Is4In6() {
		return "", errors.New("is an IPv4 network written as IPv6; write it as IPv4")
	}
	if network != network.Masked() {
		return "", fmt.Errorf("has bits behind its prefix; did you mean %s, or the single address %s?", network.Masked(), network.Addr())
	}
	return network.String(), nil
}

// quotedBytesMax keeps a value that is a whole file by mistake out of the log.
const quotedBytesMax = 128

// quoted is text from outside as it may stand in a message of one line.
func quoted(text string) string {
	if len(text) > quotedBytesMax {
		return strconv.Quote(text[:quotedBytesMax]) + "..."
	}
	return strconv.Quote(text)
}

// didYouMean names the known name that text was probably meant to be, if one is near.
func didYouMean(text string, known []string) string {
	simple := func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }
	nearest, near := "", 1+max(2, len(text)/4)
	for _, name := range known {
		if d := editDistance(simple(text), simple(name)); d < near {
			nearest, near = name, d
		}
	}
	if nearest == "" {
		return ""
	}
	return "; did you mean " + strconv.Quote(nearest) + "?"
}

// editDistance is how many letters have to be put in, taken out or changed to make b of a (Levenshtein). What is longer than any name is far off.
func editDistance(a, b string) int {
	if len(a) > quotedBytesMax {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
