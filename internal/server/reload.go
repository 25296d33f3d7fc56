package server

import (
	"context"
	"errors"
	"strings"

	"github.com/sluice-api/sluice/internal/config"
)

// follow reads the configuration again whenever it is told to, until ctx ends.
func (s *Server) follow(ctx context.Context) error {
	running := s.cfg
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.hangup:
			running = s.takeOver(ctx, running)
		}
	}
}

// takeOver takes over what may change while the process runs, and says what may
// not. Files with errors change nothing. It returns the configuration that is
// in force from now on.
func (s *Server) takeOver(ctx context.Context, running *config.Config) *config.Config {
	for _, c := range s.ownCertificates() { // the next handshake presents what is good
		_, _ = s.judge(c) // it has said what is wrong
	}
	next, err := s.reload()
	if err != nil {
		s.keep(err)
		return running
	}
	for _, w := range next.Warnings {
		s.log.Warn("configuration: " + w)
	}
	if later := s.cfg.NeedRestart(next); len(later) > 0 {
		s.log.Warn("needs a restart: " + strings.Join(later, ", "))
	}
	if s.control != nil && next.Role != config.GatewayOnly {
		if err := s.control.plane.Reconfigure(ctx, settings(next)); err != nil {
			if ctx.Err() == nil {
				s.keep(err)
			}
			return running
		}
	}
	s.health.degrade("configuration", "")
	changed := running.Changed(next)
	s.log.Info("configuration was read again", "changed", strings.Join(changed, ", "))
	return next
}

// keep says why the configuration before stays in force.
func (s *Server) keep(err error) {
	var lines []string
	if problems, ok := errors.AsType[config.Problems](err); ok {
		for _, p := range problems {
			lines = append(lines, p.Error())
		}
	} else {
		lines = []string{err.Error()}
	}
	for _, line := range lines {
		s.log.Error("the configuration has an error; that of before stays in force", "err", line)
	}
	s.health.degrade("configuration", "its files have errors, that of before is in force: "+strings.Join(lines, "; "))
}
