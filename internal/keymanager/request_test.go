package keymanager

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"testing"
)

// What parseBasic takes, net/http must take too, and understand the same way:
// the library reads the header once more.
func FuzzBasic(f *testing.F) {
	for _, seed := range []string{"a:b", "a%20b:c+d", ":", "a", "a:b:c", "%zz:b", "a:\xff"} {
		f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte(seed)))
	}
	f.Add("basic YTpi")
	f.Add("Basic  YTpi")
	f.Add("Bearer YTpi")
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := parseBasic(value)
		if !ok {
			return
		}
		r := http.Request{Header: http.Header{"Authorization": {value}}}
		user, password, ok := r.BasicAuth()
		if !ok {
			t.Fatalf("parseBasic(%q) = %q, net/http refuses it", value, got.id)
		}
		id, err := url.QueryUnescape(user)
		secret, err2 := url.QueryUnescape(password)
		if err != nil || err2 != nil || id != got.id || secret != got.secret.Reveal() {
			t.Fatalf("parseBasic(%q) = %q %q, net/http reads %q %q", value, got.id, got.secret.Reveal(), id, secret)
		}
	})
}
