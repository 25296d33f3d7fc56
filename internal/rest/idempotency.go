package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// maxIdempotencyKey is the longest key by which a request may be repeated, in bytes.
const maxIdempotencyKey = 64

// keptAnswer is an answer as it is kept. It may hold a secret: control seals it.
type keptAnswer struct {
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// collected is a ResponseWriter that holds the answer back.
type collected struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (c *collected) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter.
func (c *collected) WriteHeader(status int) { c.status = status }

// Write implements io.Writer.
func (c *collected) Write(b []byte) (int, error) { return c.body.Write(b) }

// once carries a request with an Idempotency-Key out once: repeated, it gets the
// same answer, for a day. A refused request leaves its key free.
func (s *Server) once(w http.ResponseWriter, r *http.Request, handle web.HandlerFunc) error {
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxIdempotencyKey || unprintable(key) {
		return sluice.Errorf(sluice.Invalid, "idempotency.form", "An Idempotency-Key has at most %d printable characters.", maxIdempotencyKey).At("Idempotency-Key")
	}
	body, err := web.ReadBody(r, maxJSON)
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s\n%s", r.Method, r.URL.RequestURI(), body))
	kept, answered, err := s.plane.BeginRequest(r.Context(), key, hex.EncodeToString(sum[:]))
	if err != nil {
		return err
	}
	out := keptAnswer{}
	if answered {
		if err := json.Unmarshal(kept.Answer, &out); err != nil {
			return fmt.Errorf("read a kept answer: %w", err)
		}
	} else {
		c := &collected{header: http.Header{}, status: http.StatusOK}
		if err := handle(c, r); err != nil {
			if freed := s.plane.EndRequest(r.Context(), key, 0, nil); freed != nil {
				s.log.Error("an idempotency key was not freed", "err", freed)
			}
			return err
		}
		out, kept.Status = keptAnswer{c.header, c.body.Bytes()}, c.status
		answer, err := json.Marshal(out)
		if err != nil {
			return err
		}
		if err := s.plane.EndRequest(r.Context(), key, kept.Status, answer); err != nil {
			return err
		}
	}
	maps.Copy(w.Header(), out.Header)
	w.WriteHeader(kept.Status)
	_, _ = w.Write(out.Body) // a client that went away is not an error
	return nil
}

// mustMatch returns the row version that If-Match asks for; 0 for "*". Without the
// field the request is refused: nobody overwrites here what they have not seen.
func mustMatch(r *http.Request) (int64, error) {
	if r.Header.Get("If-Match") == "" {
		return 0, web.Refuse(http.StatusPreconditionRequired, "if_match.missing", "Send If-Match with the ETag of the object as you read it.")
	}
	return web.IfMatch(r)
}
