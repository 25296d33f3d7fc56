package integration

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-api/sluice/internal/client"
)

// A gateway that does not answer keeps a revision off all gateways: what was served
// goes on being served everywhere. When it answers again, the same deployment goes
// through (CONTRACT 5-5).
func TestPublishingIsAllOrNothing(t *testing.T) {
	if !namespace(t) {
		return
	}
	s := &story{ip: "localhost"}
	s.editHomes(t)
	s.startAll(t, []int{0, 1, 2})
	s.importAPI(t)
	both := []client.Deployment{{Environment: "Production Gateway", Store: true}, {Environment: "Sandbox Gateway", Store: true}}
	first, err := s.rest.CreateRevision(t.Context(), s.apiID, "first")
	if err != nil {
		t.Fatal(err)
	}
	s.revisionID = first.ID
	s.deploy(t, "Production Gateway", "Sandbox Gateway")
	second, err := s.rest.CreateRevision(t.Context(), s.apiID, "second")
	if err != nil {
		t.Fatal(err)
	}

	sandbox := s.instances[2].cmd.Process
	if err := sandbox.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	_, err = s.rest.Deploy(t.Context(), s.apiID, second.ID, both)
	if resume := sandbox.Signal(syscall.SIGCONT); resume != nil {
		t.Fatal(resume)
	}
	if err == nil || !strings.Contains(err.Error(), "silent for 3 seconds") {
		t.Errorf("deployed though a gateway is silent: %v", err)
	}
	deployed, err := s.rest.Deployments(t.Context(), s.apiID)
	if err != nil || len(deployed) != 2 {
		t.Fatalf("deployments = %+v, %v", deployed, err)
	}
	for _, d := range deployed {
		if d.RevisionID != first.ID {
			t.Errorf("%s shall serve %s, want the first revision still", d.Environment, d.RevisionID)
		}
	}
	s.call.want(t, s.gateway(1, "/status"), "", http.StatusOK, "production")

	s.revisionID = second.ID
	eventually(t, "the gateway that was silent is heard again", func() error { return healthy(t, 2) })
	s.deploy(t, "Production Gateway", "Sandbox Gateway")
	s.call.want(t, s.gateway(2, "/status"), "", http.StatusOK, "sandbox")
}
