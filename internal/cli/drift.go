package cli

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/sluice-api/sluice/internal/client"
)

// gatewayDriftCommand compares what gateways say they serve with what they
// should.
type gatewayDriftCommand struct {
	remote
	Gateway string `arg:"" optional:"" help:"Id or name of one gateway; all where not given."`
}

// Run prints a line for each gateway, below it what differs. It fails where
// something does, for scripts.
func (c *gatewayDriftCommand) Run(ctx context.Context, e *environment) error {
	rest, err := c.client()
	if err != nil {
		return err
	}
	defer rest.Close()
	gateways, err := rest.Gateways(ctx, "")
	if err != nil {
		return err
	}
	if c.Gateway != "" {
		gateways = slices.DeleteFunc(gateways, func(g client.Gateway) bool { return g.ID != c.Gateway && g.Name != c.Gateway })
		if len(gateways) == 0 {
			return fmt.Errorf("there is no gateway %q; `sluice gateway drift` lists all", c.Gateway)
		}
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "GATEWAY\tENVIRONMENT\tSTATE\tGENERATION\tINTENDED\tDRIFT\tLAST DRIFT") // Flush says what went wrong
	drifting := 0
	for _, g := range gateways {
		d, err := rest.GatewayDrift(ctx, g.ID)
		if err != nil {
			return err
		}
		found := d.Drift || d.Trouble != "" || len(d.Differences) > 0
		if found {
			drifting++
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", d.Name, d.Environment, d.State, d.Generation, d.IntendedGeneration, yesNo(found), lastDrift(&d))
		if d.Trouble != "" {
			_, _ = fmt.Fprintf(w, "  %s\n", d.Trouble)
		}
		for _, difference := range d.Differences {
			_, _ = fmt.Fprintf(w, "  API %s: should serve %s, serves %s: %s %s\n", difference.APIID, revisionName(difference.IntendedRevision),
				revisionName(difference.ServedRevision), difference.State, difference.Reason)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if drifting > 0 {
		return fmt.Errorf("%d of %d gateways differ from what they should serve; a connected one is put right at its next heartbeat", drifting, len(gateways))
	}
	return nil
}

func revisionName(number int) string {
	if number == 0 {
		return "nothing"
	}
	return fmt.Sprintf("revision %d", number)
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// lastDrift says in a few words when there was drift and how long.
func lastDrift(d *client.GatewayDrift) string {
	switch last := d.LastDrift; {
	case last == nil:
		return "none"
	case last.RepairedAt.IsZero():
		return fmt.Sprintf("since %s: %s", last.FoundAt.Format(time.RFC3339), last.Reason)
	default:
		return fmt.Sprintf("%s, repaired after %s: %s", last.FoundAt.Format(time.RFC3339), last.RepairedAt.Sub(last.FoundAt).Round(time.Millisecond), last.Reason)
	}
}
