package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// period is the validity of an API key in seconds, which clients send as a number
// or as a string; -1, and nothing, is for ever.
type period int

// UnmarshalJSON implements json.Unmarshaler.
func (p *period) UnmarshalJSON(b []byte) error {
	text := string(bytes.Trim(b, `"`))
	if text == "null" || text == "" {
		*p = -1
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < -1 || n == 0 {
		return sluice.Errorf(sluice.Invalid, "key.validity", "The validity is a number of seconds above 0, or -1 for ever.").At("validityPeriod")
	}
	*p = period(n)
	return nil
}

// apiKeyDocument is a new API key.
type apiKeyDocument struct {
	Name     string `json:"keyName"`
	Key      string `json:"apikey"`
	Validity int    `json:"validityPeriod"` // seconds; -1: for ever
}

func (s *Server) generateAPIKey(w http.ResponseWriter, r *http.Request) error {
	q := struct {
		Name       string                     `json:"keyName"`
		Validity   period                     `json:"validityPeriod"`
		Properties map[string]json.RawMessage `json:"additionalProperties"`
	}{Validity: -1}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	request := control.APIKeyRequest{Type: keyTypeOf(r), Name: q.Name}
	if q.Validity > 0 {
		request.TTL = time.Duration(q.Validity) * time.Second
	}
	var problems sluice.Problems
	for name, v := range q.Properties {
		var list string
		err := json.Unmarshal(v, &list)
		switch {
		case err != nil:
			problems.Add(name, "api_key.property", "The properties of an API key are texts.")
		case name == "permittedIP":
			request.Addresses = splitList(list)
		case name == "permittedReferer":
			request.Referers = splitList(list)
		default:
			problems.Add(name, "api_key.property", "An API key has the properties permittedIP and permittedReferer.")
		}
	}
	if err := problems.Err(); err != nil {
		return err
	}
	k, secret, err := s.plane.CreateAPIKey(r.Context(), r.PathValue("applicationId"), request)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, apiKeyDocument{k.Name, secret.Reveal(), int(q.Validity)})
}

// keyTypeOf returns the key type that the path names, in any case.
func keyTypeOf(r *http.Request) sluice.KeyType {
	return sluice.KeyType(strings.ToUpper(r.PathValue("keyType")))
}

// splitList splits a list with commas; empty elements are left out.
func splitList(s string) (list []string) {
	for e := range strings.SplitSeq(s, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return list
}

func (s *Server) revokeAPIKey(_ http.ResponseWriter, r *http.Request) error {
	var q struct {
		Key  string `json:"apikey"`
		UUID string `json:"keyUUID"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	if (q.Key == "") == (q.UUID == "") {
		return sluice.Errorf(sluice.Invalid, "api_key.missing", "Send the API key, or its keyUUID.").At("apikey")
	}
	return s.plane.RevokeAPIKey(r.Context(), r.PathValue("applicationId"), keyTypeOf(r), q.UUID, sluice.Secret(q.Key))
}

// generateTestKey makes the key with which a publisher tries an API out.
func (s *Server) generateTestKey(w http.ResponseWriter, r *http.Request) error {
	k, secret, err := s.plane.CreateTestKey(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, struct {
		Key      string `json:"apikey"`
		Validity int    `json:"validityTime"` // seconds
	}{secret.Reveal(), int(k.ExpiresAt.Sub(k.CreatedAt).Round(time.Second).Seconds())})
}
