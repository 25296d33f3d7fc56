package web

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
)

// ETag returns the strong entity tag of a row version.
func ETag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// NotModified sets the entity tag of the answer and, where the request's
// If-None-Match names it, answers 304 and reports true. It is for GET and HEAD.
func NotModified(w http.ResponseWriter, r *http.Request, version int64) bool {
	tag := ETag(version)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	for _, t := range tags(r, "If-None-Match") {
		if t == "*" || strings.TrimPrefix(t, "W/") == tag { // weak comparison, RFC 9110 §13.1.2
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// IfMatch returns the row version that the request's If-Match asks for; 0 where
// there is none, or any will do. A tag that ETag cannot have made, a weak one
// for example, never matches: Changed.
func IfMatch(r *http.Request) (int64, error) {
	list := tags(r, "If-Match")
	switch {
	case len(list) == 0 || len(list) == 1 && list[0] == "*":
		return 0, nil
	case len(list) > 1:
		return 0, sluice.Errorf(sluice.Invalid, "if_match", "If-Match takes one entity tag here.").At("If-Match")
	}
	version, err := strconv.ParseInt(strings.Trim(list[0], `"`), 10, 64)
	if err != nil || version <= 0 || ETag(version) != list[0] {
		return 0, sluice.Errorf(sluice.Changed, "changed", "If-Match names a version that does not exist; read the object again.").At("If-Match")
	}
	return version, nil
}

// tags returns the entity tags of a header field. Ours contain no comma, so one
// that does can only fail to match.
func tags(r *http.Request, field string) (list []string) {
	for _, line := range r.Header.Values(field) {
		for t := range strings.SplitSeq(line, ",") {
			if t = strings.TrimSpace(t); t != "" {
				list = append(list, t)
			}
		}
	}
	return list
}
