package keymanager

import (
	"context"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// maxBody is the most a request may carry, in bytes.
const maxBody = 64 << 10

// call is what the handlers of one request share beside the library's types,
// which know neither the headers of an answer nor where a request comes from.
type call struct {
	header      http.Header // of the answer
	credentials credentials
	address     string // remote, without port
	trace       string
}

// credentials are what a client authenticates with, not yet checked.
type credentials struct {
	id     string
	secret sluice.Secret
}

type callKey struct{}

// callOf returns the call of a request that came through begin.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// begin gives every request its call.
func (s *Server) begin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{header: w.Header(), address: web.ClientAddress(r), trace: web.TraceID(r.Context())}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// document lets requests for a public document pass.
func (s *Server) document(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			s.refuse(w, r, methodNotAllowed())
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		next.ServeHTTP(w, r)
	})
}

// form lets a request pass that has one meaning: a POST of a form with each
// parameter once, nothing in the URL, and one client authentication.
func (s *Server) form(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Pragma", "no-cache")
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			s.refuse(w, r, methodNotAllowed())
			return
		}
		err := readForm(w, r)
		if err == nil {
			callOf(r.Context()).credentials, err = readCredentials(r.Header, r.PostForm)
		}
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readForm parses the body into r.PostForm.
func readForm(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return invalidRequest("Parameters belong in the body, never in the URL.")
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return invalidRequest("The body must be of type application/x-www-form-urlencoded.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return tooLarge()
		}
		return invalidRequest("The body is not a well-formed form.")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return invalidRequest("A parameter is given more than once.")
		}
		if !isText(name) || !isText(values[0]) {
			return invalidRequest("A parameter is not text in UTF-8.")
		}
	}
	return nil
}

// readCredentials finds the client authentication (RFC 6749 §2.3). All clients
// are confidential, so there must be one; two of them are refused, since it
// would be a guess which one counts.
func readCredentials(header http.Header, form url.Values) (credentials, error) {
	c := credentials{id: form.Get("client_id"), secret: sluice.Secret(form.Get("client_secret"))}
	if form.Get("client_assertion") != "" || form.Get("client_assertion_type") != "" {
		return credentials{}, invalidClient("Clients authenticate by client_secret_basic or client_secret_post.")
	}
	lines := header.Values("Authorization")
	if len(lines) == 0 {
		if c.id == "" || c.secret == "" {
			return credentials{}, invalidClient("Client authentication is missing.")
		}
		return c, nil
	}
	if len(lines) > 1 || c.secret != "" {
		return credentials{}, invalidClient("The client authenticates in more than one way.")
	}
	basic, ok := parseBasic(lines[0])
	if !ok {
		return credentials{}, invalidClient("The Authorization header is not well-formed Basic authentication.")
	}
	if c.id != "" && c.id != basic.id {
		return credentials{}, invalidRequest("client_id and the Authorization header name different clients.")
	}
	return basic, nil
}

// parseBasic reads the value of an Authorization header (RFC 7617). Both parts
// are form-encoded inside it (RFC 6749 §2.3.1).
func parseBasic(value string) (credentials, bool) {
	scheme, encoded, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return credentials{}, false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return credentials{}, false
	}
	user, password, _ := strings.Cut(string(decoded), ":")
	id, err := url.QueryUnescape(user)
	if err != nil {
		return credentials{}, false
	}
	secret, err := url.QueryUnescape(password)
	if err != nil || id == "" || secret == "" || !isText(id) || !isText(secret) {
		return credentials{}, false
	}
	return credentials{id: id, secret: sluice.Secret(secret)}, true
}

// isText reports whether s can be stored and compared as text in any database.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
