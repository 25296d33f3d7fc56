package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/config"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/distribution"
)

// offline opens the control plane of a home whose process is stopped, with its
// first administrator.
func (s *Server) offline(ctx context.Context) (*controlRole, error) {
	if s.cfg.Role == config.GatewayOnly {
		return nil, fmt.Errorf("this home is a gateway; its control plane is %s", s.cfg.ControlPlane.URL)
	}
	if err := os.MkdirAll(s.path(), 0o700); err != nil {
		return nil, err
	}
	c := &controlRole{}
	if err := s.openPlane(ctx, c); err != nil {
		return nil, err
	}
	if err := s.firstAdministrator(ctx, c.plane); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// ResetAdministrator gives the first administrator of a home whose control plane
// is stopped another password.
func (s *Server) ResetAdministrator(ctx context.Context, password sluice.Secret) error {
	c, err := s.offline(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.plane.ResetAdministrator(ctx, password); err != nil {
		return err
	}
	return removeFile(filepath.Join(s.cfg.Home, InitialPasswordFile))
}

// BeginEpoch makes the gateways of a home whose control plane is stopped take
// its state anew, also where theirs is later: its database was restored by other
// means than Restore.
func (s *Server) BeginEpoch(ctx context.Context) error {
	c, err := s.offline(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return c.plane.BeginEpoch(ctx)
}

// CreateToken makes a personal access token for a user on a home whose control
// plane is stopped. scopes nil: all that the user's roles give.
func (s *Server) CreateToken(ctx context.Context, user, name string, scopes []string, ttl time.Duration) (t sluice.AccessToken, secret sluice.Secret, err error) {
	c, err := s.offline(ctx)
	if database.InUse(err) {
		return t, "", fmt.Errorf("%w\nOr ask the control plane of this home, which runs: POST /api/sluice/v1/access-tokens", err)
	}
	if err != nil {
		return t, "", err
	}
	defer c.close()
	if user == "" {
		user = control.AdministratorName
	}
	return c.plane.CreateAccessTokenFor(ctx, user, name, scopes, ttl)
}

// VerifyAudit walks along the audit log of a home whose control plane is stopped,
// from one sequence number to another; 0: from the first, to the last.
func (s *Server) VerifyAudit(ctx context.Context, from, to int64) (v sluice.AuditVerification, err error) {
	c, err := s.offline(ctx)
	if database.InUse(err) {
		return v, fmt.Errorf("%w\nOr ask the control plane of this home, which runs: GET /api/sluice/v1/audit/verification", err)
	}
	if err != nil {
		return v, err
	}
	defer c.close()
	return c.plane.VerifyAuditOffline(ctx, from, to)
}

// Join enrols the gateway of this home with a join token. The home's process
// must be stopped.
func (s *Server) Join(ctx context.Context, controlURL string, token sluice.Secret) (*distribution.Identity, error) {
	dir := s.path("gateway")
	switch _, err := distribution.LoadIdentity(dir); {
	case err == nil:
		return nil, errAlready
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	id, err := s.joinAt(ctx, controlURL, token)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	return id, id.Save(dir)
}
