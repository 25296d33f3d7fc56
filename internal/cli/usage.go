package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-api/sluice/internal/client"
)

// usageCommand shows how often APIs were called.
type usageCommand struct {
	remote
	Since    time.Duration     `help:"How far back." default:"24h"`
	Interval string            `help:"minute, hour or day; by how far back where not given." placeholder:"INTERVAL"`
	By       []string          `help:"Tell apart by api, version, revision, operation, application, keyType, environment, gateway, status, refusal." default:"api,status"`
	Only     map[string]string `help:"Only these, as --only status=5xx; APIs, applications, environments and gateways by id." placeholder:"NAME=VALUE"`
}

// Run prints a line for each interval in which there were calls.
func (c *usageCommand) Run(ctx context.Context, e *environment) error {
	rest, err := c.client()
	if err != nil {
		return err
	}
	defer rest.Close()
	now := time.Now()
	u, err := rest.Usage(ctx, client.UsageQuery{From: now.Add(-c.Since), To: now, Interval: c.Interval, GroupBy: c.By, Only: c.Only})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "TIME\t%s\tREQUESTS\tERRORS\tTHROTTLED\tP50 MS\tP90 MS\tP99 MS\n", strings.ToUpper(strings.Join(c.By, "\t"))) // Flush says what went wrong
	for _, s := range u.Series {
		var key []string
		for _, by := range c.By {
			key = append(key, cmp.Or(s.Key[by+"Name"], s.Key[by], "-"))
		}
		for _, p := range s.Points {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%.3f\t%.3f\t%.3f\n", p.Time.Format(time.RFC3339), strings.Join(key, "\t"),
				p.Requests, p.Errors, p.Throttled, p.Latency.P50, p.Latency.P90, p.Latency.P99)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.out, "Complete until %s.\n", u.CompleteUntil.Format(time.RFC3339))
	if len(u.Missing) > 0 && err == nil {
		_, err = fmt.Fprintf(e.out, "Gateways that have not told everything: %s.\n", strings.Join(u.Missing, ", "))
	}
	if u.Lost > 0 && err == nil {
		_, err = fmt.Fprintf(e.out, "Gateways had to drop the usage of %d calls.\n", u.Lost)
	}
	return err
}
