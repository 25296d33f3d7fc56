package client

import (
	"context"
	"net/url"
	"time"

	"github.com/sluice-api/sluice"
)

// Environment is a gateway environment.
type Environment struct {
	ID           string   `json:"id,omitempty"`
	Name         string   `json:"name"`
	Description  string   `json:"description,omitempty"`
	Type         string   `json:"type"`
	ReadOnly     bool     `json:"isReadOnly,omitempty"` // fixed by the configuration
	Console      bool     `json:"showInApiConsole"`
	Vhosts       []Vhost  `json:"vhosts"`
	Origin       string   `json:"origin,omitempty"`       // "configuration", "administrator", "not in the configuration"
	DeployedAPIs []string `json:"deployedAPIs,omitempty"` // where it is not in the configuration any more
}

// Vhost is a public address of an environment; a port 0 is not offered.
type Vhost struct {
	Host      string `json:"host"`
	Context   string `json:"httpContext,omitempty"`
	HTTPPort  int    `json:"httpPort"`
	HTTPSPort int    `json:"httpsPort"`
}

// Environments returns the gateway environments, in their order.
func (c *Client) Environments(ctx context.Context) ([]Environment, error) {
	var out listed[Environment]
	err := c.get(ctx, admin+"/environments", nil, &out)
	return out.List, err
}

// CreateEnvironment adds an environment: its name, type, description, vhosts and
// whether the API Console offers it.
func (c *Client) CreateEnvironment(ctx context.Context, e Environment) (Environment, error) {
	var out Environment
	err := c.post(ctx, admin+"/environments", nil, e, &out)
	return out, err
}

// DeleteEnvironment deletes an environment to which nothing is deployed, and cuts
// off its gateways.
func (c *Client) DeleteEnvironment(ctx context.Context, id string) error {
	return c.delete(ctx, at(admin+"/environments", id))
}

// Gateway is a running node of an environment.
type Gateway struct {
	ID                 string `json:"gatewayId"`
	Name               string `json:"name"`
	EnvironmentID      string `json:"environmentId"`
	Environment        string `json:"environment"`
	Version            string `json:"version"`
	State              string `json:"state"` // "connected", "stale"
	Generation         int64  `json:"generation"`
	IntendedGeneration int64  `json:"intendedGeneration"`
	Digest             string `json:"digest"`
	APIs               struct {
		Intended int `json:"intended"`
		Live     int `json:"live"`
		Failed   int `json:"failed"`
		Skipped  int `json:"skipped"`
	} `json:"apis"`
}

// Gateways returns the gateways of an environment, of all for "", at most 1000.
func (c *Client) Gateways(ctx context.Context, environmentID string) ([]Gateway, error) {
	q := url.Values{"limit": {"1000"}}
	if environmentID != "" {
		q.Set("environmentId", environmentID)
	}
	var out listed[Gateway]
	err := c.get(ctx, own+"/gateways", q, &out)
	return out.List, err
}

// Gateway returns one gateway.
func (c *Client) Gateway(ctx context.Context, id string) (Gateway, error) {
	var out Gateway
	err := c.get(ctx, at(own+"/gateways", id), nil, &out)
	return out, err
}

// GatewayDrift is a gateway and in what it differs from what it should be.
type GatewayDrift struct {
	Gateway
	Drift     bool   `json:"drift"`   // its digest is not the one it should be, and no publication is running
	Trouble   string `json:"trouble"` // what is wrong with the gateway itself
	LastDrift *struct {
		Reason     string    `json:"reason"`
		FoundAt    time.Time `json:"foundAt"`
		RepairedAt time.Time `json:"repairedAt"` // zero: not yet
	} `json:"lastDrift"`
	Differences []struct {
		APIID            string `json:"apiId"`
		IntendedRevision int    `json:"intendedRevision"` // 0: none
		ServedRevision   int    `json:"servedRevision"`   // 0: none that is known
		State            string `json:"state"`
		Reason           string `json:"reason"`
	} `json:"differences"`
}

// GatewayDrift returns in what a gateway differs from what it should be.
func (c *Client) GatewayDrift(ctx context.Context, id string) (GatewayDrift, error) {
	var out GatewayDrift
	err := c.get(ctx, at(own+"/gateways", id)+"/drift", nil, &out)
	return out, err
}

// DeleteGateway ends a gateway's enrolment: it is cut off and refused.
func (c *Client) DeleteGateway(ctx context.Context, id string) error {
	return c.delete(ctx, at(own+"/gateways", id))
}

// EnrolmentToken lets one gateway join an environment, once.
type EnrolmentToken struct {
	ID            string    `json:"tokenId"`
	EnvironmentID string    `json:"environmentId"`
	ExpiresAt     time.Time `json:"expiresAt"`
	CAFingerprint string    `json:"caFingerprint"`
	Command       string    `json:"command"` // the command line that joins, with the token
}

// CreateEnrolmentToken makes a token with which a gateway may join, valid for
// ttl (0: one hour). The token itself is not shown again.
func (c *Client) CreateEnrolmentToken(ctx context.Context, environmentID, name string, ttl time.Duration) (EnrolmentToken, sluice.Secret, error) {
	var out struct {
		EnrolmentToken
		Token string `json:"token"`
	}
	err := c.post(ctx, own+"/enrolment-tokens", nil, map[string]any{
		"environmentId": environmentID, "name": name, "expiresIn": int64(ttl / time.Second),
	}, &out)
	return out.EnrolmentToken, sluice.Secret(out.Token), err
}
