package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// errorBody is WSO2's error body, with the trace id added.
type errorBody struct {
	Code        int64       `json:"code"`
	Message     string      `json:"message"`
	Description string      `json:"description"`
	MoreInfo    string      `json:"moreInfo"`
	Error       []errorItem `json:"error"`
	TraceID     string      `json:"traceId"`
}

// errorItem is one problem; its Description is the input at fault.
type errorItem struct {
	Code        string `json:"code"`
	Message     string `json:"message"`
	Description string `json:"description"`
}

// problem is a problem of RFC 9457.
type problem struct {
	Type     string         `json:"type"`
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Instance string         `json:"instance"`
	Code     string         `json:"code"`
	Errors   []problemError `json:"errors"`
	TraceID  string         `json:"traceId"`
}

type problemError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

// writeWSO2 writes an error as clients of WSO2's APIs expect it.
func writeWSO2(w http.ResponseWriter, _ *http.Request, f web.Failure) {
	n := numberOf(f)
	body := errorBody{Code: n.code, Message: n.message, Description: f.Err.Error(), TraceID: f.TraceID}
	for _, e := range problemsOf(f.Err) {
		body.Error = append(body.Error, errorItem{e.Code, e.Message, e.Field})
	}
	commonHeaders(w, n.status)
	_ = web.WriteJSON(w, n.status, web.JSON, body) // it cannot fail to be encoded
}

// writeProblem writes an error as RFC 9457 says.
func writeProblem(w http.ResponseWriter, _ *http.Request, f web.Failure) {
	body := problem{
		Type: "about:blank", Title: http.StatusText(f.Status), Status: f.Status, Detail: f.Err.Error(),
		Instance: "urn:sluice:trace:" + f.TraceID, Code: f.Err.Code, TraceID: f.TraceID,
	}
	for _, e := range problemsOf(f.Err) {
		body.Errors = append(body.Errors, problemError{e.Code, e.Message, e.Field})
	}
	commonHeaders(w, f.Status)
	_ = web.WriteJSON(w, f.Status, web.Problem, body) // it cannot fail to be encoded
}

// problemsOf returns every problem of an error, which may be the only one.
func problemsOf(e *sluice.Error) []*sluice.Error {
	if len(e.Problems) > 0 {
		return e.Problems
	}
	return []*sluice.Error{e}
}

// commonHeaders sets the fields that a status must have (RFC 9110 §15).
func commonHeaders(w http.ResponseWriter, status int) {
	switch h := w.Header(); {
	case status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "":
		h.Set("WWW-Authenticate", `Bearer realm="sluice"`)
	case status == http.StatusTooManyRequests:
		h.Set("Retry-After", "60") // the longest pause after failed logins
	}
}

// number is how WSO2's server numbers an error.
type number struct {
	code    int64
	message string // the number's own
	status  int    // where it differs from that of the Kind; 0: the Kind's
}

// wso2Key is a code of ours and its Kind.
type wso2Key struct {
	code string
	kind sluice.Kind
}

// wso2Numbers holds the errors that WSO2 has a number for. Every other error is
// numbered by its status.
var wso2Numbers = map[wso2Key]number{
	{"api.unknown", sluice.NotFound}:          {code: 900308, message: "API Not Found"},
	{"application.unknown", sluice.NotFound}:  {code: 900307, message: "Application Not Found"},
	{"subscription.unknown", sluice.NotFound}: {code: 900310, message: "Subscription Not Found"},
	{"revision.unknown", sluice.NotFound}:     {code: 900347, message: "API Revision Not Found"},
	{"environment.unknown", sluice.NotFound}:  {code: 900506, message: "Gateway Environment Not Found"},
	{"tier.unknown", sluice.NotFound}:         {code: 900961, message: "Throttling Policy Not Found"},
	{"comment.unknown", sluice.NotFound}:      {code: 901102, message: "Comment Not Found"},
	{"key_manager.unknown", sluice.NotFound}:  {code: 901411, message: "Key Manager Not Found"},

	{"document.unknown", sluice.NotFound}:    {code: 900315, message: "Document Not Found"},
	{"document.content", sluice.NotFound}:    {code: 900315, message: "Document Not Found"},
	{"document.exists", sluice.Conflict}:     {code: 900312, message: "The document already exists"},
	{"api.exists", sluice.Conflict}:          {code: 900300, message: "The API already exists"},
	{"api.name_taken", sluice.Conflict}:      {code: 900250, message: "The API name already exists"},
	{"api.version_exists", sluice.Conflict}:  {code: 900252, message: "The API version already exists"},
	{"api.context_taken", sluice.Conflict}:   {code: 900251, message: "The API context already exists"},
	{"application.exists", sluice.Conflict}:  {code: 900301, message: "The application already exists"},
	{"subscription.exists", sluice.Conflict}: {code: 900336, message: "Subscription already exists"},

	{"api.type", sluice.Invalid}:                {code: 900327, message: "Unsupported API type"},
	{"api.context", sluice.Invalid}:             {code: 900346, message: "Invalid context"},
	{"api.endpoint", sluice.Invalid}:            {code: 900346, message: "Invalid endpoint URL"},
	{"api.document", sluice.Invalid}:            {code: 900346, message: "Invalid additional properties"},
	{"environment.unknown", sluice.Invalid}:     {code: 900504, message: "Gateway Environment Not Found"},
	{"environment.vhost_twice", sluice.Invalid}: {code: 900509, message: "Duplicate vhost"},
	{"openapi.unreadable", sluice.Invalid}:      {code: 900754, message: "Error while parsing OpenAPI definition"},
	{"openapi.too_large", sluice.Invalid}:       {code: 900754, message: "Error while parsing OpenAPI definition", status: http.StatusRequestEntityTooLarge},

	{"api.lifecycle", sluice.Conflict}:         {code: 900381, message: "Invalid lifecycle action", status: http.StatusBadRequest},
	{"environment.taken", sluice.Conflict}:     {code: 900507, message: "Gateway environment already exists", status: http.StatusBadRequest},
	{"environment.read_only", sluice.Conflict}: {code: 900508, message: "Gateway environment is read only", status: http.StatusBadRequest},
	{"environment.renamed", sluice.Conflict}:   {code: 900510, message: "Gateway environment name cannot be changed", status: http.StatusBadRequest},
	{"revision.deployed", sluice.Conflict}:     {code: 900348, message: "The API revision is deployed", status: http.StatusBadRequest},
	{"revision.limit", sluice.Conflict}:        {code: 900351, message: "Maximum number of revisions reached", status: http.StatusBadRequest},

	{"api.state_forbids", sluice.Forbidden}: {code: 900380, message: "The lifecycle state does not allow this"},
	{"subscription.tier", sluice.Forbidden}: {code: 902002, message: "The tier is not allowed"},
	{"tier.used", sluice.Forbidden}:         {code: 900971, message: "The policy is in use"},
	{"comment.moderator", sluice.Forbidden}: {code: 901100, message: "Not a comment moderator"},
}

// numberOf returns WSO2's number for a failure; of several problems, that of
// the first that has one.
func numberOf(f web.Failure) number {
	n := number{code: int64(f.Status), message: http.StatusText(f.Status), status: f.Status}
	for _, e := range problemsOf(f.Err) {
		known, ok := wso2Numbers[wso2Key{e.Code, e.Kind}]
		if !ok {
			continue
		}
		n.code, n.message = known.code, known.message
		if known.status != 0 {
			n.status = known.status
		}
		break
	}
	return n
}
