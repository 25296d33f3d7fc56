package database

import (
	"fmt"

	"github.com/sluice-api/sluice"
)

const deploymentColumns = `api_id, environment_id, revision_id, revision_number, vhost, store, digest, skipped, deployed_at, live_at`

func deploymentFields(d *sluice.Deployment) []any {
	return []any{
		&d.APIID, &d.EnvironmentID, &d.RevisionID, &d.RevisionNumber, &d.Vhost, &d.Store, &d.Digest, &d.Skipped,
		(*instant)(&d.DeployedAt), (*instant)(&d.LiveAt),
	}
}

// PutDeployment stores the deployment of an API to an environment, in place of
// the one that may be there.
func (tx *Tx) PutDeployment(d *sluice.Deployment) error {
	return tx.add(`insert into deployments (`+deploymentColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		on conflict (api_id, environment_id) do update set revision_id = excluded.revision_id, revision_number = excluded.revision_number,
			vhost = excluded.vhost, store = excluded.store, digest = excluded.digest, skipped = excluded.skipped,
			deployed_at = excluded.deployed_at, live_at = excluded.live_at`, deploymentFields(d)...)
}

// DeleteDeployment deletes the deployment of an API to an environment.
func (tx *Tx) DeleteDeployment(apiID, environmentID string) error {
	return tx.change("deployment", `delete from deployments where api_id = $1 and environment_id = $2`, apiID, environmentID)
}

// Deployments returns the deployments of an API, in the order of environments.
func (tx *Tx) Deployments(apiID string) ([]sluice.Deployment, error) {
	return query(tx, deploymentFields, `select `+deploymentColumns+` from deployments d
		join environments e on e.id = d.environment_id where api_id = $1 order by e.configured desc, e.position, e.created_at, e.id`, apiID)
}

// EnvironmentDeployments returns the deployments to an environment by API id.
func (tx *Tx) EnvironmentDeployments(environmentID string) ([]sluice.Deployment, error) {
	return query(tx, deploymentFields, `select `+deploymentColumns+` from deployments where environment_id = $1 order by api_id`, environmentID)
}

// PutArtifact stores an artifact under its digest, sealed, since it may hold
// the passwords of backends. One that is there is left alone: the digest says
// that it is the same.
func (tx *Tx) PutArtifact(digest string, body []byte) error {
	return tx.add(`insert into artifacts (digest, body) values ($1, $2) on conflict (digest) do nothing`, digest, tx.db.Seal("artifact/"+digest, body))
}

// Artifact returns the artifact with the digest.
func (tx *Tx) Artifact(digest string) ([]byte, error) {
	body, err := one(tx, "artifact", func(b *[]byte) []any { return []any{b} }, `select body from artifacts where digest = $1`, digest)
	if err != nil || len(body) > 0 && body[0] == '{' { // of a version that did not seal artifacts
		return body, err
	}
	if body, err = tx.db.Unseal("artifact/"+digest, body); err != nil {
		return nil, fmt.Errorf("artifact %s: %w", digest, err)
	}
	return body, nil
}

// DeleteUnusedArtifacts deletes the artifacts that no deployment names. Who
// stores an artifact has to name it in the same Update.
func (tx *Tx) DeleteUnusedArtifacts() error {
	_, err := tx.exec(`delete from artifacts where not exists (select 1 from deployments d where d.digest = artifacts.digest)`)
	return err
}
