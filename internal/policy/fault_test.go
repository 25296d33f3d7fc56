package policy_test

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sluice-api/sluice/internal/policy"
)

// TestFaults holds the table of the contract (10.4): each fault with its status,
// code and message.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		fault   *policy.Fault
		status  int
		code    string
		message string
	}{
		{policy.BadRequest, 400, "400", "Bad Request"},
		{policy.IncompletePayload, 400, "102511", "Incomplete payload"},
		{policy.TransportForbidden, 403, "403", "Forbidden"},
		{policy.UnknownAPI, 404, "404", "Not Found"},
		{policy.UnknownResource, 404, "404", "Not Found"},
		{policy.MethodNotAllowed, 405, "405", "Method Not Allowed"},
		{policy.RequestTimeout, 408, "408", "Request Timeout"},
		{policy.ContentTooLarge, 413, "413", "Content Too Large"},
		{policy.URITooLong, 414, "414", "URI Too Long"},
		{policy.HeaderTooLarge, 431, "431", "Request Header Fields Too Large"},
		{policy.InternalError, 500, "500", "Internal Server Error"},
		{policy.NotImplemented, 501, "501", "Not Implemented"},
		{policy.Overloaded, 503, "503", "Service Unavailable"},
		{policy.APIBlocked, 503, "700700", "API blocked"},
		{policy.AuthenticationFailure, 500, "900900", "Unclassified Authentication Failure"},
		{policy.InvalidCredentials, 401, "900901", "Invalid Credentials"},
		{policy.SandboxKeyRefused, 401, "900901", "Invalid Credentials"},
		{policy.ProductionKeyRefused, 401, "900901", "Invalid Credentials"},
		{policy.NoProductionEndpoint, 403, "900901", "Invalid Credentials"},
		{policy.NoSandboxEndpoint, 403, "900901", "Invalid Credentials"},
		{policy.MissingCredentials, 401, "900902", "Missing Credentials"},
		{policy.TokenExpired, 401, "900903", "Access Token Expired"},
		{policy.InvalidAPIKey, 401, "900901", "Invalid Credentials"},
		{policy.MissingAPIKey, 401, "900902", "Missing Credentials"},
		{policy.APIKeyExpired, 401, "900903", "Access Token Expired"},
		{policy.APIKeyElsewhere, 403, "900908", "Resource forbidden"},
		{policy.NeedsUserToken, 401, "900905", "Incorrect Access Token Type"},
		{policy.NeedsApplicationToken, 401, "900905", "Incorrect Access Token Type"},
		{policy.SubscriptionBlocked, 401, "900907", "API temporarily blocked"},
		{policy.NotSubscribed, 403, "900908", "Resource forbidden"},
		{policy.SubscriptionInactive, 401, "900909", "Subscription inactive"},
		{policy.ScopeMissing, 403, "900910", "Scope missing"},
		{policy.APIThrottled, 429, "900800", "Message throttled out"},
		{policy.BackendLimitReached, 503, "900801", "API Limit Reached"},
		{policy.ResourceThrottled, 429, "900802", "Message throttled out"},
		{policy.ApplicationThrottled, 429, "900803", "Message throttled out"},
		{policy.SubscriptionThrottled, 429, "900804", "Message throttled out"},
		{policy.MessageBlocked, 403, "900805", "Message blocked"},
		{policy.CustomThrottled, 429, "900806", "Message throttled out"},
		{policy.BurstThrottled, 429, "900807", "Message throttled out"},
		{policy.BackendUnreachable, 502, "101503", "Backend unavailable"},
		{policy.BackendUntrusted, 502, "101500", "Backend unavailable"},
		{policy.BackendTimeout, 504, "101504", "Backend timed out"},
		{policy.BackendClosed, 502, "101505", "Backend failed"},
		{policy.BackendProtocol, 502, "101506", "Backend failed"},
		{policy.BackendSuspended, 503, "303001", "Backend suspended"},
		{policy.LoopDetected, 508, "508", "Loop Detected"},
	} {
		f := tc.fault
		if f.Status != tc.status || f.Code != tc.code || f.Message != tc.message || f.Description == "" {
			t.Errorf("fault %+v, want status %d, code %s, message %q and a description", *f, tc.status, tc.code, tc.message)
		}
		if (f.Status == 503) != (f.RetryAfter > 0) {
			t.Errorf("fault %s with status %d says Retry-After %d", f.Code, f.Status, f.RetryAfter)
		}
		trace := policy.TraceID([]byte("0123456789abcdef0123456789abcdef"))
		var body map[string]string
		if err := json.Unmarshal(f.Append(nil, policy.JSON, &policy.Exchange{TraceID: trace}), &body); err != nil {
			t.Fatalf("body of %s: %v", f.Code, err)
		}
		want := map[string]string{"code": f.Code, "message": f.Message, "description": f.Description, "traceId": trace.String()}
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("body of %s (-want +got):\n%s", f.Code, diff)
		}
		for sent, challenge := range map[bool]string{false: `Bearer realm="Sluice"`, true: `Bearer realm="Sluice", error="invalid_token"`} {
			if tc.status != 401 {
				challenge = ""
			}
			if got := f.Challenge(sent); got != challenge {
				t.Errorf("challenge of %s, token sent %v: %q, want %q", f.Code, sent, got, challenge)
			}
		}
	}
}

// TestXMLFaults holds root, namespace and children of faults by classes of codes
// (CONTRACT 10-8).
func TestXMLFaults(t *testing.T) {
	odd := &policy.Fault{Status: 400, Code: "400", Message: `<a> & "b"`, Description: "]]> ' é"}
	for fault, root := range map[*policy.Fault]xml.Name{
		policy.MissingCredentials:    {Space: "http://wso2.org/apimanager/security", Local: "fault"},
		policy.ScopeMissing:          {Space: "http://wso2.org/apimanager/security", Local: "fault"},
		policy.AuthenticationFailure: {Space: "http://wso2.org/apimanager/security", Local: "fault"},
		policy.SubscriptionThrottled: {Space: "http://wso2.org/apimanager/throttling", Local: "fault"},
		policy.BackendLimitReached:   {Space: "http://wso2.org/apimanager/throttling", Local: "fault"},
		policy.UnknownAPI:            {Space: "http://wso2.org/apimanager", Local: "fault"},
		policy.APIBlocked:            {Space: "http://wso2.org/apimanager", Local: "fault"},
		policy.BackendUnreachable:    {Space: "http://wso2.org/apimanager", Local: "fault"},
		odd:                          {Space: "http://wso2.org/apimanager", Local: "fault"},
	} {
		type child struct {
			XMLName xml.Name
			Text    string `xml:",chardata"`
		}
		var got struct {
			XMLName  xml.Name
			Children []child `xml:",any"`
		}
		body := fault.Append(nil, policy.ApplicationXML, new(policy.Exchange))
		if err := xml.Unmarshal(body, &got); err != nil {
			t.Fatalf("body of %s: %v in %s", fault.Code, err, body)
		}
		want := []child{
			{xml.Name{Space: root.Space, Local: "code"}, fault.Code},
			{xml.Name{Space: root.Space, Local: "message"}, fault.Message},
			{xml.Name{Space: root.Space, Local: "description"}, fault.Description},
		}
		if diff := cmp.Diff(want, got.Children); got.XMLName != root || diff != "" {
			t.Errorf("body of %s: root %v, want %v, children (-want +got):\n%s", fault.Code, got.XMLName, root, diff)
		}
	}
	const want = `<ams:fault xmlns:ams="http://wso2.org/apimanager/security"><ams:code>900902</ams:code><ams:message>Missing Credentials</ams:message>` +
		`<ams:description>The request needs an access token: Authorization: Bearer.</ams:description></ams:fault>`
	if got := string(policy.MissingCredentials.Append(nil, policy.TextXML, new(policy.Exchange))); got != want {
		t.Errorf("body %s, want %s", got, want)
	}
}

// TestNextAccessTime holds the form in which bodies say when to call again.
func TestNextAccessTime(t *testing.T) {
	x := &policy.Exchange{TraceID: policy.TraceID([]byte("0123456789abcdef0123456789abcdef")), NextAccess: time.Date(2026, 2, 10, 18, 19, 59, 1, time.FixedZone("EET", 2*60*60))}
	const want = "2026-Feb-10 16:20:00+0000 UTC"
	var body map[string]string
	if err := json.Unmarshal(policy.ApplicationThrottled.Append(nil, policy.JSON, x), &body); err != nil || body["nextAccessTime"] != want {
		t.Errorf("in JSON: %v, %v, want %s", body, err, want)
	}
	if got := string(policy.ApplicationThrottled.Append(nil, policy.TextXML, x)); !strings.Contains(got, "<amt:nextAccessTime>"+want+"</amt:nextAccessTime></amt:fault>") {
		t.Errorf("in XML: %s, want %s", got, want)
	}
}

// TestKeyTypeDescriptions holds the sentences that the contract gives word for
// word.
func TestKeyTypeDescriptions(t *testing.T) {
	for fault, want := range map[*policy.Fault]string{
		policy.SandboxKeyRefused:    "A sandbox key cannot be used on a production gateway.",
		policy.ProductionKeyRefused: "A production key cannot be used on a sandbox gateway.",
		policy.NoProductionEndpoint: "The API has no production endpoint here.",
		policy.NoSandboxEndpoint:    "The API has no sandbox endpoint here.",
	} {
		if fault.Description != want {
			t.Errorf("description %q, want %q", fault.Description, want)
		}
	}
}
