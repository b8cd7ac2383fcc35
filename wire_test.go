package main

import (
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"testing"

	"throng/engine"
)

// TestEveryLimitIsWired: each of the limits that can change while the server runs has a setting that reaches it.
func TestEveryLimitIsWired(t *testing.T) {
	got := mustServe(t, nil, "--proxy-protocol=required", "--proxy-trust=10.0.0.0/8,::1", "--memory=1GiB", "--max-connections=7",
		"--message-rate=1", "--message-burst=2", "--byte-rate=3", "--byte-burst=20000", "--ping-rate=4", "--ping-burst=5",
		"--max-per-address=6", "--max-handshakes-per-address=7", "--address-rate=8", "--address-burst=9", "--handshake-rate=10", "--handshake-burst=11",
		"--address-prefix-v6=56")
	cfg := engineConfig(got.Config, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for field, value := range reflect.ValueOf(cfg.Limits).Fields() {
		if value.IsZero() {
			t.Errorf("no setting reaches %s", field.Name)
		}
	}
	if cfg.Proxy != engine.ProxyRequired || cfg.AddressPrefix6 != 56 || cfg.Memory != 256<<20 {
		t.Errorf("the mode is %d, the prefix %d, the share of memory %d", cfg.Proxy, cfg.AddressPrefix6, cfg.Memory)
	}
	want := engine.Limits{
		MaxConnections: 7, Origins: cfg.Origins,
		ProxyTrust:       []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		HandshakeTimeout: cfg.HandshakeTimeout, IdleTimeout: cfg.IdleTimeout, PingInterval: cfg.PingInterval, CloseTimeout: cfg.CloseTimeout, WriteTimeout: cfg.WriteTimeout,
		MessageRate: 1, MessageBurst: 2, ByteRate: 3, ByteBurst: 20000, PingRate: 4, PingBurst: 5,
		AddressConnections: 6, AddressHandshakes: 7, AddressRate: 8, AddressBurst: 9, HandshakeRate: 10, HandshakeBurst: 11,
		MemoryMark: (1 << 30) / 100 * 80,
	}
	if !reflect.DeepEqual(cfg.Limits, want) {
		t.Errorf("\ngot  %+v\nwant %+v", cfg.Limits, want)
	}
	if auto := engineLimits(mustServe(t, nil).Config); auto.MaxConnections != engine.Auto || len(auto.ProxyTrust) != 0 {
		t.Errorf("by default: %+v", auto)
	}
}
