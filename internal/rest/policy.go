package rest

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// Throttling policies are what administrators call tiers, of whatever level.

// policyDocument is a tier as administrators see it. What a level does not have
// is left out.
type policyDocument struct {
	ID          string       `json:"policyId"`
	Name        string       `json:"policyName"`
	DisplayName string       `json:"displayName"`
	Description string       `json:"description"`
	Deployed    bool         `json:"isDeployed"`
	Type        string       `json:"type"`
	Limit       policyLimit  `json:"defaultLimit"`
	Burst       *policyBurst `json:"burstLimit,omitempty"`        // of application policies
	Conditions  *[]struct{}  `json:"conditionalGroups,omitempty"` // of advanced policies: none
	*policyPlan              // of subscription policies
}

// policyPlan is what only subscription policies have.
type policyPlan struct {
	policyBurst
	StopOnQuota bool               `json:"stopOnQuotaReach"`
	BillingPlan string             `json:"billingPlan"`
	Attributes  []policyAttribute  `json:"customAttributes"`
	Permission  *policyPermissions `json:"permissions"`
}

type policyLimit struct {
	Type     string       `json:"type"`
	Requests *policyCount `json:"requestCount"`
}

type policyCount struct {
	TimeUnit string `json:"timeUnit"`
	UnitTime int64  `json:"unitTime"`
	Requests int64  `json:"requestCount"`
}

type policyBurst struct {
	Count int    `json:"rateLimitCount"`
	Unit  string `json:"rateLimitTimeUnit"`
}

type policyAttribute struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type policyPermissions struct {
	Type  string        `json:"permissionType"`
	Roles []sluice.Role `json:"roles"`
}

// policyUnits are the units of time, by their names.
var policyUnits = map[string]time.Duration{"sec": time.Second, "min": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

const countsRequests = "REQUESTCOUNTLIMIT"

func policyOf(t sluice.Tier) policyDocument {
	d := policyDocument{
		ID: t.ID, Name: t.Name, DisplayName: t.DisplayName, Description: t.Description, Deployed: true,
		Limit: policyLimit{Type: countsRequests, Requests: &policyCount{TimeUnit: "min", Requests: math.MaxInt32}}, // no limit
	}
	if t.Limit.Window > 0 {
		unit := timeUnit(t.Limit.Window)
		d.Limit.Requests = &policyCount{unit, int64(t.Limit.Window / policyUnits[unit]), int64(t.Limit.Requests)}
	}
	burst := policyBurst{}
	if t.Limit.Burst > 0 {
		burst = policyBurst{t.Limit.Burst, timeUnit(t.Limit.BurstWindow)}
	}
	switch t.Level {
	case sluice.ApplicationTier:
		d.Type, d.Burst = "ApplicationThrottlePolicy", &burst
	case sluice.APITier:
		d.Type, d.Conditions = "AdvancedThrottlePolicy", &[]struct{}{}
	case sluice.SubscriptionTier:
		d.Type = "SubscriptionThrottlePolicy"
		d.policyPlan = &policyPlan{policyBurst: burst, StopOnQuota: t.StopOnQuota, BillingPlan: t.BillingPlan, Attributes: []policyAttribute{}}
		for _, name := range slices.Sorted(maps.Keys(t.Attributes)) {
			d.Attributes = append(d.Attributes, policyAttribute{name, t.Attributes[name]})
		}
		if p := t.Permission; p != nil {
			d.Permission = &policyPermissions{"ALLOW", p.Roles}
			if p.Deny {
				d.Permission.Type = "DENY"
			}
		}
	}
	return d
}

// policyRequest is a policy in a request, with what is refused.
type policyRequest struct {
	Name        string `json:"policyName"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
	Limit       struct {
		Type     string       `json:"type"`
		Requests *policyCount `json:"requestCount"`
	} `json:"defaultLimit"`
	Burst *policyBurst `json:"burstLimit"`
	policyBurst
	StopOnQuota *bool              `json:"stopOnQuotaReach"`
	BillingPlan string             `json:"billingPlan"`
	Attributes  []policyAttribute  `json:"customAttributes"`
	Permission  *policyPermissions `json:"permissions"`

	Conditions   []json.RawMessage `json:"conditionalGroups"`
	Subscribers  int               `json:"subscriberCount"`
	Complexity   int               `json:"graphQLMaxComplexity"`
	Depth        int               `json:"graphQLMaxDepth"`
	Monetization *struct {
		Plan string `json:"monetizationPlan"`
	} `json:"monetization"`
}

// readPolicy reads a policy of a level from a request's body. Every problem of its
// form is reported; whether its values are right, control says.
func readPolicy(r *http.Request, level sluice.TierLevel) (sluice.Tier, error) {
	var q policyRequest
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return sluice.Tier{}, err
	}
	t := sluice.Tier{
		Level: level, Name: q.Name, DisplayName: q.DisplayName, Description: q.Description, BillingPlan: "FREE", StopOnQuota: true,
	}
	var p sluice.Problems
	q.refuse(&p)
	switch {
	case q.Limit.Type != countsRequests:
		p.Add("defaultLimit", "tier.limit_type", "The type of a limit is REQUESTCOUNTLIMIT: gateways count requests, not bandwidth, events or tokens.")
	case q.Limit.Requests == nil:
		p.Add("defaultLimit", "tier.limit", "A limit needs its requestCount.")
	case q.Limit.Requests.Requests == math.MaxInt32 && q.Limit.Requests.UnitTime == 0: // as it is read
	default:
		c := q.Limit.Requests
		unit, known := policyUnits[c.TimeUnit]
		if !known || c.UnitTime < 1 || c.UnitTime > math.MaxInt32 || c.Requests < 1 || c.Requests > math.MaxInt32 {
			p.Add("defaultLimit", "tier.limit", "A limit is a number of requests and of units of time, both above 0; the units are sec, min, hour and day.")
			break
		}
		t.Limit.Requests, t.Limit.Window = int(c.Requests), time.Duration(min(c.UnitTime, math.MaxInt64/int64(unit)))*unit
	}
	burst := q.policyBurst
	if q.Burst != nil {
		burst = *q.Burst
	}
	if burst.Count > 0 {
		unit, known := policyUnits[burst.Unit]
		if !known {
			p.Add("rateLimitTimeUnit", "tier.burst", "The unit of a burst is sec, min, hour or day.")
		}
		t.Limit.Burst, t.Limit.BurstWindow = burst.Count, unit
	}
	if level == sluice.SubscriptionTier {
		q.plan(&t, &p)
	}
	return t, p.Err()
}

// refuse reports what Sluice does not have and a policy asks for.
func (q *policyRequest) refuse(p *sluice.Problems) {
	no := func(asked bool, field, text string) {
		if asked {
			p.Add(field, "tier.unsupported", "%s", text)
		}
	}
	no(len(q.Conditions) > 0, "conditionalGroups", "Conditional groups are not supported; a policy has one limit.")
	no(q.Subscribers > 0, "subscriberCount", "The number of subscriptions of a policy cannot be limited.")
	no(q.Complexity > 0 || q.Depth > 0, "graphQLMaxComplexity", "There are no GraphQL APIs whose queries could be limited.")
	no(q.Monetization != nil && q.Monetization.Plan != "", "monetization", "Monetization is not supported.")
}

// plan reads what only subscription policies have.
func (q *policyRequest) plan(t *sluice.Tier, p *sluice.Problems) {
	if q.BillingPlan != "" {
		t.BillingPlan = q.BillingPlan
	}
	if q.StopOnQuota != nil {
		t.StopOnQuota = *q.StopOnQuota
	}
	for _, a := range q.Attributes {
		if t.Attributes == nil {
			t.Attributes = map[string]string{}
		}
		if _, twice := t.Attributes[a.Name]; twice {
			p.Add("customAttributes", "tier.attributes", "An attribute is there twice.")
		}
		t.Attributes[a.Name] = a.Value
	}
	if q.Permission == nil {
		return
	}
	t.Permission = &sluice.TierPermission{Roles: q.Permission.Roles}
	switch strings.ToUpper(q.Permission.Type) {
	case "ALLOW":
	case "DENY":
		t.Permission.Deny = true
	default:
		p.Add("permissions", "tier.permission", "The type of permissions is ALLOW or DENY.")
	}
}

// policyLevels are the levels by their segment of the path.
var policyLevels = map[string]sluice.TierLevel{
	"application": sluice.ApplicationTier, "subscription": sluice.SubscriptionTier, "advanced": sluice.APITier,
}

// policyLevel returns the segment of a request's path that names the level, and
// the level.
func policyLevel(r *http.Request) (string, sluice.TierLevel) {
	segment := r.PathValue("policyLevel")
	return segment, policyLevels[segment]
}

// atLevel serves the operations of one level of policies.
func atLevel(segment string, handle web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		r.SetPathValue("policyLevel", segment)
		return handle(w, r)
	}
}

func (s *Server) listPolicies(w http.ResponseWriter, r *http.Request) error {
	_, level := policyLevel(r)
	found, err := s.plane.TierSettings(r.Context(), level)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(found, policyOf), nil))
}

func (s *Server) getPolicy(w http.ResponseWriter, r *http.Request) error {
	_, level := policyLevel(r)
	t, err := s.plane.TierSetting(r.Context(), level, r.PathValue("policyId"))
	if err != nil {
		return err
	}
	return tagged(w, r, t.RowVersion, policyOf(t))
}

func (s *Server) createPolicy(w http.ResponseWriter, r *http.Request) error {
	segment, level := policyLevel(r)
	t, err := readPolicy(r, level)
	if err != nil {
		return err
	}
	if err := s.plane.CreateTier(r.Context(), &t); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(t.RowVersion))
	return created(w, r, "/throttling/policies/"+segment+"/"+t.ID, policyOf(t))
}

func (s *Server) putPolicy(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	_, level := policyLevel(r)
	t, err := readPolicy(r, level)
	if err != nil {
		return err
	}
	t.ID = r.PathValue("policyId")
	if err := s.plane.PutTier(r.Context(), &t, version); err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(t.RowVersion))
	return answer(w, http.StatusOK, policyOf(t))
}

func (s *Server) deletePolicy(_ http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	_, level := policyLevel(r)
	return s.plane.DeleteTier(r.Context(), level, r.PathValue("policyId"), version)
}

// policyDetails is a policy in a search. Number is its place among those that
// exist, the oldest first.
type policyDetails struct {
	Number      int    `json:"policyId"`
	ID          string `json:"uuid"`
	Name        string `json:"policyName"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
	Deployed    bool   `json:"isDeployed"`
	Type        string `json:"type"`
}

// policyTypes are the levels by their names in a search.
var policyTypes = map[string]sluice.TierLevel{
	"app": sluice.ApplicationTier, "sub": sluice.SubscriptionTier, "api": sluice.APITier,
}

// searchPolicies answers with the policies of a type, and of a name where the
// parameter query has one: "type:sub name:Gold".
func (s *Server) searchPolicies(w http.ResponseWriter, r *http.Request) error {
	kind, name := "all", ""
	for term := range strings.FieldsSeq(r.URL.Query().Get("query")) {
		switch attribute, value, _ := strings.Cut(term, ":"); attribute {
		case "type":
			kind = value
		case "name":
			name = value
		default:
			return badQuery("Policies are searched by type (app, sub, api, global or all) and name: type:sub name:Gold.")
		}
	}
	if _, known := policyTypes[kind]; !known && kind != "all" && kind != "global" {
		return badQuery("The types of policies are app, sub, api, global and all.")
	}
	tiers, err := s.plane.TierSettings(r.Context(), "")
	if err != nil {
		return err
	}
	slices.SortFunc(tiers, func(a, b sluice.Tier) int { return strings.Compare(a.ID, b.ID) }) // ids sort by age
	found := []policyDetails{}
	for i, t := range tiers {
		for short, level := range policyTypes {
			if t.Level == level && (kind == "all" || kind == short) && (name == "" || name == t.Name) {
				found = append(found, policyDetails{i + 1, t.ID, t.Name, t.DisplayName, t.Description, true, short})
			}
		}
	}
	return answer(w, http.StatusOK, listOf(found, nil))
}
