package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/gateway"
)

// scrapeTime is how long the database may take to be asked for metrics.
const scrapeTime = 5 * time.Second

// metrics collects what /metrics shows when it is asked. docs/guide/operate.md
// lists every name.
type metrics struct{ s *Server }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sluice_"+name, help, labels, nil)
}

var (
	buildInfo        = desc("build_info", "Always 1; what runs.", "version", "role")
	processReady     = desc("ready", "1 where the process is ready, 0 where something is missing.")
	processDegraded  = desc("degraded", "1 for each part in trouble that works all the same.", "part")
	gatewayCalls     = desc("gateway_calls_total", "Calls, by API; an empty name for those that no API answers.", "api", "version")
	gatewayRefused   = desc("gateway_refused_calls_total", "Calls that the gateway ended, by API.", "api", "version")
	gatewayFailed    = desc("gateway_failed_calls_total", "Calls answered with a status of 500 or more, by API.", "api", "version")
	gatewayFaults    = desc("gateway_faults_total", "Calls that the gateway ended, by check and code.", "check", "code")
	gatewayDuration  = desc("gateway_call_seconds", "How long calls took, from their head to the end of the answer.")
	gatewayBackend   = desc("gateway_backend_seconds", "How long backends took to answer.")
	gatewayLost      = desc("gateway_access_log_lost_total", "Lines of the access log that were not written.")
	usageLost        = desc("gateway_usage_lost_total", "Calls whose usage was dropped because the spool was full.")
	usageWaiting     = desc("gateway_usage_waiting_bytes", "Usage that the control plane has not stored yet.")
	gatewayAPIs      = desc("gateway_apis", "Deployments on this gateway, by state.", "state")
	gatewayConnected = desc("gateway_connected", "1 while the control plane is heard.")
	gatewayEpoch     = desc("gateway_epoch", "Epoch of the state served.")
	gatewayState     = desc("gateway_generation", "Generation of the state served.")
	controlGateways  = desc("control_gateways", "Gateways, by environment and state (connected, stale).", "environment", "state")
)

// newMetrics returns the registry of the process.
func (s *Server) newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), metrics{s})
	return r
}

// Describe implements prometheus.Collector: which metrics there are depends on
// the roles of the process.
func (metrics) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (m metrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := m.s
	gauge(buildInfo, 1, s.version, string(s.cfg.Role))
	state, reasons := s.health.state()
	gauge(processReady, truth(state != "not ready"))
	for part := range reasons {
		gauge(processDegraded, 1, part)
	}
	if s.control != nil {
		m.collectControl(gauge)
	}
	if s.gateway != nil {
		m.collectGateway(out, gauge)
	}
}

func (m metrics) collectControl(gauge func(*prometheus.Desc, float64, ...string)) {
	ctx, cancel := context.WithTimeout(sluice.WithActor(context.Background(), sluice.System()), scrapeTime)
	defer cancel()
	list, err := m.s.control.plane.Gateways(ctx, "")
	if err != nil {
		m.s.log.Warn("gateways could not be counted for the metrics", "err", err)
		return
	}
	counts := map[[2]string]int{}
	for _, g := range list {
		state := "stale"
		if g.State == "connected" {
			state = "connected"
		}
		counts[[2]string{g.Environment, state}]++
	}
	for key, n := range counts {
		gauge(controlGateways, float64(n), key[0], key[1])
	}
}

func (m metrics) collectGateway(out chan<- prometheus.Metric, gauge func(*prometheus.Desc, float64, ...string)) {
	r := m.s.gateway
	gw, follower, access := r.parts()
	count := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	if gw != nil {
		for _, c := range gw.Counts() {
			count(gatewayCalls, c.Calls, c.Name, c.Version)
			count(gatewayRefused, c.Refused, c.Name, c.Version)
			count(gatewayFailed, c.Failed, c.Name, c.Version)
		}
		for fault, n := range gw.Faults() {
			count(gatewayFaults, n, fault[0], fault[1])
		}
		for d, h := range map[*prometheus.Desc]*gateway.Histogram{gatewayDuration: gw.Calls(), gatewayBackend: gw.Backend()} {
			n, sum, buckets := h.Read()
			out <- prometheus.MustNewConstHistogram(d, n, sum, buckets)
		}
		states := map[string]int{}
		for _, report := range gw.Reports() {
			states[string(report.State)]++
		}
		for state, n := range states {
			gauge(gatewayAPIs, float64(n), state)
		}
	}
	r.mu.Lock()
	usage := r.usage
	r.mu.Unlock()
	if usage != nil {
		count(usageLost, usage.Lost())
		gauge(usageWaiting, float64(usage.Waiting()))
	}
	if access != nil {
		count(gatewayLost, access.Lost())
	}
	if follower != nil {
		st := follower.Status()
		gauge(gatewayConnected, truth(st.Connected))
		gauge(gatewayEpoch, float64(st.Epoch))
		gauge(gatewayState, float64(st.Generation))
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
