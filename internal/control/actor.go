package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Roles by what they may do. An administrator may do everything.
var (
	creators    = []sluice.Role{sluice.Creator}
	publishers  = []sluice.Role{sluice.Publisher, sluice.Devops}
	viewers     = []sluice.Role{sluice.Creator, sluice.Publisher, sluice.Devops, sluice.Observer, sluice.IntegrationDev}
	makers      = []sluice.Role{sluice.Creator, sluice.Publisher, sluice.Devops}
	operators   = []sluice.Role{sluice.Devops, sluice.Observer}
	subscribers = []sluice.Role{sluice.Subscriber, sluice.Devops}
)

// allow returns the actor of ctx where it has one of the roles.
func allow(ctx context.Context, roles ...sluice.Role) (sluice.Actor, error) {
	a := sluice.ActorFrom(ctx)
	if !a.Known() {
		return a, sluice.Errorf(sluice.Unauthenticated, "login.missing", "Log in first.")
	}
	if !a.Has(roles...) {
		return a, sluice.Errorf(sluice.Forbidden, "role.missing", "Your roles do not allow this.")
	}
	return a, nil
}

// allowHere is allow for what belongs to the installation and to no organization:
// it is for users of the default organization alone.
func allowHere(ctx context.Context, roles ...sluice.Role) (sluice.Actor, error) {
	a, err := allow(ctx, roles...)
	if err == nil && a.Organization != sluice.DefaultOrganization {
		err = sluice.Errorf(sluice.Forbidden, "organization.forbids", "Gateways belong to the installation; its own administrators look after them.")
	}
	return a, err
}

// reader returns the actor of ctx, or an anonymous reader of the default
// organization's Store.
func reader(ctx context.Context) sluice.Actor {
	a := sluice.ActorFrom(ctx)
	if a.Organization == "" {
		a.Organization = sluice.DefaultOrganization
	}
	return a
}

// audit writes one entry of what the actor of ctx did.
func audit(ctx context.Context, tx *database.Tx, action, objectType, id, name string, before, after any) error {
	a := sluice.ActorFrom(ctx)
	return tx.Audit(sluice.AuditEntry{
		Organization: a.Organization, Actor: a.Name, Client: a.Client, Address: a.Address, TraceID: a.TraceID,
		Action: action, ObjectType: objectType, ObjectID: id, ObjectName: name, Result: "ok",
		Before: digest(before), After: digest(after),
	})
}

// digest names the state of a thing; nil is nothing.
func digest(v any) string {
	if v == nil {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// emit tells gateways of the new state of a thing; nil: it is gone.
// environmentID "" tells those of all environments.
func emit(tx *database.Tx, environmentID string, kind sluice.EventKind, subject string, v any) error {
	e := sluice.Event{EnvironmentID: environmentID, Kind: kind, Subject: subject}
	if v != nil {
		var err error
		if e.Body, err = json.Marshal(v); err != nil {
			return err
		}
	}
	return tx.Emit(e)
}

// known returns the actor of ctx where it is anybody at all: for what every
// user may do with what is theirs.
func known(ctx context.Context) (sluice.Actor, error) {
	a := sluice.ActorFrom(ctx)
	if !a.Known() {
		return a, sluice.Errorf(sluice.Unauthenticated, "login.missing", "Log in first.")
	}
	return a, nil
}
