// Peers is the same broadcast server in several Go libraries, one subcommand each, to be measured beside throng.
//
// The path / is one room and /rooms/NAME another. What somebody says, text or binary, goes unchanged to everybody in
// the room, the sender included. None of them pings or times out who says nothing, as throng with its idle limit off.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// peer is a library and the server written with it.
type peer struct {
	module string
	// start returns once the server listens. What it returns ends it.
	start func(listen string) (stop func(), err error)
}

var peers = map[string]peer{
	"coder":   {"github.com/coder/websocket", startCoder},
	"gnet":    {"github.com/panjf2000/gnet/v2", startGnet},
	"gobwas":  {"github.com/gobwas/ws", startGobwas},
	"gorilla": {"github.com/gorilla/websocket", startGorilla},
	"gws":     {"github.com/lxzan/gws", startGws},
	"nbio":    {"github.com/lesismal/nbio", startNbio},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	names := strings.Join(slices.Sorted(maps.Keys(peers)), ", ")
	if len(args) == 0 {
		return fmt.Errorf("which library? One of %s", names)
	}
	p, known := peers[args[0]]
	if !known {
		return fmt.Errorf("%q: want one of %s", args[0], names)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:9001", "address and port")
	version := flags.Bool("version", false, "print the library's version")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *version {
		fmt.Println(versionOf(p.module))
		return nil
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGINT, unix.SIGTERM)
	stop, err := p.start(*listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s listens on ws://%s/\n", args[0], *listen)
	<-ended
	stop()
	return nil
}

// versionOf is the version of a module that this program was built with.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return dep.Version
		}
	}
	return "unknown"
}
