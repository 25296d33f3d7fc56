package web

import (
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// ReadBody reads a request's body of at most limit bytes; of a longer one no
// more than that.
func ReadBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, TooLarge(limit)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, Refuse(http.StatusUnsupportedMediaType, "body.encoding", "Send the body without a Content-Encoding.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, sluice.Errorf(sluice.Invalid, "body.incomplete", "The body of the request could not be read to its end.")
	}
	if int64(len(body)) > limit {
		return nil, TooLarge(limit)
	}
	return body, nil
}

// TooLarge returns the Refusal of a body, or a part of one, over its limit in
// bytes.
func TooLarge(limit int64) *Refusal {
	return Refuse(http.StatusRequestEntityTooLarge, "body.too_large", "More than %d KB are not accepted here.", limit>>10)
}

// MediaType checks that the request's body has one of the media types and
// returns it with its parameters.
func MediaType(r *http.Request, accepted ...string) (string, map[string]string, error) {
	got, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil {
		if slices.Contains(accepted, got) {
			return got, params, nil
		}
	}
	return "", nil, Refuse(http.StatusUnsupportedMediaType, "body.type", "Send the body as %s.", strings.Join(accepted, " or "))
}
