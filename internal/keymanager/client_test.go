package keymanager

import (
	"slices"
	"testing"
)

// TestRefusedClients: who does not authenticate itself is told of, once for each
// try and with the address; who does is not.
func TestRefusedClients(t *testing.T) {
	var told []string
	f := start(t, func(o *Options) {
		o.Refused = func(action, account, address string) { told = append(told, action+" "+account+" "+address) }
	})
	f.post(pathToken, f.production, "grant_type=client_credentials")
	f.refused(f.post(pathToken, client{f.production.id, "wrong"}, "grant_type=client_credentials"), 401, "invalid_client")
	f.refused(f.post(pathToken, client{"nobody", "x"}, "grant_type=password&username=ann&password=x"), 401, "invalid_client")
	f.refused(f.post(pathIntrospect, client{f.sandbox.id, "wrong"}, "token=x"), 401, "invalid_client")
	want := []string{"client.refused " + f.production.id + " 127.0.0.1", "client.refused nobody 127.0.0.1", "client.refused " + f.sandbox.id + " 127.0.0.1"}
	if !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
}

// TestTenantOfTheFirstOrganization: clients write it after a user's name.
func TestTenantOfTheFirstOrganization(t *testing.T) {
	f := start(t, nil)
	f.token(f.production, "grant_type=password&username=ann@carbon.super&password=right%20password")
}
