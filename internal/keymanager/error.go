package keymanager

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// loginRetry is what a user who guessed passwords too often is told to wait;
// the login knows the exact time and keeps it to itself.
const loginRetry = 30 * time.Second

// oauthError is a refusal in the form of RFC 6749 §5.2. Descriptions hold no
// quotes and no backslashes (ibidem), and no input.
type oauthError struct {
	status int
	retry  time.Duration // 0: no time is known
	body   *oidc.Error
}

// Error returns the description.
func (e *oauthError) Error() string { return e.body.Description }

func invalidRequest(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, body: oidc.ErrInvalidRequest().WithDescription("%s", description)}
}

func invalidClient(description string) *oauthError {
	return &oauthError{status: http.StatusUnauthorized, body: oidc.ErrInvalidClient().WithDescription("%s", description)}
}

func invalidGrant(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, body: oidc.ErrInvalidGrant().WithDescription("%s", description)}
}

func invalidScope(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, body: oidc.ErrInvalidScope().WithDescription("%s", description)}
}

func unauthorizedClient(description string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, body: oidc.ErrUnauthorizedClient().WithDescription("%s", description)}
}

func unsupportedGrantType() *oauthError {
	return &oauthError{status: http.StatusBadRequest, body: oidc.ErrUnsupportedGrantType().
		WithDescription("This grant type is not offered.")}
}

func methodNotAllowed() *oauthError {
	e := invalidRequest("The method is not allowed here.")
	e.status = http.StatusMethodNotAllowed
	return e
}

func tooLarge() *oauthError {
	e := invalidRequest("The body is too long.")
	e.status = http.StatusRequestEntityTooLarge
	return e
}

func notFound() *oauthError {
	e := invalidRequest("There is no such endpoint.")
	e.status = http.StatusNotFound
	return e
}

func tooMany(wait time.Duration) *oauthError {
	return &oauthError{
		status: http.StatusTooManyRequests, retry: wait,
		body: &oidc.Error{ErrorType: "temporarily_unavailable", Description: "Too many failures. Try again later."},
	}
}

func unavailable() *oauthError {
	return &oauthError{
		status: http.StatusServiceUnavailable, retry: 5 * time.Second,
		body: &oidc.Error{ErrorType: "temporarily_unavailable", Description: "The Key Manager cannot answer at this moment."},
	}
}

// refuse answers with err.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	op.WriteError(w, r, s.refused(r.Context(), err), nil)
}

// refused brings err into the form in which the library writes it, and sets the
// headers that belong to it. Faults of ours are logged here and shown to nobody.
func (s *Server) refused(ctx context.Context, err error) error {
	c := callOf(ctx)
	e, ok := errors.AsType[*oauthError](err)
	if !ok {
		switch kind := sluice.KindOf(err); {
		case ctx.Err() != nil: // nobody waits for the answer
			e = unavailable()
		case kind == sluice.TooMany:
			e = tooMany(loginRetry)
		case kind == sluice.Unavailable:
			s.log.Warn("key manager is unavailable", "err", err, "trace_id", c.trace)
			e = unavailable()
		default:
			s.log.Error("token request broke", "err", err, "trace_id", c.trace)
			e = &oauthError{status: http.StatusInternalServerError, body: oidc.ErrServerError().
				WithDescription("Something went wrong; the trace id leads to the log.")}
		}
	}
	if e.status == http.StatusUnauthorized {
		c.header.Set("WWW-Authenticate", `Basic realm="Sluice", charset="UTF-8"`)
	}
	if e.retry > 0 {
		c.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
	}
	return op.NewStatusError(e.body, e.status)
}
