package rest

import (
	"net/http"
	"strings"

	"github.com/sluice-api/sluice"
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
	CheckItems  []string              `json:"checkItems"` // there are none
	Transitions []availableTransition `json:"availableTransitions"`
}

type availableTransition struct {
	Event  string `json:"event"`
	Target string `json:"targetState"`
}

// changeLifecycle moves an API by one event. The body is not read: clients send
// an empty one with a JSON content type.
func (s *Server) changeLifecycle(w http.ResponseWriter, r *http.Request) error {
	id, err := required(r, "apiId")
	if err != nil {
		return err
	}
	action, err := required(r, "action")
	if err != nil {
		return err
	}
	if err := checkChecklist(r.URL.Query().Get("lifecycleChecklist")); err != nil {
		return err
	}
	version, err := web.IfMatch(r)
	if err != nil {
		return err
	}
	a, err := s.plane.ChangeLifecycle(r.Context(), id, action, version)
	if err != nil {
		return err
	}
	state := lifecycleState{State: titleOf(a.State), CheckItems: []string{}, Transitions: []availableTransition{}}
	for _, m := range a.State.Moves() {
		state.Transitions = append(state.Transitions, availableTransition{m.Event, titleOf(m.To)})
	}
	w.Header().Set("ETag", web.ETag(a.RowVersion))
	return answer(w, http.StatusOK, workflowAnswer{Status: "APPROVED", Lifecycle: state})
}

// checkChecklist refuses check items that ask for something: "name:true,…".
func checkChecklist(list string) error {
	for item := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(item, ":")
		switch strings.ToLower(strings.TrimSpace(value)) {
		case "", "false":
			if strings.TrimSpace(name) == "" || value != "" {
				continue
			}
		case "true":
			return sluice.Errorf(sluice.Invalid, "lifecycle.checklist", "Older versions are not deprecated, and subscriptions not copied, by a check item; leave it out.").At("lifecycleChecklist")
		}
		return sluice.Errorf(sluice.Invalid, "lifecycle.checklist", "The checklist is of the form name:true,name:false.").At("lifecycleChecklist")
	}
	return nil
}

// titleOf writes a lifecycle state as WSO2's lifecycle does: "Published".
func titleOf(l sluice.Lifecycle) string { return string(l[:1]) + strings.ToLower(string(l[1:])) }
