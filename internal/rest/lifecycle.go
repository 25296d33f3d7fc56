package rest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/control"
	"github.com/sluice-api/sluice/internal/web"
)

// workflowAnswer is the outcome of a lifecycle action. No workflow waits for a
// person, so it is always approved.
type workflowAnswer struct {
	Status    string         `json:"workflowStatus"`
	Payload   string         `json:"jsonPayload"`
	Lifecycle lifecycleState `json:"lifecycleState"`
}

type lifecycleState struct {
	State       string                `json:"state"`
	CheckItems  []checkItem           `json:"checkItems"`
	Transitions []availableTransition `json:"availableTransitions"`
}

// checkItem is something that publishing may do to older versions; Value is
// what happens where a request does not say.
type checkItem struct {
	Name     string   `json:"name"`
	Value    bool     `json:"value"`
	Required []string `json:"requiredStates"`
}

type availableTransition struct {
	Event  string `json:"event"`
	Target string `json:"targetState"`
}

func lifecycleStateOf(s control.LifecycleStatus) lifecycleState {
	out := lifecycleState{State: titleOf(s.API.State), CheckItems: []checkItem{}, Transitions: []availableTransition{}}
	for _, c := range s.Checks {
		out.CheckItems = append(out.CheckItems, checkItem{Name: string(c), Required: []string{}})
	}
	for _, m := range s.API.State.Moves() {
		out.Transitions = append(out.Transitions, availableTransition{m.Event, titleOf(m.To)})
	}
	return out
}

func (s *Server) getLifecycleState(w http.ResponseWriter, r *http.Request) error {
	status, err := s.plane.Lifecycle(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	return tagged(w, r, status.API.RowVersion, lifecycleStateOf(status))
}

// lifecycleChange is one entry of the history.
type lifecycleChange struct {
	From string `json:"previousState"`
	To   string `json:"postState"`
	User string `json:"user"`
	At   string `json:"updatedTime"`
}

func (s *Server) getLifecycleHistory(w http.ResponseWriter, r *http.Request) error {
	history, err := s.plane.LifecycleHistory(r.Context(), r.PathValue("apiId"))
	if err != nil {
		return err
	}
	shown := mapped(history, func(c sluice.LifecycleChange) lifecycleChange {
		return lifecycleChange{From: titleOf(c.From), To: titleOf(c.To), User: c.Actor, At: stamp(c.At)}
	})
	return tagged(w, r, int64(len(shown)), listOf(shown, nil)) // a history only grows
}

// changeLifecycle moves an API by one event. The body is not read: clients send
// an empty one with a JSON content type. The payload of the answer counts whom
// the move concerned.
func (s *Server) changeLifecycle(w http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "apiId")
	if err != nil {
		return err
	}
	action, err := required(r, "action")
	if err != nil {
		return err
	}
	checks, err := checksOf(r.URL.Query().Get("lifecycleChecklist"))
	if err != nil {
		return err
	}
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	before, err := s.plane.Lifecycle(r.Context(), id)
	if err != nil {
		return err
	}
	if _, err := s.plane.ChangeLifecycle(r.Context(), id, action, version, checks...); err != nil {
		return err
	}
	status, err := s.plane.Lifecycle(r.Context(), id)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", web.ETag(status.API.RowVersion))
	payload := fmt.Sprintf(`{"subscriptions":%d,"gateways":%d}`, before.Subscriptions, before.Gateways)
	return answer(w, http.StatusOK, workflowAnswer{Status: "APPROVED", Payload: payload, Lifecycle: lifecycleStateOf(status)})
}

// checkNames are the check items as people call them here, and as WSO2's
// clients do.
var checkNames = map[string]control.LifecycleCheck{
	"deprecate old versions":                           control.DeprecateOldVersions,
	"deprecate old versions after publishing the api":  control.DeprecateOldVersions,
	"require re-subscription":                          control.RequireReSubscription,
	"requires re-subscription when publishing the api": control.RequireReSubscription,
}

// checksOf reads "name:true,name:false".
func checksOf(list string) (checks []control.LifecycleCheck, err error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	for item := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, _ := strings.Cut(item, ":")
		check, known := checkNames[strings.ToLower(strings.TrimSpace(name))]
		value = strings.ToLower(strings.TrimSpace(value))
		if !known || value != "true" && value != "false" {
			return nil, sluice.Errorf(sluice.Invalid, "lifecycle.checklist", "The checklist is of the form name:true,name:false; its items are %s and %s.",
				control.DeprecateOldVersions, control.RequireReSubscription).At("lifecycleChecklist")
		}
		if value == "true" {
			checks = append(checks, check)
		}
	}
	return checks, nil
}

// titleOf writes a lifecycle state as WSO2's lifecycle does: "Published".
func titleOf(l sluice.Lifecycle) string {
	if l == "" {
		return ""
	}
	return string(l[:1]) + strings.ToLower(string(l[1:]))
}
