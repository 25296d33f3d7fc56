package policy

import (
	"github.com/sluice-api/sluice"
)

// authenticateByToken finds out whose access token was sent. A token must be
// valid, not revoked, and of a consumer key that still exists with the key type
// the token says.
func authenticateByToken(x *Exchange, token []byte) *Fault {
	c, d := &x.Caller, x.Directory
	c.Token = token
	if d.trust == nil {
		return AuthenticationFailure
	}
	t, fault := d.trust.judge(token, x.Start)
	if fault != nil {
		return fault
	}
	key, known := d.keys.get(t.client)
	if !known || key.keyType() != t.keyType {
		return InvalidCredentials
	}
	c.Application, _ = d.applications.get(key.applicationID)
	organization := ""
	if c.Application != nil {
		organization = c.Application.Organization
	}
	if d.revoked(sluice.RevokedToken, t.id, "", t.issued, x.Start) ||
		d.revoked(sluice.RevokedConsumerKey, t.client, "", t.issued, x.Start) ||
		t.user && d.revoked(sluice.RevokedUser, t.subject, organization, t.issued, x.Start) {
		return InvalidCredentials
	}
	c.TokenID, c.ConsumerKey, c.KeyType, c.Scopes = t.id, t.client, t.keyType, t.scopes
	c.UserToken, c.User = t.user, t.subject
	if !t.user && c.Application != nil {
		c.User = c.Application.Owner
	}
	return nil
}

// bearer returns the token of a field (RFC 6750 §2.1), Authorization where none
// is named; nil where there is none.
func bearer(f Fields, header string) []byte {
	const scheme = "Bearer "
	if header == "" {
		header = "Authorization"
	}
	v, _ := f.Value(header)
	if !HasPrefixFold(v, scheme) {
		return nil
	}
	if v = trim(v[len(scheme):]); len(v) == 0 {
		return nil
	}
	return v
}
