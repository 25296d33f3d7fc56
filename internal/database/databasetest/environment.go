package databasetest

import (
	"errors"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

func newEnvironment(id, name string) *sluice.Environment {
	return &sluice.Environment{
		ID: id, Name: name, Type: sluice.HybridEnvironment, Description: "serves both",
		Vhosts:  []sluice.Vhost{{Host: "gw.example.com", HTTPPort: 8280, HTTPSPort: 8243}, {Host: "api.example.com", Context: "/x"}},
		Console: true, Configured: true, Epoch: 1, CreatedAt: start(),
	}
}

func addEnvironment(id, name string) func(tx *database.Tx) error {
	return func(tx *database.Tx) error { return tx.AddEnvironment(newEnvironment(id, name)) }
}

func testEnvironments(t *testing.T, db *database.DB) {
	production, sandbox, later := newEnvironment("e1", "Production Gateway"), newEnvironment("e2", "Sandbox"), newEnvironment("e3", "Ärger")
	sandbox.Position, sandbox.Vhosts, sandbox.Console = -1, nil, false
	later.CreatedAt = start().Add(time.Second)
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddEnvironment(later), tx.AddEnvironment(production), tx.AddEnvironment(sandbox))
	})
	same(t, "Environments", read(t, db, (*database.Tx).Environments), []sluice.Environment{*sandbox, *production, *later})
	same(t, "EnvironmentByName", read(t, db, func(tx *database.Tx) (sluice.Environment, error) {
		return tx.EnvironmentByName("PRODUCTION gateway")
	}), *production)
	refused(t, db, sluice.Conflict, "environment.taken", addEnvironment("e4", "ärger"))

	sandbox.Name, sandbox.Type, sandbox.Epoch, sandbox.Generation = "Test", sluice.SandboxEnvironment, 2, 99
	sandbox.Configured, sandbox.Dropped, sandbox.DisplayName, sandbox.Provider = false, true, "For tries", "somebody"
	sandbox.Properties = []sluice.Property{{Name: "region", Value: "north"}}
	sandbox.Permissions = sluice.EnvironmentPermissions{Type: sluice.DenyRoles, Roles: []string{"guests"}}
	update(t, db, func(tx *database.Tx) error { return tx.PutEnvironment(sandbox) })
	sandbox.Generation = 0 // only Emit changes it
	same(t, "Environment after Put", read(t, db, func(tx *database.Tx) (sluice.Environment, error) { return tx.Environment("e2") }), *sandbox)
	same(t, "Environments, the configured ones first", read(t, db, (*database.Tx).Environments), []sluice.Environment{*production, *later, *sandbox})
	sandbox.Name = "PRODUCTION GATEWAY"
	refused(t, db, sluice.Conflict, "environment.taken", func(tx *database.Tx) error { return tx.PutEnvironment(sandbox) })

	all(t, db, addAPI("a1", "weather"), func(tx *database.Tx) error {
		return errors.Join(
			tx.AddGateway(newGateway("g1", "e1", "UKEY1")),
			tx.AddEnrolmentToken(newEnrolmentToken("t1", "e1")),
			tx.Emit(sluice.Event{EnvironmentID: "e1", Kind: sluice.TierChanged}),
			tx.AddRevision(newRevision("r1", newAPI("a1", "weather"))),
			tx.PutDeployment(&sluice.Deployment{APIID: "a1", EnvironmentID: "e1", RevisionID: "r1"}),
		)
	})
	refused(t, db, sluice.Conflict, "environment.in_use", func(tx *database.Tx) error { return tx.DeleteEnvironment("e1") })
	refused(t, db, sluice.Conflict, "revision.deployed", func(tx *database.Tx) error { return tx.DeleteRevision("a1", "r1") })
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.DeleteDeployment("a1", "e1"), tx.DeleteEnvironment("e1"))
	})
	same(t, "gateways", len(read(t, db, func(tx *database.Tx) ([]sluice.Gateway, error) { return tx.Gateways("") })), 0)
	same(t, "enrolment tokens", len(read(t, db, (*database.Tx).EnrolmentTokens)), 0)
	same(t, "events", len(read(t, db, func(tx *database.Tx) ([]sluice.Event, error) { return tx.Events(0, 0) })), 0)
}

func newGateway(id, environmentID, key string) *sluice.Gateway {
	return &sluice.Gateway{
		ID: id, EnvironmentID: environmentID, Name: "gw " + id, PublicKey: key, Address: "10.0.0.1:9444", ServerURL: "https://10.0.0.1:9444/services/",
		Version: "1.0.0", EnrolledAt: start(),
	}
}

func testGateways(t *testing.T, db *database.DB) {
	one, two, three := newGateway("g1", "e1", "UKEY1"), newGateway("g2", "e2", "UKEY2"), newGateway("g3", "e1", "UKEY3")
	three.Name = "a gateway"
	all(t, db, addEnvironment("e1", "one"), addEnvironment("e2", "two"), func(tx *database.Tx) error {
		return errors.Join(tx.AddGateway(one), tx.AddGateway(two), tx.AddGateway(three))
	})
	gateways := func(environmentID string) []sluice.Gateway {
		return read(t, db, func(tx *database.Tx) ([]sluice.Gateway, error) { return tx.Gateways(environmentID) })
	}
	same(t, "Gateway", read(t, db, func(tx *database.Tx) (sluice.Gateway, error) { return tx.Gateway("g1") }), *one)
	same(t, "GatewayByKey", read(t, db, func(tx *database.Tx) (sluice.Gateway, error) { return tx.GatewayByKey("UKEY2") }), *two)
	same(t, "Gateways of one environment", gateways("e1"), []sluice.Gateway{*three, *one})
	same(t, "Gateways", gateways(""), []sluice.Gateway{*three, *one, *two})
	refused(t, db, sluice.Conflict, "gateway.exists", func(tx *database.Tx) error { return tx.AddGateway(newGateway("g4", "e2", "UKEY1")) })
	update(t, db, func(tx *database.Tx) error { return tx.DeleteGateway("g1") })
	refused(t, db, sluice.NotFound, "gateway.unknown", func(tx *database.Tx) error { _, err := tx.GatewayByKey("UKEY1"); return err })
}

func newEnrolmentToken(id, environmentID string) *sluice.EnrolmentToken {
	return &sluice.EnrolmentToken{
		ID: id, EnvironmentID: environmentID, Name: "berlin", Hash: "hash of " + id, ServerURL: "https://gw:9444/services/", CreatedBy: "anna",
		CreatedAt: start(), ExpiresAt: start().Add(time.Hour),
	}
}

func testEnrolmentTokens(t *testing.T, db *database.DB) {
	token, late := newEnrolmentToken("t1", "e1"), newEnrolmentToken("t2", "e1")
	late.CreatedAt = start().Add(time.Second)
	all(t, db, addEnvironment("e1", "one"), func(tx *database.Tx) error {
		return errors.Join(tx.AddEnrolmentToken(token), tx.AddEnrolmentToken(late))
	})
	same(t, "EnrolmentTokens", read(t, db, (*database.Tx).EnrolmentTokens), []sluice.EnrolmentToken{*late, *token})
	use := func(hash string, now time.Time) func(tx *database.Tx) error {
		return func(tx *database.Tx) error { _, err := tx.UseEnrolmentToken(hash, now); return err }
	}
	refused(t, db, sluice.Unauthenticated, "enrolment.token", use("another hash", start()))
	refused(t, db, sluice.Unauthenticated, "enrolment.token", use(late.Hash, late.ExpiresAt))
	update(t, db, func(tx *database.Tx) error {
		got, err := tx.UseEnrolmentToken(token.Hash, start().Add(time.Minute))
		token.UsedAt = start().Add(time.Minute)
		same(t, "UseEnrolmentToken", got, *token)
		return err
	})
	refused(t, db, sluice.Unauthenticated, "enrolment.token", use(token.Hash, start().Add(time.Minute)))
	same(t, "EnrolmentToken", read(t, db, func(tx *database.Tx) (sluice.EnrolmentToken, error) { return tx.EnrolmentToken("t1") }), *token)
	update(t, db, func(tx *database.Tx) error { return tx.DeleteEnrolmentToken("t1") })
	same(t, "EnrolmentTokens after Delete", read(t, db, (*database.Tx).EnrolmentTokens), []sluice.EnrolmentToken{*late})
}

func testDeployments(t *testing.T, db *database.DB) {
	live := sluice.Deployment{
		APIID: "a1", EnvironmentID: "e1", RevisionID: "r1", RevisionNumber: 1, Vhost: "gw.example.com", Store: true, Digest: "d1",
		DeployedAt: start(), LiveAt: start().Add(time.Second),
	}
	skipped := sluice.Deployment{APIID: "a1", EnvironmentID: "e2", RevisionID: "r1", RevisionNumber: 1, Skipped: "no sandbox endpoint", DeployedAt: start()}
	first := newEnvironment("e2", "first")
	first.Position = -1
	all(t, db, addEnvironment("e1", "one"), addAPI("a1", "weather"), addAPI("a2", "pizza"), func(tx *database.Tx) error {
		return errors.Join(tx.AddEnvironment(first),
			tx.AddRevision(newRevision("r1", newAPI("a1", "weather"))), tx.AddRevision(newRevision("r2", newAPI("a1", "weather"))),
			tx.PutDeployment(&live), tx.PutDeployment(&skipped))
	})
	deployments := func(apiID string) []sluice.Deployment {
		return read(t, db, func(tx *database.Tx) ([]sluice.Deployment, error) { return tx.Deployments(apiID) })
	}
	same(t, "Deployments", deployments("a1"), []sluice.Deployment{skipped, live})
	same(t, "Deployments of another API", len(deployments("a2")), 0)
	live.RevisionID, live.RevisionNumber, live.Digest, live.LiveAt = "r2", 2, "d2", time.Time{}
	update(t, db, func(tx *database.Tx) error { return tx.PutDeployment(&live) })
	same(t, "EnvironmentDeployments", read(t, db, func(tx *database.Tx) ([]sluice.Deployment, error) {
		return tx.EnvironmentDeployments("e1")
	}), []sluice.Deployment{live})
	update(t, db, func(tx *database.Tx) error { return tx.DeleteDeployment("a1", "e1") })
	same(t, "Deployments after Delete", deployments("a1"), []sluice.Deployment{skipped})
}

func testArtifacts(t *testing.T, db *database.DB) {
	get := func(tx *database.Tx) ([]byte, error) { return tx.Artifact("d1") }
	all(t, db, addEnvironment("e1", "one"), addAPI("a1", "weather"), func(tx *database.Tx) error {
		return errors.Join(tx.PutArtifact("d1", []byte{0, 1, 255}), tx.PutArtifact("d1", []byte("the same digest is the same artifact")), tx.PutArtifact("d2", []byte{}),
			tx.AddRevision(newRevision("r1", newAPI("a1", "weather"))),
			tx.PutDeployment(&sluice.Deployment{APIID: "a1", EnvironmentID: "e1", RevisionID: "r1", Digest: "d1"}))
	})
	same(t, "Artifact", read(t, db, get), []byte{0, 1, 255})
	update(t, db, (*database.Tx).DeleteUnusedArtifacts)
	same(t, "Artifact in use", read(t, db, get), []byte{0, 1, 255})
	refused(t, db, sluice.NotFound, "artifact.unknown", func(tx *database.Tx) error { _, err := tx.Artifact("d2"); return err })
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.DeleteDeployment("a1", "e1"), tx.DeleteUnusedArtifacts())
	})
	refused(t, db, sluice.NotFound, "artifact.unknown", func(tx *database.Tx) error { _, err := get(tx); return err })
}

func testPublications(t *testing.T, db *database.DB) {
	publication := func(id, apiID string, state sluice.PublicationState, after time.Duration) *sluice.Publication {
		return &sluice.Publication{
			ID: id, Organization: org, APIID: apiID, Action: "deploy", Mode: "all", State: state, Reason: "because", RevisionID: "r1", RevisionNumber: 3, Actor: "anna",
			Targets: []sluice.Target{{
				EnvironmentID: "e1", Environment: "Production", Vhost: "gw", Change: "add", State: sluice.Live,
				Gateways: []sluice.TargetGateway{{GatewayID: "g1", Name: "gw1", State: sluice.Live, At: start()}},
			}},
			CreatedAt: start().Add(after), CommittedAt: start().Add(after), FinishedAt: start().Add(after + time.Second),
		}
	}
	one, two, three := publication("p1", "a1", sluice.AllLive, 0), publication("p2", "a1", sluice.Confirming, time.Second), publication("p3", "a2", sluice.Confirming, 2*time.Second)
	foreign := publication("p4", "a1", sluice.Confirming, 3*time.Second)
	foreign.Organization, foreign.Targets, foreign.FinishedAt = "o2", nil, time.Time{}
	update(t, db, func(tx *database.Tx) error {
		return errors.Join(tx.AddPublication(three), tx.AddPublication(two), tx.AddPublication(one), tx.AddPublication(foreign))
	})
	same(t, "Publication", read(t, db, func(tx *database.Tx) (sluice.Publication, error) { return tx.Publication("o2", "p4") }), *foreign)
	refused(t, db, sluice.NotFound, "publication.unknown", func(tx *database.Tx) error { _, err := tx.Publication(org, "p4"); return err })
	for name, test := range map[string]struct {
		apiID, state  string
		offset, limit int
		want          []string
	}{
		"all":                 {want: []string{"p3", "p2", "p1"}},
		"of an API":           {apiID: "a1", want: []string{"p2", "p1"}},
		"in a state":          {state: string(sluice.Confirming), want: []string{"p3", "p2"}},
		"of an API, in state": {apiID: "a1", state: string(sluice.Confirming), want: []string{"p2"}},
		"a page":              {offset: 1, limit: 1, want: []string{"p2"}},
	} {
		list := read(t, db, func(tx *database.Tx) ([]sluice.Publication, error) {
			return tx.Publications(org, test.apiID, test.state, test.offset, test.limit)
		})
		same(t, "Publications: "+name, names(list, func(p sluice.Publication) string { return p.ID }), test.want)
	}
	for name, test := range map[string]struct {
		filter database.PublicationFilter
		want   []string
		total  int
	}{
		"all":                       {database.PublicationFilter{}, []string{"p3", "p2", "p1"}, 3},
		"a page of an API":          {database.PublicationFilter{APIID: "a1", Offset: 1, Limit: 1}, []string{"p1"}, 2},
		"in a state":                {database.PublicationFilter{State: string(sluice.AllLive)}, []string{"p1"}, 1},
		"to an environment":         {database.PublicationFilter{EnvironmentID: "e1"}, []string{"p3", "p2", "p1"}, 3},
		"to another environment":    {database.PublicationFilter{EnvironmentID: "e%"}, nil, 0},
		"from a time, to a time":    {database.PublicationFilter{From: start().Add(time.Second), To: start().Add(2 * time.Second)}, []string{"p2"}, 1},
		"of another organization":   {database.PublicationFilter{Organization: "o2"}, []string{"p4"}, 1},
		"of nobody's organization":  {database.PublicationFilter{Organization: "o3"}, nil, 0},
		"to an environment, theirs": {database.PublicationFilter{Organization: "o2", EnvironmentID: "e1"}, nil, 0},
	} {
		if test.filter.Organization == "" {
			test.filter.Organization = org
		}
		var total int
		list := read(t, db, func(tx *database.Tx) (list []sluice.Publication, err error) {
			list, total, err = tx.FindPublications(test.filter)
			return list, err
		})
		same(t, "FindPublications: "+name, names(list, func(p sluice.Publication) string { return p.ID }), test.want)
		same(t, "FindPublications: "+name+", total", total, test.total)
	}
	same(t, "UnfinishedPublications", read(t, db, (*database.Tx).UnfinishedPublications), []sluice.Publication{*two, *three, *foreign})
	two.State, two.Targets[0].State = sluice.PartlyLive, sluice.Failed
	update(t, db, func(tx *database.Tx) error { return tx.PutPublication(two) })
	same(t, "Publication after Put", read(t, db, func(tx *database.Tx) (sluice.Publication, error) { return tx.Publication(org, "p2") }), *two)
}
