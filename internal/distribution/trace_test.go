package distribution

import (
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

func TestTrace(t *testing.T) {
	c := newControl(t)
	c.environment("prod", 1)
	c.environment("sandbox", 1)
	c.start()
	known := strings.Repeat("a", 32)
	for _, g := range []struct{ environment, id string }{{"prod", "g1"}, {"prod", "g2"}, {"sandbox", "g3"}} {
		o := c.memberOptions(g.environment, g.id, c.enrol(g.environment, g.id), t.TempDir())
		o.Trace = func(id string) (sluice.Trace, bool) {
			return sluice.Trace{ID: id, GatewayID: "a lie", Code: "900901"}, g.id == "g2" && id == known
		}
		m := newMember(t, o)
		m.start()
		c.awaitReport(g.id+" is there", func(r sluice.Report) bool { return r.GatewayID == g.id && r.Connected })
	}
	both := []string{"prod", "sandbox"}
	got, found, err := c.bus.Trace(t.Context(), both, 3, known)
	if err != nil || !found || got.GatewayID != "g2" || got.Code != "900901" {
		t.Errorf("Trace = %+v, %v, %v; want that of g2", got, found, err)
	}
	for name, ask := range map[string]struct {
		environments []string
		expected     int
		id           string
	}{
		"a call that nobody remembers":       {both, 3, strings.Repeat("b", 32)},
		"another environment":                {[]string{"sandbox"}, 1, known},
		"more gateways than there are":       {both, 9, strings.Repeat("b", 32)},
		"no gateway":                         {nil, 0, known},
		"an environment that does not exist": {[]string{"nothing"}, 1, known},
	} {
		if got, found, err := c.bus.Trace(t.Context(), ask.environments, ask.expected, ask.id); found || err != nil {
			t.Errorf("%s: %+v, %v, %v; want nothing", name, got, found, err)
		}
	}
}
