package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/sluice-api/sluice/internal/server"
)

// auditCommand is about the audit log.
type auditCommand struct {
	Verify auditVerifyCommand `cmd:"" help:"Walk along the chain of the audit log. The control plane of this home must be stopped; on a running one use GET /api/sluice/v1/audit/verification."`
}

type auditVerifyCommand struct {
	home
	From int64 `help:"First entry to look at." placeholder:"N"`
	To   int64 `help:"Last entry to look at." placeholder:"N"`
	JSON bool  `help:"Print the result as JSON."`
}

// Run prints what was found; an entry that is not as it was is an error.
func (c *auditVerifyCommand) Run(ctx context.Context, e *environment) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	s, err := server.New(cfg, server.Options{Version: version(), Log: logger(e.err, slog.LevelWarn)})
	if err != nil {
		return err
	}
	v, err := s.VerifyAudit(ctx, c.From, c.To)
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(e.out).Encode(map[string]any{
			"ok": v.OK, "first": v.First, "last": v.Last, "hash": v.Hash, "unsealed": v.Unsealed, "brokenAt": v.BrokenAt, "reason": v.Reason,
		})
	} else {
		_, err = fmt.Fprintf(e.out, "Entries %d to %d are as they were sealed, %d more wait for their seal.\nHash of entry %d: %s\n", v.First, v.Last, v.Unsealed, v.Last, v.Hash)
	}
	if err != nil {
		return err
	}
	if !v.OK {
		return fmt.Errorf("the audit log is broken at entry %d: %s", v.BrokenAt, v.Reason)
	}
	return nil
}
