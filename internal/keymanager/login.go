package keymanager

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/zitadel/oidc/v3/pkg/op"
)

//go:embed login.css
var loginStyle string

//go:embed login.html
var loginText string

// loginPage needs no script. The style is in it, and allowed by its digest.
var loginPage = template.Must(template.New("login").Parse(loginText))

// page is what loginPage shows: the form, or without Asked a failure alone.
type page struct {
	Style   template.CSS
	Action  string
	Place   string // where the user goes then
	Failure string
	User    string
	Asked   []field
}

type field struct{ Name, Value string }

// loginHandler serves the login page. It keeps nothing between the page and the
// answer: the form carries what the client asked for, and it is checked again. A
// form of another site is refused (http.CrossOriginProtection).
func (s *Server) loginHandler() http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			query, err := url.ParseQuery(r.URL.RawQuery)
			if err != nil {
				s.showError(w, http.StatusBadRequest, "The address cannot be read.")
				return
			}
			if a, ok := s.checkAuthorization(w, r, query, http.StatusFound); ok {
				s.showLogin(w, http.StatusOK, a, query, "")
			}
		case http.MethodPost:
			s.logIn(w, r)
		default:
			w.Header().Set("Allow", "GET, HEAD, POST")
			s.showError(w, http.StatusMethodNotAllowed, "This page is opened by GET.")
		}
	}))
}

// logIn takes the form and leads back to the client, with a code.
func (s *Server) logIn(w http.ResponseWriter, r *http.Request) {
	if err := readForm(w, r); err != nil {
		refusal, _ := errors.AsType[*oauthError](err)
		s.showError(w, refusal.status, refusal.body.Description)
		return
	}
	a, ok := s.checkAuthorization(w, r, r.PostForm, http.StatusSeeOther)
	if !ok {
		return
	}
	callOf(r.Context()).credentials.id = a.client.GetID()
	user, err := s.login(r.Context(), organizationOf(a.client), r.PostForm)
	if err == nil {
		var code sluice.Secret
		if code, err = s.issueCode(r.Context(), a, user); err == nil {
			s.redirect(w, a, url.Values{"code": {code.Reveal()}}, http.StatusSeeOther)
			return
		}
	}
	refusal, ok := errors.AsType[*oauthError](err)
	switch {
	case ok:
		s.showLogin(w, http.StatusForbidden, a, r.PostForm, refusal.body.Description)
	case sluice.KindOf(err) == sluice.TooMany:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(loginRetry.Seconds()))))
		s.showLogin(w, http.StatusTooManyRequests, a, r.PostForm, "Too many failed logins. Try again in a while.")
	default:
		s.log.Error("login broke", "err", err, "trace_id", callOf(r.Context()).trace)
		s.showLogin(w, http.StatusServiceUnavailable, a, r.PostForm, "Logins are not possible at this moment. Try again.")
	}
}

// showLogin answers with the form. It may be sent to this server, and by its
// answer to where the client is, nowhere else.
func (s *Server) showLogin(w http.ResponseWriter, status int, a authorization, form url.Values, failure string) {
	place := a.redirectURI
	target := "'self'"
	if u, err := url.Parse(a.redirectURI); err == nil {
		place = u.Host
		target += " " + u.Scheme + ":"
		if u.Host != "" {
			target += "//" + u.Host
		} else {
			place = u.Scheme
		}
	}
	if a.name != "" {
		place = a.name + " at " + place
	}
	p := page{Action: pathLogin, Place: place, Failure: failure, User: form.Get("username")}
	for _, name := range authorizationParameters {
		if form.Has(name) {
			p.Asked = append(p.Asked, field{name, form.Get(name)})
		}
	}
	s.show(w, status, p, target)
}

// showError answers with a page that only says what is wrong.
func (s *Server) showError(w http.ResponseWriter, status int, failure string) {
	s.show(w, status, page{Failure: failure}, "'none'")
}

func (s *Server) show(w http.ResponseWriter, status int, p page, target string) {
	p.Style = template.CSS(loginStyle)
	var body bytes.Buffer
	if err := loginPage.Execute(&body, p); err != nil {
		s.log.Error("login page broke", "err", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	digest := sha256.Sum256([]byte(loginStyle))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(digest[:])+
		"'; form-action "+target+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a browser that went away is not an error
}

// auditCode notes that the user got a code through the client.
func auditCode(tx *database.Tx, c *call, client op.Client, user sluice.User, id string) error {
	return tx.Audit(sluice.AuditEntry{
		Organization: user.Organization, Actor: user.Name, Client: client.GetID(), Address: c.address, TraceID: c.trace,
		Action: "code.issue", ObjectType: "code", ObjectID: id, Result: "ok",
	})
}
