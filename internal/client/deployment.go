package client

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// Revision is an API frozen.
type Revision struct {
	ID          string       `json:"id"`
	DisplayName string       `json:"displayName"`
	Description string       `json:"description"`
	Deployments []Deployment `json:"deploymentInfo"`
}

// CreateRevision freezes the working copy of an API.
func (c *Client) CreateRevision(ctx context.Context, apiID, description string) (Revision, error) {
	var out Revision
	err := c.post(ctx, at(publisher+"/apis", apiID, "revisions"), nil, map[string]string{"description": description}, &out)
	return out, err
}

// Revisions returns the revisions of an API, the newest last.
func (c *Client) Revisions(ctx context.Context, apiID string) ([]Revision, error) {
	var out listed[Revision]
	err := c.get(ctx, at(publisher+"/apis", apiID, "revisions"), nil, &out)
	return out.List, err
}

// DeleteRevision deletes a revision that is deployed nowhere.
func (c *Client) DeleteRevision(ctx context.Context, apiID, revisionID string) error {
	return c.delete(ctx, at(publisher+"/apis", apiID, "revisions", revisionID))
}

// Deployment is a revision in an environment. To deploy one, Environment, Vhost
// and Store are needed.
type Deployment struct {
	RevisionID  string              `json:"revisionUuid,omitempty"`
	Environment string              `json:"name"`
	Vhost       string              `json:"vhost,omitempty"`    // empty: the environment's first
	Store       bool                `json:"displayOnDevportal"` // its URLs are shown in the Store
	Connected   int                 `json:"liveGatewayCount"`
	Live        int                 `json:"deployedGatewayCount"`
	Failed      int                 `json:"failedGatewayCount"`
	Gateways    []DeploymentGateway `json:"gateways"`
}

// DeploymentGateway is the state of a deployment on one gateway.
type DeploymentGateway struct {
	ID       string `json:"gatewayId"`
	Name     string `json:"name"`
	State    string `json:"state"` // a sluice.DeploymentState
	Reason   string `json:"reason"`
	Revision int    `json:"revisionNumber"`
}

// Deploy deploys a revision and returns all deployments of the API once the
// connected gateways have proved it, refused it or were silent too long.
func (c *Client) Deploy(ctx context.Context, apiID, revisionID string, targets []Deployment) ([]Deployment, error) {
	var out []Deployment
	err := c.post(ctx, at(publisher+"/apis", apiID, "deploy-revision"), url.Values{"revisionId": {revisionID}}, targets, &out)
	return out, err
}

// Undeploy takes a revision off the named environments, off all where none is
// named, and returns what is left of it.
func (c *Client) Undeploy(ctx context.Context, apiID, revisionID string, environments ...string) ([]Deployment, error) {
	q := url.Values{"revisionId": {revisionID}}
	var targets []Deployment
	for _, e := range environments {
		targets = append(targets, Deployment{Environment: e})
	}
	if len(targets) == 0 {
		q.Set("allEnvironments", "true")
	}
	var out []Deployment
	err := c.post(ctx, at(publisher+"/apis", apiID, "undeploy-revision"), q, targets, &out)
	return out, err
}

// Deployments returns the deployments of an API, in the environments' order.
func (c *Client) Deployments(ctx context.Context, apiID string) ([]Deployment, error) {
	var out []Deployment
	err := c.get(ctx, at(publisher+"/apis", apiID, "deployments"), nil, &out)
	return out, err
}

// Publication is one act of publishing.
type Publication struct {
	ID       string `json:"publicationId"`
	Action   string `json:"action"`
	State    string `json:"state"` // a sluice.PublicationState
	Reason   string `json:"reason"`
	APIID    string `json:"apiId"`
	Revision int    `json:"revisionNumber"`
	Targets  []struct {
		Environment string              `json:"environment"`
		Change      string              `json:"change"`
		State       string              `json:"state"`
		Reason      string              `json:"reason"`
		Gateways    []DeploymentGateway `json:"gateways"`
	} `json:"targets"`
}

// Publication returns a publication; the answer is held back for up to wait,
// whole seconds up to 30, until the publication is final.
func (c *Client) Publication(ctx context.Context, id string, wait time.Duration) (Publication, error) {
	var q url.Values
	if n := int(wait / time.Second); n > 0 {
		q = url.Values{"wait": {strconv.Itoa(n)}}
	}
	var out Publication
	err := c.get(ctx, at(own+"/publications", id), q, &out)
	return out, err
}

// APIStatus is where an API is deployed and what every gateway says of it.
type APIStatus struct {
	ID           string              `json:"apiId"`
	Name         string              `json:"name"`
	Version      string              `json:"version"`
	State        string              `json:"lifeCycleStatus"`
	Environments []EnvironmentStatus `json:"environments"`
}

// EnvironmentStatus is the state of an API in one environment.
type EnvironmentStatus struct {
	ID       string `json:"environmentId"`
	Name     string `json:"environment"`
	Type     string `json:"type"`
	State    string `json:"state"` // a sluice.DeploymentState, "partial", or "" where nothing is intended
	Reason   string `json:"reason"`
	Intended *struct {
		RevisionID string `json:"revisionId"`
		Revision   int    `json:"revisionNumber"`
		Digest     string `json:"digest"`
	} `json:"intended"` // nil: nothing
	URLs []struct {
		URL   string `json:"url"`
		Live  bool   `json:"live"`
		Stale bool   `json:"stale"`
	} `json:"urls"`
	Gateways []DeploymentGateway `json:"gateways"`
}

// APIStatus returns the state of an API in every environment, in their order.
func (c *Client) APIStatus(ctx context.Context, apiID string) (APIStatus, error) {
	var out APIStatus
	err := c.get(ctx, at(own+"/apis", apiID, "status"), nil, &out)
	return out, err
}
