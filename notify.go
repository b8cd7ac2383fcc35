package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// notifier tells systemd how the server is, as a unit with Type=notify asks for (see sd_notify(3)): each message is a datagram of lines to the socket
// that the environment names. Where it names none, nothing is said. Any goroutine.
type notifier struct {
	socket  string        // "" if nobody wants to know
	watch   time.Duration // systemd takes a server that says nothing for so long for dead, and kills it; 0 if it does not
	log     *slog.Logger
	silent  sync.Once // a socket that takes nothing is logged once
	leaving chan struct{}
	stopped sync.Once
}

const (
	// statusEvery is how often the line of systemctl status is renewed.
	statusEvery = 10 * time.Second
	// notifyTime is how long systemd may take to take a message. It does not matter who waits: no loop does.
	notifyTime = time.Second
	// drainPatience is how long systemd is asked to wait for the next word of a server that stops. It hears one each second.
	drainPatience = 30 * time.Second
)

// newNotifier reads what systemd has put into the environment.
func newNotifier(getenv func(string) string, log *slog.Logger) *notifier {
	n := &notifier{socket: getenv("NOTIFY_SOCKET"), log: log, leaving: make(chan struct{})}
	if pid := getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		usec, _ := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
		n.watch = time.Duration(max(0, usec)) * time.Microsecond
	}
	return n
}

// ready says that the server listens, and with which settings it does so if they were read anew.
func (n *notifier) ready(status string) { n.say("READY=1", "STATUS="+status) }

// reloading says that the settings are read anew, until ready is called.
func (n *notifier) reloading() { n.say("RELOADING=1", "STATUS=reading the settings anew") }

// stopping says that the server is about to stop, first of all for a delay.
func (n *notifier) stopping(delay time.Duration) {
	n.stopped.Do(func() { close(n.leaving) })
	n.say("STOPPING=1", "STATUS=not ready, so that the balancer looks elsewhere", extension(delay))
}

// draining says how far the stop is. A drain may take longer than the unit's TimeoutStopSec, as long as it goes on.
func (n *notifier) draining(progress string) { n.say("STATUS="+progress, extension(0)) }

// extension asks systemd not to lose patience.
func extension(more time.Duration) string {
	return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (more + drainPatience).Microseconds())
}

// attend renews the status until the server stops, and tells the watchdog that it is alive for as long as it is, until end is closed. silence is how long
// ago a loop ran; one that is blocked for half of the watchdog's time gets the server killed, and its connections served by another.
func (n *notifier) attend(end <-chan struct{}, silence func() time.Duration, status func() string) {
	if n.socket == "" {
		return
	}
	every := time.NewTicker(statusEvery)
	defer every.Stop()
	var bark <-chan time.Time
	if n.watch > 0 {
		bark = time.After(0)
	}
	leaving := n.leaving
	for {
		select {
		case <-end:
			return
		case <-leaving:
			every.Stop()
			leaving = nil
		case <-every.C:
			n.say("STATUS=" + status())
		case <-bark:
			// After a machine stood still the loops may not have run yet: they are looked at again soon.
			next := n.watch / 20
			if silence() < n.watch/2 {
				n.say("WATCHDOG=1")
				next = n.watch / 2
			}
			bark = time.After(next)
		}
	}
}

// say sends one message. Nobody's chat depends on it, so a failure is a line in the log.
func (n *notifier) say(lines ...string) {
	if n.socket == "" {
		return
	}
	if err := n.send(strings.Join(lines, "\n")); err != nil {
		n.silent.Do(func() { n.log.Warn("systemd is not told how the server is", slog.Any("error", err)) })
	}
}

func (n *notifier) send(message string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(notifyTime))
	_, err = c.Write([]byte(message))
	return err
}
