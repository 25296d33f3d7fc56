package distribution

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

// heard is what the control plane has heard of one connected gateway.
type heard struct {
	report      sluice.Report
	deployments artifact.Digest // of the report's list
	at          string          // id of the control plane it is connected to; "": this one
	told        artifact.Digest // list that was last sent to other control planes
}

// errElsewhere is given for a heartbeat that another control plane answers.
var errElsewhere = errors.New("the gateway is not connected here")

// listen turns heartbeats, the ends of connections and what other control planes
// say into reports and answers the heartbeats, until ctx ends.
func (b *Bus) listen(ctx context.Context, control *nats.Conn, heartbeats, fromPeers *nats.Subscription) {
	known := make(map[string]*heard)
	var wg sync.WaitGroup
	defer wg.Wait()
	messages, peerMessages := make(chan *nats.Msg), make(chan *nats.Msg)
	wg.Go(func() { b.carry(ctx, heartbeats, messages) })
	if fromPeers != nil {
		wg.Go(func() { b.carry(ctx, fromPeers, peerMessages) })
	}
	greet := time.NewTicker(heartbeatEvery)
	defer greet.Stop()
	b.greetPeers()
	for {
		select {
		case <-ctx.Done():
			return
		case <-greet.C:
			b.greetPeers()
		case m := <-peerMessages:
			if err := b.hearPeer(m, known); err != nil {
				b.o.Log.WarnContext(ctx, "message of another control plane could not be used", "err", err)
			}
		case m := <-messages:
			environmentID, list, claim, err := b.hear(m, known)
			if errors.Is(err, errElsewhere) {
				continue
			}
			if err != nil {
				b.o.Log.WarnContext(ctx, "heartbeat of a gateway could not be used", "subject", m.Subject, "err", err)
				continue
			}
			e := b.environment(environmentID)
			if v := e.current.Load(); v != nil {
				b.answerHeartbeat(control, m, v, list)
				wg.Go(func() { b.compareClaim(ctx, v, claim) })
				continue
			}
			wg.Go(func() { // other gateways need not wait for the database
				v, err := b.view(ctx, e)
				if err != nil {
					if !e.unread.Swap(true) {
						b.o.Log.ErrorContext(ctx, "gateways cannot be told their state", "err", err)
					}
					return
				}
				b.answerHeartbeat(control, m, v, list)
				b.compareClaim(ctx, v, claim)
			})
		case id := <-b.gone:
			h := known[id]
			if h == nil || h.at != "" || b.tunnels.live(id) { // or it is back already, or elsewhere
				continue
			}
			delete(known, id)
			h.report.Connected = false
			b.o.Log.InfoContext(ctx, "gateway disconnected", "gateway_id", id)
			b.o.Report(h.report)
			b.tellPeers(peerMessage{Kind: peerReport, Report: sluice.Report{GatewayID: id}})
		}
	}
}

// carry hands the messages of a subscription over, until ctx ends.
func (b *Bus) carry(ctx context.Context, from *nats.Subscription, to chan<- *nats.Msg) {
	for {
		m, ok := b.next(ctx, from)
		if !ok {
			return
		}
		select {
		case to <- m:
		case <-ctx.Done():
			return
		}
	}
}

// hear reports one heartbeat, and returns the digest of the list of deployments
// that is known of the gateway.
func (b *Bus) hear(m *nats.Msg, known map[string]*heard) (environmentID string, deployments artifact.Digest, claim signedRoot, err error) {
	environmentID, gatewayID, ok := sender(m.Subject)
	if !ok {
		return "", deployments, claim, errMessage
	}
	r, err := b.framer.open(m.Data)
	if err != nil {
		return "", deployments, claim, err
	}
	beat, err := readHeartbeat(r)
	if err != nil {
		return "", deployments, claim, err
	}
	if !b.tunnels.live(gatewayID) {
		return "", deployments, claim, errElsewhere // or it was on its way when the gateway went
	}
	h := known[gatewayID]
	if h == nil {
		h = &heard{report: sluice.Report{GatewayID: gatewayID}}
		known[gatewayID] = h
	}
	if h.at != "" {
		h.at, h.told = "", artifact.Digest{}
	}
	if len(beat.list) > 0 {
		var list []sluice.DeploymentReport
		if err := json.Unmarshal(beat.list, &list); err != nil {
			return "", deployments, claim, fmt.Errorf("deployments: %w", err)
		}
		h.report.Deployments, h.deployments = list, artifact.DigestOf(beat.list)
	}
	if h.deployments == beat.deployments { // else the answer makes the gateway send its list
		now, drift := b.o.Now(), ""
		if h.report.Connected {
			drift = b.environment(environmentID).drift(beat, now)
		}
		h.report = sluice.Report{
			GatewayID: gatewayID, HeardAt: now, Connected: true, Drift: drift,
			Epoch: beat.epoch, Generation: beat.generation, Version: beat.version, Trouble: beat.trouble, Deployments: h.report.Deployments,
		}
		if beat.root != (artifact.Digest{}) {
			h.report.Root = beat.root.String()
		}
		b.o.Report(h.report)
		b.sharePeers(h)
	}
	claim = signedRoot{environment: environmentID, epoch: beat.epoch, generation: beat.generation, root: beat.root, time: beat.time, signature: beat.signature}
	return environmentID, h.deployments, claim, nil
}

// compareClaim says that a gateway has a later state than there is, which this
// control plane's key has signed: the database was put back to an older one.
func (b *Bus) compareClaim(ctx context.Context, v *view, claim signedRoot) {
	c := Change{Epoch: claim.epoch, Generation: claim.generation}
	if b.o.Overtaken == nil || !v.behind(&c) {
		return
	}
	if err := claim.verify(v.environment, []ed25519.PublicKey{b.o.Signer.Public().(ed25519.PublicKey)}); err != nil {
		b.o.Log.WarnContext(ctx, "a gateway claims a later state than there is; the key has not signed it", "environment_id", v.environment, "epoch", c.Epoch, "generation", c.Generation)
		return
	}
	if err := b.o.Overtaken(ctx, v.environment, c.Epoch, c.Generation); err != nil && ctx.Err() == nil {
		b.o.Log.ErrorContext(ctx, "a gateway has a later state than there is, and no new epoch could be begun", "environment_id", v.environment, "err", err)
	}
}

// answerHeartbeat says which state there is to have, signed now: a bus that
// holds changes back cannot make an old state pass for the current one.
func (b *Bus) answerHeartbeat(control *nats.Conn, m *nats.Msg, v *view, deployments artifact.Digest) {
	a := answer{signed: b.signed(v), deployments: deployments, controls: b.controls()}
	b.reply(control, m, a.append(nil))
}

// beat makes the local copy safe and then says how this gateway stands: what it
// reports to serve survives a restart. It is the only place that reports.
func (r *following) beat() error {
	if r.copy.watch() {
		r.mendAt = time.Time{} // the disk is well
	}
	r.copy.sync()
	r.noteCopy()
	if r.session == nil {
		return nil
	}
	deployments := r.f.o.Reports()
	if deployments == nil {
		deployments = []sluice.DeploymentReport{}
	}
	list, err := json.Marshal(deployments)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	signed := &r.replica.signed
	h := heartbeat{
		epoch: signed.epoch, generation: signed.generation, root: signed.root,
		version: r.f.o.Version, deployments: artifact.DigestOf(list), trouble: r.trouble(),
		time: signed.time, signature: signed.signature,
	}
	r.sent, r.omitted = h.deployments, h.deployments == r.acked
	if !r.omitted {
		h.list = list
	}
	message, ok := r.f.framer.frame(h.append(nil))
	if !ok {
		return fmt.Errorf("heartbeat: the states of %d deployments are too large to be sent", len(deployments))
	}
	subject := gatewaySubject(r.f.o.EnvironmentID, r.f.o.GatewayID, statusSubject)
	if err := r.session.conn.PublishRequest(subject, r.session.inbox, message); err != nil {
		return nil // the session is ending, and says why
	}
	return nil
}

// answer takes the answer to a heartbeat.
func (r *following) answer(m *nats.Msg) error {
	fields, err := r.f.framer.open(m.Data)
	if err != nil {
		return fmt.Errorf("answer to a heartbeat: %w", err)
	}
	a, err := readAnswer(fields)
	if err != nil {
		return fmt.Errorf("answer to a heartbeat: %w", err)
	}
	if err := r.replica.heard(&a.signed); err != nil {
		return fmt.Errorf("answer to a heartbeat: %w", err)
	}
	if a.signed.time.Before(r.answered.Add(-clockSlack)) {
		return fmt.Errorf("answer to a heartbeat: it was signed at %s, long before an earlier one", a.signed.time)
	}
	r.answered = a.signed.time
	r.f.announced(a.controls)
	if r.acked = a.deployments; r.omitted && r.acked != r.sent {
		r.f.Report()
	}
	now, here := r.f.o.Now(), &r.replica.signed
	r.copy.markHeard(now)
	again := false
	r.f.set(func(s *followerState) {
		if again = s.since.IsZero() || now.Sub(s.heard) > sluice.StaleAfter; again {
			s.since = now
		}
		s.heard, s.skew, s.linkErr = now, a.signed.time.Sub(now), nil
		if a.signed.epoch == here.epoch && a.signed.generation == here.generation && a.signed.root == here.root {
			s.fromCopy, s.stateErr = false, nil
		}
	})
	if again {
		r.f.o.Log.Info("control plane connected", "url", r.session.url, "generation", a.signed.generation)
	}
	if here.newerThan(&a.signed) && a.signed.time.Sub(here.time) > sluice.StaleAfter {
		return fmt.Errorf("the control plane is at epoch %d generation %d, before epoch %d generation %d of this gateway; was it restored from a backup without a new epoch?",
			a.signed.epoch, a.signed.generation, here.epoch, here.generation)
	}
	return nil
}
