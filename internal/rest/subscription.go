package rest

import (
	"errors"
	"net/http"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/web"
)

// subscriptionDocument is a subscription, with what is subscribed and by whom.
type subscriptionDocument struct {
	ID            string           `json:"subscriptionId,omitempty"`
	ApplicationID string           `json:"applicationId"`
	APIID         string           `json:"apiId"`
	API           *storeInfo       `json:"apiInfo,omitempty"` // nil: the Store hides it now
	Application   *applicationInfo `json:"applicationInfo,omitempty"`
	Tier          string           `json:"throttlingPolicy"`
	RequestedTier string           `json:"requestedThrottlingPolicy"`
	Status        string           `json:"status"`
}

// subscriptionsOf makes the documents of subscriptions. Each API and application
// is read once.
func (s *Server) subscriptionsOf(r *http.Request, found []sluice.Subscription) ([]subscriptionDocument, error) {
	apis, applications := map[string]*storeInfo{}, map[string]*applicationInfo{}
	list := make([]subscriptionDocument, 0, len(found))
	for _, sub := range found {
		if _, read := apis[sub.APIID]; !read {
			a, err := s.plane.StoreAPI(r.Context(), sub.APIID)
			switch {
			case err == nil:
				look, err := s.impressionOf(r.Context(), a.API)
				if err != nil {
					return nil, err
				}
				info := storeInfoOf(&a.API, look)
				apis[sub.APIID] = &info
			case sluice.IsNotFound(err):
				apis[sub.APIID] = nil
			default:
				return nil, err
			}
		}
		if _, read := applications[sub.ApplicationID]; !read {
			a, err := s.plane.Application(r.Context(), sub.ApplicationID)
			if err != nil {
				return nil, err
			}
			info := applicationInfoOf(&a, 0)
			applications[sub.ApplicationID] = &info
		}
		list = append(list, subscriptionDocument{
			ID: sub.ID, ApplicationID: sub.ApplicationID, APIID: sub.APIID, API: apis[sub.APIID],
			Application: applications[sub.ApplicationID], Tier: sub.Tier, RequestedTier: sub.Tier, Status: string(sub.State),
		})
	}
	return list, nil
}

func (s *Server) listSubscriptions(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	apiID, applicationID := r.URL.Query().Get("apiId"), r.URL.Query().Get("applicationId")
	if apiID == "" && applicationID == "" {
		return sluice.Errorf(sluice.Invalid, "parameter.missing", "The parameter apiId or applicationId is needed.").At("applicationId")
	}
	found, total, err := s.plane.Subscriptions(r.Context(), applicationID, apiID, page)
	if err != nil {
		return err
	}
	shown, err := s.subscriptionsOf(r, found)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listOf(shown, paginate(r, page, total)))
}

func (s *Server) createSubscription(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		ApplicationID string `json:"applicationId"`
		APIID         string `json:"apiId"`
		Tier          string `json:"throttlingPolicy"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	sub, err := s.plane.Subscribe(r.Context(), q.ApplicationID, q.APIID, q.Tier)
	if err != nil {
		return err
	}
	shown, err := s.subscriptionsOf(r, []sluice.Subscription{sub})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(sub.RowVersion))
	return created(w, r, "/subscriptions/"+sub.ID, shown[0])
}

// putSubscription changes the tier: to the requested one where that is another,
// else to the one given.
func (s *Server) putSubscription(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	var q struct {
		ApplicationID string `json:"applicationId"`
		APIID         string `json:"apiId"`
		Tier          string `json:"throttlingPolicy"`
		RequestedTier string `json:"requestedThrottlingPolicy"`
	}
	if err := web.ReadJSON(r, maxJSON, &q); err != nil {
		return err
	}
	sub, err := s.plane.Subscription(r.Context(), r.PathValue("subscriptionId"))
	if err != nil {
		return err
	}
	if q.ApplicationID != "" && q.ApplicationID != sub.ApplicationID || q.APIID != "" && q.APIID != sub.APIID {
		return sluice.Errorf(sluice.Invalid, "subscription.moved", "A subscription keeps its application and its API.").At("apiId")
	}
	if q.RequestedTier != "" && q.RequestedTier != sub.Tier {
		q.Tier = q.RequestedTier
	}
	if sub, err = s.plane.ChangeTier(r.Context(), sub.ID, q.Tier, version); err != nil {
		return err
	}
	shown, err := s.subscriptionsOf(r, []sluice.Subscription{sub})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(sub.RowVersion))
	return answer(w, http.StatusOK, shown[0])
}

// maxSubscriptions is how many subscriptions one request may ask for.
const maxSubscriptions = 100

// createSubscriptions judges each request on its own. The answer has one element
// for each, in their order; one that was refused has no id and is REJECTED. Where
// all were refused that is an error, with every reason.
func (s *Server) createSubscriptions(w http.ResponseWriter, r *http.Request) error {
	var asked []struct {
		ApplicationID string `json:"applicationId"`
		APIID         string `json:"apiId"`
		Tier          string `json:"throttlingPolicy"`
	}
	if err := web.ReadJSON(r, maxJSON, &asked); err != nil {
		return err
	}
	if len(asked) == 0 || len(asked) > maxSubscriptions {
		return sluice.Errorf(sluice.Invalid, "subscription.count", "Ask for 1 to %d subscriptions.", maxSubscriptions)
	}
	list := make([]subscriptionDocument, len(asked))
	var refusals []*sluice.Error
	for i, q := range asked {
		sub, err := s.plane.Subscribe(r.Context(), q.ApplicationID, q.APIID, q.Tier)
		if refusal, ok := errors.AsType[*sluice.Error](err); ok && refusal.Kind != sluice.Unavailable {
			refusals = append(refusals, refusal)
			list[i] = subscriptionDocument{
				ApplicationID: q.ApplicationID, APIID: q.APIID, Tier: q.Tier, RequestedTier: q.Tier, Status: string(sluice.Rejected),
			}
			continue
		}
		if err != nil {
			return err
		}
		shown, err := s.subscriptionsOf(r, []sluice.Subscription{sub})
		if err != nil {
			return err
		}
		list[i] = shown[0]
	}
	if len(refusals) == len(asked) {
		all := *refusals[0]
		if len(refusals) > 1 {
			all.Problems = refusals
		}
		return &all
	}
	return answer(w, http.StatusOK, list)
}

func (s *Server) getSubscription(w http.ResponseWriter, r *http.Request) error {
	sub, err := s.plane.Subscription(r.Context(), r.PathValue("subscriptionId"))
	if err != nil {
		return err
	}
	shown, err := s.subscriptionsOf(r, []sluice.Subscription{sub})
	if err != nil {
		return err
	}
	return tagged(w, r, sub.RowVersion, shown[0])
}

func (s *Server) deleteSubscription(w http.ResponseWriter, r *http.Request) error {
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	id := r.PathValue("subscriptionId")
	sub, err := s.plane.Subscription(r.Context(), id)
	if err != nil {
		return err
	}
	if version != 0 && version != sub.RowVersion {
		return sluice.Errorf(sluice.Changed, "changed", "Somebody else changed the subscription in the meantime; read it again.")
	}
	return s.plane.Unsubscribe(r.Context(), id)
}

// publisherSubscription is a subscription as those see it whose API it is to.
type publisherSubscription struct {
	ID          string `json:"subscriptionId"`
	Application struct {
		ID          string `json:"applicationId"`
		Name        string `json:"name"`
		Subscriber  string `json:"subscriber"`
		Description string `json:"description"`
	} `json:"applicationInfo"`
	Tier   string `json:"throttlingPolicy"`
	Status string `json:"subscriptionStatus"`
}

func (s *Server) listPublisherSubscriptions(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("query") != "" {
		return badQuery("Subscriptions are found by apiId alone.")
	}
	found, applications, total, err := s.plane.PublisherSubscriptions(r.Context(), r.URL.Query().Get("apiId"), page)
	if err != nil {
		return err
	}
	shown := make([]publisherSubscription, len(found))
	for i, sub := range found {
		shown[i] = publisherSubscription{ID: sub.ID, Tier: sub.Tier, Status: string(sub.State)}
		a, to := applications[i], &shown[i].Application
		to.ID, to.Name, to.Subscriber, to.Description = a.ID, a.Name, a.Owner, a.Description
	}
	return answer(w, http.StatusOK, listOf(shown, paginate(r, page, total)))
}

func (s *Server) blockSubscription(_ http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "subscriptionId")
	if err != nil {
		return err
	}
	state, err := required(r, "blockState")
	if err != nil {
		return err
	}
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.BlockSubscription(r.Context(), id, sluice.SubscriptionState(state), version)
}

func (s *Server) unblockSubscription(_ http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "subscriptionId")
	if err != nil {
		return err
	}
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	return s.plane.UnblockSubscription(r.Context(), id, version)
}
