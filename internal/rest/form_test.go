package rest

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

func TestReadForm(t *testing.T) {
	limits := map[string]int64{"file": 100, "url": 10}
	for name, c := range map[string]struct {
		contentType string // default: with boundary xyz
		body        string
		want        map[string][]byte
		status      int // 0: taken
	}{
		"two parts":            {body: form("xyz", "file", "content", "url", "u"), want: map[string][]byte{"file": []byte("content"), "url": []byte("u")}},
		"an unknown part":      {body: form("xyz", "other", strings.Repeat("a", 1000), "file", "c"), want: map[string][]byte{"file": []byte("c")}},
		"an empty part":        {body: form("xyz", "file", ""), want: map[string][]byte{"file": {}}},
		"a part twice":         {body: form("xyz", "file", "a", "file", "b"), status: 400},
		"a part too large":     {body: form("xyz", "file", strings.Repeat("a", 101)), status: 413},
		"exactly at the limit": {body: form("xyz", "url", strings.Repeat("a", 10)), want: map[string][]byte{"url": []byte("aaaaaaaaaa")}},
		"too many parts":       {body: form("xyz", strings.Split(strings.Repeat("x,y,", 30), ",")...), status: 400},
		"cut short":            {body: strings.TrimSuffix(form("xyz", "file", "content"), "xyz--\r\n"), status: 400},
		"no form":              {body: "content", status: 400},
		"nothing":              {body: "", status: 400},
		"JSON":                 {contentType: "application/json", body: "{}", status: 415},
		"no type":              {contentType: "-", body: "", status: 415},
		"larger than all":      {body: form("xyz", "other", strings.Repeat("a", 2<<20)), status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/x", io.NopCloser(strings.NewReader(c.body)))
			switch c.contentType {
			case "":
				r.Header.Set("Content-Type", "multipart/form-data; boundary=xyz")
			case "-":
			default:
				r.Header.Set("Content-Type", c.contentType)
			}
			got, err := readForm(r, limits)
			if c.status != 0 {
				if _, ok := errors.AsType[*sluice.Error](err); !ok || web.StatusOf(err) != c.status {
					t.Fatalf("error = %v, want status %d", err, c.status)
				}
				return
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("readForm: %v\n%s", err, diff)
			}
		})
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add("multipart/form-data", form("xyz", "file", "content"))
	f.Add("multipart/form-data; boundary=xyz", form("xyz", "file", "content"))
	f.Add("multipart/form-data", "--\r\n")
	f.Fuzz(func(t *testing.T, contentType, body string) {
		r := httptest.NewRequest("POST", "/x", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		parts, err := readForm(r, map[string]int64{"file": 16})
		if err != nil && web.StatusOf(err) == 500 {
			t.Errorf("error %v is not for the caller", err)
		}
		if len(parts["file"]) > 16 {
			t.Errorf("part of %d bytes", len(parts["file"]))
		}
	})
}
