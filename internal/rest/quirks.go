package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
)

// What clients of WSO2's APIs do, or expect, against or beside the definition.
// Each has its test in quirks_test.go. Some need no code here: every answer's
// Content-Type is application/json without a charset, a missing scope is 401
// (rest.go), deploy-revision and undeploy-revision answer 201 (deployment.go).

// tenantOfDefault is what WSO2 calls its first tenant.
const tenantOfDefault = "carbon.super"

// userName strips the tenant that clients add to the name of a user of the
// first organization.
func userName(name string) string { return strings.TrimSuffix(name, "@"+tenantOfDefault) }

// selectTenant looks at the field with which readers of the Store choose an
// organization. Where the Store is open they read another one's as a stranger
// does; elsewhere, one that is not the caller's is not there.
func (s *Server) selectTenant(r *http.Request, f face, op route, a sluice.Actor) (sluice.Actor, error) {
	id, err := s.tenant(r, r.Header.Get("X-WSO2-Tenant"), a)
	if err != nil || id == actorOrganization(a) {
		return a, err
	}
	if f.base != storeBase || op.scopes != open {
		return a, noTenant()
	}
	return sluice.Actor{Organization: id, Client: a.Client, Address: a.Address, TraceID: a.TraceID}, nil
}

// tenant returns the id of the organization that clients call so; "" is the
// actor's own.
func (s *Server) tenant(r *http.Request, name string, a sluice.Actor) (id string, err error) {
	switch name {
	case "":
		return actorOrganization(a), nil
	case tenantOfDefault, sluice.DefaultOrganization:
		return sluice.DefaultOrganization, nil
	}
	o, err := s.plane.StoreOrganization(r.Context(), name)
	return o.ID, err
}

func noTenant() error {
	return sluice.Errorf(sluice.NotFound, "organization.unknown", "There is no such organization.").At("X-WSO2-Tenant")
}

// actorOrganization returns the organization of an actor who may be anonymous.
func actorOrganization(a sluice.Actor) string {
	if a.Organization == "" {
		return sluice.DefaultOrganization
	}
	return a.Organization
}

// tenantPrefix is what stands before the contexts of an organization's APIs.
func tenantPrefix(organization string) string {
	if organization == "" || organization == sluice.DefaultOrganization {
		return ""
	}
	return "/t/" + organization
}

// contextOf returns the context of an API as the Publisher's clients see it.
func contextOf(a *sluice.API) string { return tenantPrefix(a.Organization) + a.Context }

// stripTenant takes the organization out of a context in a request.
func stripTenant(a *sluice.API, actor sluice.Actor) {
	if p := tenantPrefix(actor.Organization); p != "" && strings.HasPrefix(a.Context, p+"/") {
		a.Context = strings.TrimPrefix(a.Context, p)
	}
}

// boundaryLine is a first delimiter of a multipart body: two hyphens and a
// boundary of RFC 2046 §5.1.1, which does not end in a blank.
var boundaryLine = regexp.MustCompile(`^--([0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-])\r?\n$`)

// firstBoundary finds the boundary of a form whose Content-Type names none in
// its first line, which is left to be read.
func firstBoundary(body *bufio.Reader) (string, error) {
	head, _ := body.Peek(80) // less where the body is shorter
	if end := bytes.IndexByte(head, '\n'); end >= 0 {
		if m := boundaryLine.FindSubmatch(head[:end+1]); m != nil {
			return string(m[1]), nil
		}
	}
	return "", badForm("The Content-Type names no boundary, and the form does not begin with one.")
}

// seconds is a validity that clients send as a number or as a string.
type seconds struct{ time.Duration }

// UnmarshalJSON implements json.Unmarshaler. Tokens that never expire, which
// clients ask for by -1, are not offered.
func (s *seconds) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "null" || text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n <= 0 {
		return sluice.Errorf(sluice.Invalid, "key.validity", "The validity is a number of seconds above 0.").At("validityTime")
	}
	s.Duration = time.Duration(n) * time.Second
	return nil
}

// emptyList answers for lists of what Sluice has not and clients ask for all
// the same, whatever the query says.
func emptyList(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf([]json.RawMessage{}, paginate(r, page, 0)))
}

// noCertificates is emptyList in the form that certificates have.
func noCertificates(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, struct {
		Count        int      `json:"count"`
		Certificates []string `json:"certificates"`
		Pagination   struct{} `json:"pagination"`
	}{Certificates: []string{}})
}

// movedAPI answers below the bases of older versions.
func movedAPI(_ http.ResponseWriter, r *http.Request) error {
	for _, old := range []struct{ path, base string }{
		{"/api/am/publisher", publisherBase},
		{"/api/am/store", storeBase},
		{"/api/am/devportal", storeBase},
		{"/api/am/admin", adminBase},
		{"/client-registration", registrationBase},
	} {
		if r.URL.Path == old.path || strings.HasPrefix(r.URL.Path, old.path+"/") {
			return sluice.Errorf(sluice.NotFound, "path.moved", "This version is not served; use %s.", old.base)
		}
	}
	return sluice.Errorf(sluice.NotFound, "path.unknown", "There is nothing at this path.")
}

// successorOf names what took the place of a path of an older version; "" for
// all others.
func successorOf(base, path string) string {
	switch {
	case base == publisherBase && path == "/environments":
		return adminBase + "/environments"
	case base != adminBase && strings.HasPrefix(path, "/tiers/"):
		return base + "/throttling-policies/{policyLevel}"
	case base == storeBase && path == "/applications/generate-keys":
		return base + "/applications/{applicationId}/generate-keys"
	}
	return ""
}
