package keymanager

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// authorization is a request for a code that was found to be in order.
type authorization struct {
	client      op.Client
	name        string // of the client, for people
	redirectURI string
	state       string
	nonce       string
	challenge   string
	scopes      []string
}

// refusal is why a request for a code is not served, for the client to read.
type refusal struct{ code, description string }

// authorizationParameters are those that are passed on to the login page.
var authorizationParameters = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "response_mode",
}

// authorize serves the authorization endpoint (RFC 6749 §3.1): it leads to the
// login page at the Key Manager's own address, whichever gateway was asked.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.showError(w, http.StatusMethodNotAllowed, "This address is opened by GET.")
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.showError(w, http.StatusBadRequest, "The address cannot be read.")
		return
	}
	if _, ok := s.checkAuthorization(w, r, query, http.StatusFound); !ok {
		return
	}
	kept := url.Values{}
	for _, name := range authorizationParameters {
		if query.Has(name) {
			kept.Set(name, query.Get(name))
		}
	}
	http.Redirect(w, r, s.origin()+pathLogin+"?"+kept.Encode(), http.StatusFound)
}

// origin returns the address of this Key Manager.
func (s *Server) origin() string { return s.issuer.Scheme + "://" + s.issuer.Host }

// checkAuthorization reads a request for a code. Where it is not in order it has
// been answered: on a page as long as it is not certain who asks, else by a
// redirect, with the given status.
func (s *Server) checkAuthorization(w http.ResponseWriter, r *http.Request, query url.Values, status int) (authorization, bool) {
	a, no, err := s.readAuthorization(r.Context(), query)
	switch {
	case err != nil:
		s.log.Error("authorization request broke", "err", err, "trace_id", callOf(r.Context()).trace)
		s.showError(w, http.StatusServiceUnavailable, "The Key Manager cannot answer at this moment.")
	case no.code == "":
		return a, true
	case a.redirectURI == "":
		s.showError(w, http.StatusBadRequest, no.description)
	default:
		answer := url.Values{"error": {no.code}, "error_description": {no.description}}
		s.redirect(w, a, answer, status)
	}
	return a, false
}

// redirect sends the browser back to the client. The answer names its issuer
// (RFC 9207).
func (s *Server) redirect(w http.ResponseWriter, a authorization, answer url.Values, status int) {
	answer.Set("iss", s.o.Issuer)
	if a.state != "" {
		answer.Set("state", a.state)
	}
	to, err := url.Parse(a.redirectURI)
	if err != nil { // it was checked
		s.showError(w, http.StatusBadRequest, "The redirect URI cannot be read.")
		return
	}
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += answer.Encode()
	w.Header().Set("Location", to.String())
	w.WriteHeader(status)
}

// readAuthorization reads a request for a code. As long as redirectURI is "" in
// what it returns, a refusal may not be told to the client, who may be anybody.
func (s *Server) readAuthorization(ctx context.Context, query url.Values) (a authorization, no refusal, err error) {
	get := func(name string) string { return query.Get(name) }
	for name, values := range query {
		if len(values) > 1 || !isText(name) || !isText(values[0]) {
			return a, refusal{"invalid_request", "A parameter is given more than once, or is not text."}, nil
		}
	}
	a.client, _, err = s.findClient(ctx, get("client_id"))
	if err != nil {
		return a, no, err
	}
	if a.client == nil {
		return a, refusal{"invalid_client", "The application that sent you here is not known."}, nil
	}
	registered, grants := "", []string(nil)
	switch c := a.client.(type) {
	case *applicationClient:
		registered, grants, a.name = c.key.CallbackURL, c.key.Grants, ""
	case *managementClient:
		registered, grants, a.name = c.client.CallbackURL, c.client.Grants, c.client.Name
	}
	if asked := get("redirect_uri"); !redirectMatches(registered, asked) {
		return a, refusal{"invalid_request", "The application's redirect URI is not the one that it has registered."}, nil
	}
	a.redirectURI, a.state, a.nonce, a.challenge = get("redirect_uri"), get("state"), get("nonce"), get("code_challenge")
	a.scopes, err = parseScopes(get("scope"))
	switch {
	case err != nil:
		return a, refusal{"invalid_scope", err.Error()}, nil
	case !slices.Contains(grants, sluice.GrantAuthorizationCode):
		no = refusal{"unauthorized_client", "The grant type authorization_code is not ticked for the consumer key."}
	case query.Has("request") || query.Has("request_uri"):
		no = refusal{"request_not_supported", "Request objects are not offered."}
	case get("response_type") == "":
		no = refusal{"invalid_request", "response_type is missing."}
	case get("response_type") != string(oidc.ResponseTypeCode):
		no = refusal{"unsupported_response_type", "The response type is code; implicit and hybrid flows are not offered."}
	case get("response_mode") != "" && get("response_mode") != string(oidc.ResponseModeQuery):
		no = refusal{"invalid_request", "The response mode is query."}
	case a.challenge == "" || get("code_challenge_method") != string(oidc.CodeChallengeMethodS256):
		no = refusal{"invalid_request", "PKCE is needed: a code_challenge with the code_challenge_method S256."}
	case !isChallenge(a.challenge):
		no = refusal{"invalid_request", "The code_challenge is not a SHA-256 in base64url."}
	case len(a.nonce) > maxNonce:
		no = refusal{"invalid_request", "The nonce is too long."}
	case slices.Contains(strings.Fields(get("prompt")), oidc.PromptNone):
		no = refusal{"login_required", "The user has to log in each time."}
	}
	return a, no, nil
}

// maxNonce is the longest nonce, in bytes.
const maxNonce = 500

// isChallenge reports whether s can be an S256 code challenge (RFC 7636 §4.2).
func isChallenge(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32 && len(s) == 43
}

// redirectMatches compares the redirect URI asked for with the registered one:
// as text, but for the port where both are one loopback address (RFC 8252 §7.3).
func redirectMatches(registered, asked string) bool {
	if !sluice.IsRedirectURI(registered) || !sluice.IsRedirectURI(asked) {
		return false
	}
	if registered == asked {
		return true
	}
	want, err := url.Parse(registered)
	if err != nil {
		return false
	}
	got, err := url.Parse(asked)
	if err != nil || want.Scheme != "http" || got.Scheme != "http" || want.Hostname() != got.Hostname() {
		return false
	}
	if ip, err := netip.ParseAddr(want.Hostname()); err != nil || !ip.IsLoopback() {
		return false
	}
	if port := got.Port(); port == "" && strings.HasSuffix(got.Host, ":") {
		return false
	}
	return afterPort(registered, want) == afterPort(asked, got)
}

// afterPort returns what of a URI follows its authority, as it is written.
func afterPort(uri string, u *url.URL) string {
	return strings.TrimPrefix(uri, u.Scheme+"://"+u.Host)
}
