package bench

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary its own loader, worker and yardstick, as the program is; and lets no test leave a
// goroutine or a descriptor behind.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "bench" {
		if err := asBench(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	before := descriptors()
	code := m.Run()
	deadline := time.Now().Add(2 * time.Second)
	for runtime.NumGoroutine() > 2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > 2 && code == 0 && flag.Lookup("test.fuzz").Value.String() == "" {
		b := make([]byte, 64<<10)
		fmt.Fprintf(os.Stderr, "%d goroutines are left:\n%s\n", n, b[:runtime.Stack(b, true)])
		code = 1
	}
	// One eventfd is the runtime's, for its own poller.
	if n := descriptors(); n > before+1 && code == 0 {
		fmt.Fprintf(os.Stderr, "%d descriptors are left, %d before\n", n, before)
		code = 1
	}
	os.Exit(code)
}

// asBench runs a command as the program's parser would: that one is no business of this package.
func asBench(args []string) error {
	command := reflect.ValueOf(&Command{}).Elem()
	for ; len(args) > 0; args = args[1:] {
		at := command.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, args[0]) })
		if !at.IsValid() {
			break
		}
		command = at
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	if err := flagsOf(f, command); err != nil {
		return err
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	return command.Addr().Interface().(interface{ Run() error }).Run()
}

// flagsOf makes a flag of each field, and gives the field its default.
func flagsOf(f *flag.FlagSet, command reflect.Value) error {
	for i := range command.NumField() {
		field, value := command.Type().Field(i), command.Field(i)
		if field.Anonymous {
			if err := flagsOf(f, value); err != nil {
				return err
			}
			continue
		}
		if !field.IsExported() || field.Tag.Get("kong") == "-" {
			continue
		}
		switch to := value.Addr().Interface().(type) {
		case *bool:
			f.BoolVar(to, flagName(field), false, "")
			continue
		case *[]string:
			f.Func(flagName(field), "", func(s string) error { *to = append(*to, s); return nil })
			continue
		case *[]int:
			f.Func(flagName(field), "", func(s string) error {
				var n int
				_, err := fmt.Sscan(s, &n)
				*to = append(*to, n)
				return err
			})
			continue
		case *string:
			f.StringVar(to, flagName(field), field.Tag.Get("default"), "")
			continue
		case *time.Duration:
			f.DurationVar(to, flagName(field), 0, "")
		case *int:
			f.IntVar(to, flagName(field), 0, "")
		case *float64:
			f.Float64Var(to, flagName(field), 0, "")
		default:
			return fmt.Errorf("a flag of type %s", value.Type())
		}
		if given := field.Tag.Get("default"); given != "" {
			if err := f.Set(flagName(field), given); err != nil {
				return err
			}
		}
	}
	return nil
}

func asSelf(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{self, "bench"}
}

func ideal(t *testing.T, batch bool) string {
	t.Helper()
	s, err := Ideal(IdealConfig{Listen: "127.0.0.1:0", Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return "ws://" + s.Addr() + "/"
}

// to are the options of a run in a test.
func to(url ...string) Options { return Options{URL: url, Payload: 32} }

// descriptors counts what is open and is no file of the runtime's own.
func descriptors() (sockets int) {
	names, _ := os.ReadDir("/proc/self/fd")
	for _, n := range names {
		to, _ := os.Readlink("/proc/self/fd/" + n.Name())
		if strings.HasPrefix(to, "socket:") || strings.Contains(to, "timerfd") || strings.Contains(to, "eventfd") || strings.HasPrefix(to, "pipe:") {
			sockets++
		}
	}
	return sockets
}
