// Package client calls the management REST API of Sluice: what the command line
// and the tests of the whole platform are made of.
//
// A [Client] has one method for an operation, in the file of its feature, with
// small typed results: the fields that callers need, not everything the API
// answers. An answer that is no success is an [*Error]. Methods wait as long as
// their context lasts.
//
// It speaks to the published paths alone, as any other client would; it shares
// nothing with the server but the domain's types.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-api/sluice"
)

// Bases of the paths.
const (
	publisher = "/api/am/publisher/v4"
	store     = "/api/am/devportal/v3"
	admin     = "/api/am/admin/v4"
	own       = "/api/sluice/v1"
)

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 64 << 20

// Options say which control plane is called, and as whom.
type Options struct {
	BaseURL   string        // "https://host:9443"
	Token     sluice.Secret // access token of the management API; empty: anonymous
	TLS       *tls.Config   // nil: the system's
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	UserAgent string // default "sluice"
}

// Client calls one control plane. It may be used by many goroutines.
type Client struct {
	o    Options
	http *http.Client
}

// New returns a Client. It opens no connection.
func New(o Options) *Client {
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if o.UserAgent == "" {
		o.UserAgent = "sluice"
	}
	t := &http.Transport{
		TLSClientConfig: o.TLS.Clone(), DialContext: o.Dial, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if o.Dial == nil {
		t.Proxy = http.ProxyFromEnvironment
	}
	return &Client{o: o, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}}
}

// WithToken returns a Client that calls with another token over the same
// connections.
func (c *Client) WithToken(t sluice.Secret) *Client {
	other := *c
	other.o.Token = t
	return &other
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Error is an answer that is no success.
type Error struct {
	Status  int
	Code    string // stable: "api.context_taken"; of OAuth answers: "invalid_grant"
	Number  int64  // WSO2's, or the status; 0 where the answer has none
	Message string
	Detail  string // what is wrong, in a sentence
	TraceID string // names the entry in the server's log
}

// Error returns what went wrong, for people.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = e.Message
	}
	about := []string{strconv.Itoa(e.Status)}
	if e.Code != "" {
		about = append(about, e.Code)
	}
	if e.TraceID != "" {
		about = append(about, "trace "+e.TraceID)
	}
	return fmt.Sprintf("%s (%s)", text, strings.Join(about, ", "))
}

// IsStatus reports whether err is an answer with this status.
func IsStatus(err error, status int) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == status
}

// request is one call.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
	contentType  string
}

// get reads path into out.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, request{method: http.MethodGet, path: path, query: query}, out)
}

// post sends in as JSON and reads the answer into out; nil: it is not read.
func (c *Client) post(ctx context.Context, path string, query url.Values, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, request{method: http.MethodPost, path: path, query: query, body: body, contentType: "application/json"}, out)
}

// delete deletes what is at path.
func (c *Client) delete(ctx context.Context, path string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: path}, nil)
}

// call sends q and reads a successful answer, JSON, into out where it is not
// nil; a *[]byte takes the body as it is.
func (c *Client) call(ctx context.Context, q request, out any) error {
	address := c.o.BaseURL + q.path
	if len(q.query) > 0 {
		address += "?" + q.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, q.method, address, bytes.NewReader(q.body))
	if err != nil {
		return fmt.Errorf("address of the control plane: %w", err)
	}
	r.Header.Set("User-Agent", c.o.UserAgent)
	if q.contentType != "" {
		r.Header.Set("Content-Type", q.contentType)
	}
	if c.o.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.o.Token.Reveal())
	}
	maps.Copy(r.Header, q.header)
	answer, err := c.http.Do(r)
	if err != nil {
		return err // names method and address
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer of %s %s: %w", q.method, q.path, err)
	}
	if answer.StatusCode >= 300 {
		return readError(answer, body)
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = body
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("understand the answer of %s %s: %w", q.method, q.path, err)
	}
	return nil
}

// readError reads an error in any of the forms that the management side has:
// WSO2's body, a problem of RFC 9457, an error of OAuth.
func readError(answer *http.Response, body []byte) error {
	var b struct {
		Code        json.RawMessage `json:"code"` // a number in WSO2's body, else a string
		Message     string          `json:"message"`
		Description string          `json:"description"`
		Items       []struct {
			Code string `json:"code"`
		} `json:"error"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	e := &Error{Status: answer.StatusCode, TraceID: answer.Header.Get("X-Trace-Id")}
	if json.Unmarshal(body, &b) != nil { // OAuth's "error" is a string
		var oauth struct {
			Error string `json:"error"`
			Text  string `json:"error_description"`
		}
		if json.Unmarshal(body, &oauth) == nil {
			e.Code, e.Message, e.Detail = oauth.Error, oauth.Error, oauth.Text
		}
	} else if json.Unmarshal(b.Code, &e.Code) == nil {
		e.Message, e.Detail = b.Title, b.Detail
	} else if json.Unmarshal(b.Code, &e.Number) == nil {
		e.Message, e.Detail = b.Message, b.Description
		if len(b.Items) > 0 {
			e.Code = b.Items[0].Code
		}
	}
	if e.Message == "" {
		e.Message = http.StatusText(answer.StatusCode)
	}
	return e
}

// at joins path segments below a base; each is escaped.
func at(base string, segments ...string) string {
	for _, s := range segments {
		base += "/" + url.PathEscape(s)
	}
	return base
}

// listed is a list as the API answers it.
type listed[T any] struct {
	List       []T `json:"list"`
	Pagination struct {
		Total int `json:"total"`
	} `json:"pagination"`
}
