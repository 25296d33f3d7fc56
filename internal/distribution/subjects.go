package distribution

import (
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Subjects, with E for an environment's id and G for a gateway's:
//
//	sluice.environment.E.changes       control plane → gateways of E: a generation
//	sluice.environment.E.trace         control plane → gateways of E: do you remember this call? answered
//	sluice.environment.E.report        control plane → gateways of E: send a heartbeat now
//	sluice.environment.E.prepare       control plane → gateways of E: could you take this?
//	sluice.gateway.E.G.status          G → control plane: a heartbeat, answered to G's inbox
//	sluice.gateway.E.G.prepared        G → control planes: whether it could
//	sluice.gateway.E.G.usage           G → control plane: what was counted; answered when it is stored
//	sluice.gateway.E.G.state.compare   G → control plane: what is the state? answered
//	sluice.gateway.E.G.state.fetch     G → control plane: a page of it, answered
//	sluice.inbox.G.>                   answers to G
const (
	environmentSubjects = "sluice.environment."
	gatewaySubjects     = "sluice.gateway."
	inboxes             = "sluice.inbox."

	usageSubject    = "usage"
	statusSubject   = "status"
	preparedSubject = "prepared"
	stateSubjects   = "state.*"
	compareSubject  = "state.compare"
	fetchSubject    = "state.fetch"
)

// answerWindow is how long a gateway may take to answer a request.
const answerWindow = 10 * time.Second

// changesSubject is where the changes of an environment are published.
func changesSubject(environmentID string) string {
	return environmentSubjects + subjectToken(environmentID) + ".changes"
}

// traceSubject is where the gateways of an environment are asked for calls.
func traceSubject(environmentID string) string {
	return environmentSubjects + subjectToken(environmentID) + ".trace"
}

// reportSubject is where the gateways of an environment are asked to report.
func reportSubject(environmentID string) string {
	return environmentSubjects + subjectToken(environmentID) + ".report"
}

// prepareSubject is where the gateways of an environment are asked whether they
// could take a change.
func prepareSubject(environmentID string) string {
	return environmentSubjects + subjectToken(environmentID) + ".prepare"
}

// gatewaySubject is where one gateway sends messages of one kind.
func gatewaySubject(environmentID, gatewayID, kind string) string {
	return gatewaySubjects + subjectToken(environmentID) + "." + subjectToken(gatewayID) + "." + kind
}

// anyGatewaySubject matches gatewaySubject of all gateways.
func anyGatewaySubject(kind string) string { return gatewaySubjects + "*.*." + kind }

// sender returns the ids in a gateway's subject. The server lets a gateway
// publish under its own ids only, so they may be believed.
func sender(subject string) (environmentID, gatewayID string, ok bool) {
	rest, ok := strings.CutPrefix(subject, gatewaySubjects)
	if !ok {
		return "", "", false
	}
	environmentID, rest, _ = strings.Cut(rest, ".")
	gatewayID, _, ok = strings.Cut(rest, ".")
	if !ok {
		return "", "", false
	}
	environmentID, okE := subjectID(environmentID)
	gatewayID, okG := subjectID(gatewayID)
	return environmentID, gatewayID, okE && okG
}

// inboxPrefix is what the subjects of all answers to a gateway begin with.
func inboxPrefix(gatewayID string) string { return inboxes + subjectToken(gatewayID) }

// permissions are those of one gateway's connection: read its environment and
// its own inbox, send under its own ids, and answer what it is asked, once.
func permissions(environmentID, gatewayID string) *server.Permissions {
	return &server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{
			environmentSubjects + subjectToken(environmentID) + ".>",
			inboxPrefix(gatewayID) + ".>",
		}},
		Publish: &server.SubjectPermission{Allow: []string{
			gatewaySubject(environmentID, gatewayID, statusSubject),
			gatewaySubject(environmentID, gatewayID, usageSubject),
			gatewaySubject(environmentID, gatewayID, preparedSubject),
			gatewaySubject(environmentID, gatewayID, compareSubject),
			gatewaySubject(environmentID, gatewayID, fetchSubject),
		}},
		Response: &server.ResponsePermission{MaxMsgs: 1, Expires: answerWindow},
	}
}

const hexDigits = "0123456789ABCDEF"

// subjectToken makes one token of a subject of any id: what is not a letter, a
// digit, "-" or "_" is written as "=" and two hexadecimal digits.
func subjectToken(id string) string {
	var b strings.Builder
	for _, c := range []byte(id) {
		if plainInSubject(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('=')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// subjectID undoes subjectToken.
func subjectID(token string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case plainInSubject(c):
			b.WriteByte(c)
		case c == '=' && i+2 < len(token):
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
		default:
			return "", false
		}
	}
	return b.String(), b.Len() > 0
}

func plainInSubject(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
