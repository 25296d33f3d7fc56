package rest

import (
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/sluice-api/sluice"
)

// tierDocument is a tier as subscribers see it.
type tierDocument struct {
	Name          string            `json:"name"`
	DisplayName   string            `json:"displayName"`
	Description   string            `json:"description"`
	Level         string            `json:"policyLevel"`
	Attributes    map[string]string `json:"attributes"`
	Requests      int               `json:"requestCount"`
	UnitTime      int64             `json:"unitTime"` // milliseconds
	TimeUnit      string            `json:"timeUnit"`
	RateLimit     int               `json:"rateLimitCount"`
	RateLimitUnit string            `json:"rateLimitTimeUnit"`
	QuotaType     string            `json:"quotaPolicyType"`
	BillingPlan   string            `json:"tierPlan"`
	StopOnReached bool              `json:"stopOnQuotaReach"`
}

func tierOf(t sluice.Tier) tierDocument {
	d := tierDocument{
		Name: t.Name, DisplayName: t.DisplayName, Description: t.Description, Level: string(t.Level),
		Attributes: attributesOf(t.Attributes), Requests: t.Limit.Requests, UnitTime: t.Limit.Window.Milliseconds(),
		TimeUnit: timeUnit(t.Limit.Window), QuotaType: "REQUESTCOUNT", BillingPlan: t.BillingPlan, StopOnReached: t.StopOnQuota,
	}
	if t.Limit.Burst > 0 {
		d.RateLimit, d.RateLimitUnit = t.Limit.Burst, timeUnit(t.Limit.BurstWindow)
	}
	if t.Limit.Window == 0 {
		d.Requests = math.MaxInt32 // how WSO2 writes that there is no limit
	}
	return d
}

// timeUnit names the largest unit that a window is a multiple of.
func timeUnit(window time.Duration) string {
	switch {
	case window%(24*time.Hour) == 0 && window > 0:
		return "day"
	case window%time.Hour == 0 && window > 0:
		return "hour"
	case window%time.Minute == 0:
		return "min"
	}
	return "sec"
}

// storeLevel reads the level of a request in the Store.
func storeLevel(r *http.Request) (sluice.TierLevel, error) {
	level := sluice.TierLevel(r.PathValue("policyLevel"))
	if level != sluice.ApplicationTier && level != sluice.SubscriptionTier {
		return "", sluice.Errorf(sluice.NotFound, "tier.unknown", "The levels of policies are application and subscription.").At("policyLevel")
	}
	return level, nil
}

func (s *Server) listTiers(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	level, err := storeLevel(r)
	if err != nil {
		return err
	}
	found, err := s.plane.Tiers(r.Context(), level)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), tierOf), paginate(r, page, len(found))))
}

// publisherTiers returns the tiers of the level that a request names.
func (s *Server) publisherTiers(r *http.Request) ([]sluice.Tier, error) {
	level := sluice.TierLevel(r.PathValue("policyLevel"))
	if level != sluice.APITier && level != sluice.SubscriptionTier {
		return nil, sluice.Errorf(sluice.NotFound, "tier.unknown", "The levels of policies are api and subscription.").At("policyLevel")
	}
	return s.plane.Tiers(r.Context(), level)
}

func (s *Server) listPublisherTiers(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	found, err := s.publisherTiers(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(mapped(cut(found, page), tierOf), paginate(r, page, len(found))))
}

func (s *Server) getPublisherTier(w http.ResponseWriter, r *http.Request) error {
	found, err := s.publisherTiers(r)
	if err != nil {
		return err
	}
	for _, t := range found {
		if t.Name == r.PathValue("policyName") {
			return answer(w, http.StatusOK, tierOf(t))
		}
	}
	return sluice.Errorf(sluice.NotFound, "tier.unknown", "There is no such policy.").At("policyName")
}

// listAPITiers answers with the subscription tiers of an API, in its order, as a
// bare array.
func (s *Server) listAPITiers(w http.ResponseWriter, r *http.Request) error {
	a, _, err := s.plane.API(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	found, err := s.plane.Tiers(r.Context(), sluice.SubscriptionTier)
	if err != nil {
		return err
	}
	list := []tierDocument{}
	for _, name := range a.Tiers {
		if i := slices.IndexFunc(found, func(t sluice.Tier) bool { return t.Name == name }); i >= 0 {
			list = append(list, tierOf(found[i]))
		}
	}
	return tagged(w, r, a.RowVersion, list)
}

// getTier answers for a name and for an id.
func (s *Server) getTier(w http.ResponseWriter, r *http.Request) error {
	level, err := storeLevel(r)
	if err != nil {
		return err
	}
	t, err := s.plane.Tier(r.Context(), level, r.PathValue("policyId"))
	if err != nil {
		return err
	}
	return tagged(w, r, t.RowVersion, tierOf(t))
}

// listStoreAPITiers answers with the tiers that the caller may subscribe to an API
// with, in the API's order.
func (s *Server) listStoreAPITiers(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.SubscriptionTiers(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, mapped(found, tierOf))
}
