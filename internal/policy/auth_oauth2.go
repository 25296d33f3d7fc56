package policy

import (
	"github.com/sluice-api/sluice"
)

// authenticate takes the access token from "Authorization: Bearer" and finds
// out whose it is. A token must be valid, not revoked, and of a consumer key
// that still exists with the key type the token says.
func authenticate(x *Exchange) *Fault {
	token := bearer(x.Request.Fields)
	if token == nil {
		return MissingCredentials
	}
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

// bearer returns the token of the Authorization field (RFC 6750 §2.1), nil
// where there is none.
func bearer(f Fields) []byte {
	const scheme = "Bearer "
	v, _ := f.Value("Authorization")
	if !HasPrefixFold(v, scheme) {
		return nil
	}
	if v = trim(v[len(scheme):]); len(v) == 0 {
		return nil
	}
	return v
}
