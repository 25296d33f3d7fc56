package control

import (
	"context"
	"fmt"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// takeOverDefault makes a published API that is marked and deployed as the
// default version the only one of its name: the mark of the others is cleared,
// and what is deployed of them is compiled anew. Until it is deployed so, the
// version that was the default one before goes on answering.
func (p *Plane) takeOverDefault(ctx context.Context, tx *database.Tx, a *sluice.API) error {
	if !a.Default || a.State != sluice.Published {
		return nil
	}
	deployments, err := tx.Deployments(a.ID)
	if err != nil {
		return err
	}
	takes := false
	for _, d := range deployments {
		r, err := tx.Revision(d.APIID, d.RevisionID)
		if err != nil {
			return err
		}
		takes = takes || r.API.Default && d.Digest != ""
	}
	if !takes {
		return nil
	}
	versions, err := tx.APIVersions(a.Organization, a.Name)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.ID == a.ID || v.Name != a.Name || !v.Default || v.State == sluice.Created { // that one takes over when it is published
			continue
		}
		other, err := tx.API(v.Organization, v.ID) // with its definition
		if err != nil {
			return err
		}
		other.Default, other.UpdatedAt = false, p.now()
		if err := tx.PutAPI(&other); err != nil {
			return err
		}
		if err := p.redeployEverywhere(tx, &other); err != nil {
			return fmt.Errorf("deploy %s %s as another version became the default one: %w", other.Name, other.Version, err)
		}
		if err := audit(ctx, tx, "api.default", "api", other.ID, other.Name+" "+other.Version, true, false); err != nil {
			return err
		}
	}
	return nil
}
