package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// policyAnswer is what a test reads of a policy.
type policyAnswer struct {
	policyRequest
	ID   string `json:"policyId"`
	Type string `json:"type"`
}

const policies = "/api/am/admin/v4/throttling/policies"

func TestPolicies(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	seven := `"policyName":"Seven","defaultLimit":{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"hour","unitTime":2,"requestCount":7}}`
	for segment, c := range map[string]struct{ kind, more, short string }{
		"application": {"ApplicationThrottlePolicy", `"burstLimit":{"rateLimitCount":0,"rateLimitTimeUnit":""}`, "app"},
		"advanced":    {"AdvancedThrottlePolicy", `"conditionalGroups":[]`, "api"},
		"subscription": {"SubscriptionThrottlePolicy", `"rateLimitCount":3,"rateLimitTimeUnit":"sec","billingPlan":"COMMERCIAL","stopOnQuotaReach":false,` +
			`"customAttributes":[{"name":"a","value":"b"}],"permissions":{"permissionType":"deny","roles":["guest"]}`, "sub"},
	} {
		t.Run(segment, func(t *testing.T) {
			made := p.do(t, admin, "POST "+policies+"/"+segment, "{"+seven+","+c.more+"}")
			policy := as[policyAnswer](t, made, http.StatusCreated)
			one := policies + "/" + segment + "/" + policy.ID
			if limit := policy.Limit.Requests; policy.Type != c.kind || policy.Name != "Seven" || limit == nil || *limit != (policyCount{"hour", 2, 7}) || made.header.Get("Location") != one {
				t.Errorf("made %+v at %s", policy, made.header.Get("Location"))
			}
			if segment == "subscription" && (policy.policyBurst != policyBurst{3, "sec"} || policy.BillingPlan != "COMMERCIAL" || *policy.StopOnQuota || len(policy.Attributes) != 1 || policy.Permission.Type != "DENY") {
				t.Errorf("plan = %+v", policy)
			}
			p.do(t, admin, "POST "+policies+"/"+segment, "{"+seven+"}").wantError(t, 409, "tier.exists", 0)

			read := p.do(t, admin, "GET "+one, "")
			tag := read.header.Get("ETag")
			if got := p.do(t, admin, "GET "+one, "", "If-None-Match", tag); got.status != http.StatusNotModified {
				t.Errorf("with If-None-Match: %d", got.status)
			}
			changed := strings.Replace(string(read.body), `"requestCount":7`, `"requestCount":8`, 1) // what is read can be written
			put := as[policyAnswer](t, p.do(t, admin, "PUT "+one, changed, "If-Match", tag), http.StatusOK)
			if put.Limit.Requests.Requests != 8 {
				t.Errorf("changed to %+v", put)
			}
			p.do(t, admin, "PUT "+one, changed, "If-Match", tag).wantError(t, 412, "changed", 0)
			found := as[list[policyDetails]](t, p.do(t, admin, "GET "+policies+"/search?query=type:"+c.short+"%20name:Seven", ""), http.StatusOK)
			if found.Count != 1 || found.List[0].ID != policy.ID || found.List[0].Type != c.short || found.List[0].Number == 0 {
				t.Errorf("search finds %+v", found)
			}
			if got := as[list[policyAnswer]](t, p.do(t, admin, "GET "+policies+"/"+segment, ""), http.StatusOK); got.Count < 4 {
				t.Errorf("list = %+v", got)
			}
			if got := p.do(t, admin, "DELETE "+one, ""); got.status != http.StatusOK || len(got.body) > 0 {
				t.Errorf("delete: %d %s", got.status, got.body)
			}
			p.do(t, admin, "GET "+one, "").wantError(t, 404, "tier.unknown", 900961)
		})
	}
}

func TestPolicyRefusals(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	limit := func(text string) string { return `{"policyName":"New","defaultLimit":` + text + `}` }
	good := `{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":7}}`
	for name, c := range map[string]struct{ level, body, code string }{
		"bandwidth":            {"subscription", limit(`{"type":"BANDWIDTHLIMIT","bandwidth":{"timeUnit":"min","unitTime":1,"dataAmount":5,"dataUnit":"KB"}}`), "tier.limit_type"},
		"no limit":             {"subscription", `{"policyName":"New"}`, "tier.limit_type"},
		"an unknown unit":      {"application", limit(`{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"month","unitTime":1,"requestCount":7}}`), "tier.limit"},
		"a very long time":     {"application", limit(`{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"day","unitTime":2147483647,"requestCount":7}}`), "tier.limit"},
		"no requests":          {"application", limit(`{"type":"REQUESTCOUNTLIMIT","requestCount":{"timeUnit":"min","unitTime":1,"requestCount":0}}`), "tier.limit"},
		"conditional groups":   {"advanced", `{"policyName":"New","defaultLimit":` + good + `,"conditionalGroups":[{"conditions":[]}]}`, "tier.unsupported"},
		"a count of users":     {"subscription", `{"policyName":"New","defaultLimit":` + good + `,"subscriberCount":5}`, "tier.unsupported"},
		"a burst of users":     {"application", `{"policyName":"New","defaultLimit":` + good + `,"burstLimit":{"rateLimitCount":5,"rateLimitTimeUnit":"sec"}}`, "tier.burst"},
		"a burst without unit": {"subscription", `{"policyName":"New","defaultLimit":` + good + `,"rateLimitCount":5}`, "tier.burst"},
		"no roles":             {"subscription", `{"policyName":"New","defaultLimit":` + good + `,"permissions":{"permissionType":"ALLOW","roles":[]}}`, "tier.permission"},
		"odd permissions":      {"subscription", `{"policyName":"New","defaultLimit":` + good + `,"permissions":{"permissionType":"MAYBE","roles":["x"]}}`, "tier.permission"},
	} {
		t.Run(name, func(t *testing.T) {
			p.do(t, admin, "POST "+policies+"/"+c.level, c.body).wantError(t, 400, c.code, 0)
		})
	}
	creator := p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator)
	as[list[policyAnswer]](t, p.do(t, creator, "GET "+policies+"/advanced", ""), http.StatusOK)
	p.do(t, creator, "POST "+policies+"/advanced", limit(good)).wantError(t, 401, "scope.missing", 0)

	id := p.api(t, admin, "Weather") // it offers Gold
	gold := as[list[policyDetails]](t, p.do(t, admin, "GET "+policies+"/search?query=type:sub+name:Gold&name=Gold", ""), http.StatusOK).List[0]
	p.do(t, admin, "DELETE "+policies+"/subscription/"+gold.ID, "").wantError(t, 403, "tier.used", 900971)
	p.do(t, admin, "GET "+policies+"/search?query=owner:x", "").wantError(t, 400, "search", 0)
	if got := as[list[policyDetails]](t, p.do(t, admin, "GET "+policies+"/search?name=Gold", ""), http.StatusOK); got.Count != 13 {
		t.Errorf("search for all finds %d, want 13", got.Count)
	}

	// The Store's view of the same.
	const store = "/api/am/devportal/v3"
	for _, key := range []string{"Gold", gold.ID} {
		if got := as[tierDocument](t, p.do(t, "", "GET "+store+"/throttling-policies/subscription/"+key, ""), http.StatusOK); got.Name != "Gold" || got.Requests != 5000 {
			t.Errorf("%s = %+v", key, got)
		}
	}
	p.do(t, "", "GET "+store+"/throttling-policies/application/Gold", "").wantError(t, 404, "tier.unknown", 900961)
	p.do(t, "", "GET "+store+"/apis/"+id+"/subscription-policies", "").wantError(t, 404, "api.unknown", 900308)
	p.publish(t, admin, id)
	if got := as[[]tierDocument](t, p.do(t, "", "GET "+store+"/apis/"+id+"/subscription-policies", ""), http.StatusOK); len(got) != 2 || got[0].Name != "Gold" {
		t.Errorf("tiers of the API: %+v", got)
	}
}
