package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"throng/admin"
)

// listenPrivate starts the private HTTP server, unless it is turned off.
func listenPrivate(o *operator) (*admin.Server, error) {
	cfg := o.config()
	key, err := adminKey(cfg)
	if err != nil {
		return nil, err
	}
	socket := socketPath(cfg, o)
	if cfg.Admin == "" && socket == "" {
		return nil, nil
	}
	s, err := admin.Listen(admin.Config{Addr: cfg.Admin, Socket: socket, Key: key, Source: o, Ready: o.rooms.Ready, Operator: o, Talker: o, Logger: o.log})
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, privateHint)
	}
	o.private, o.key = s, key
	go s.Serve()
	return s, nil
}

const privateHint = "choose others with --admin, --admin-socket and --admin-key-file, or turn them off with --admin '' and --admin-socket ''"

// adminKey reads the key of the private port, "" if there is to be none.
func adminKey(cfg *Config) (string, error) {
	if cfg.AdminKeyFile == "" {
		return "", nil
	}
	key, err := admin.ReadKey(cfg.AdminKeyFile)
	if err != nil {
		return "", fmt.Errorf("admin-key-file: %w", err)
	}
	return key, nil
}

// socketPath resolves auto. Where there is no safe place for a socket the server starts without: nobody has asked for it.
func socketPath(cfg *Config, o *operator) string {
	if cfg.AdminSocket != "auto" {
		return cfg.AdminSocket
	}
	_, port, err := net.SplitHostPort(o.node.Addrs()[0].String())
	if err != nil {
		return ""
	}
	path, err := admin.SocketPath(os.Getenv, port, true)
	if err == nil {
		err = admin.SocketFree(path)
	}
	if err != nil {
		o.log.Warn("there is no socket for operators; name one with --admin-socket", slog.Any("error", err))
		return ""
	}
	return path
}

func closePrivate(s *admin.Server) {
	if s != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Close(ctx)
	}
}
