package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// readTimeout bounds how long a caller may take to send a request, idleTimeout how long a connection is kept for the next.
	readTimeout = 30 * time.Second
	idleTimeout = 2 * time.Minute
	// listenGrace is how long requests that are being answered have when the system ends.
	listenGrace = 5 * time.Second
)

// listen opens the address that ECS's API is answered on; nil where it is not to be. Whoever reaches it can run commands on
// this machine, so an address that others can reach must be asked for twice.
func (s *System) listen() (net.Listener, error) {
	given := s.options.ECSListen
	if given == "" {
		return nil, nil
	}
	address, err := net.ResolveTCPAddr("tcp", given)
	if err != nil {
		return nil, usage(fmt.Errorf("--ecs-listen: %w", err))
	}
	if !address.IP.IsLoopback() && !s.options.ECSListenAnyone {
		return nil, usage(fmt.Errorf("--ecs-listen %s: other machines could run any command on this one; "+
			"give 127.0.0.1:PORT, or --ecs-listen-anyone if that is meant", given))
	}
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--ecs-listen: %w", err)
	}
	return listener, nil
}

// serveECS answers ECS's API until ctx ends, and then what was asked before.
func (s *System) serveECS(ctx context.Context, listener net.Listener) error {
	server := &http.Server{
		Handler: s.Cluster.Handler(s.options.ECSListenAnyone), ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), listenGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer ECS's API: %w", err)
	}
	<-ended
	return nil
}
