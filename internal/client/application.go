package client

import (
	"context"
	"net/url"
	"time"

	"github.com/sluice-api/sluice"
)

// Application is a program that calls APIs.
type Application struct {
	ID            string `json:"applicationId"`
	Name          string `json:"name"`
	Tier          string `json:"throttlingPolicy"`
	Owner         string `json:"owner"`
	Subscriptions int    `json:"subscriptionCount"`
}

// CreateApplication makes an application of the caller, under an application
// tier ("" for Unlimited).
func (c *Client) CreateApplication(ctx context.Context, name, tier string) (Application, error) {
	if tier == "" {
		tier = sluice.Unlimited
	}
	var out Application
	err := c.post(ctx, store+"/applications", nil, map[string]string{"name": name, "throttlingPolicy": tier}, &out)
	return out, err
}

// Applications returns the caller's applications, at most 1000; with a name,
// the one that is called so.
func (c *Client) Applications(ctx context.Context, name string) ([]Application, error) {
	var out listed[Application]
	err := c.get(ctx, store+"/applications", url.Values{"query": {name}, "limit": {"1000"}}, &out)
	return out.List, err
}

// Application returns one application of the caller.
func (c *Client) Application(ctx context.Context, id string) (Application, error) {
	var out Application
	err := c.get(ctx, at(store+"/applications", id), nil, &out)
	return out, err
}

// Subscription lets an application call an API.
type Subscription struct {
	ID            string `json:"subscriptionId"`
	ApplicationID string `json:"applicationId"`
	APIID         string `json:"apiId"`
	Tier          string `json:"throttlingPolicy"`
	Status        string `json:"status"` // a sluice.SubscriptionState
}

// Subscribe subscribes an application to an API under one of its tiers.
func (c *Client) Subscribe(ctx context.Context, applicationID, apiID, tier string) (Subscription, error) {
	var out Subscription
	err := c.post(ctx, store+"/subscriptions", nil, map[string]string{
		"applicationId": applicationID, "apiId": apiID, "throttlingPolicy": tier,
	}, &out)
	return out, err
}

// Subscriptions returns the subscriptions of an application, at most 1000.
func (c *Client) Subscriptions(ctx context.Context, applicationID string) ([]Subscription, error) {
	var out listed[Subscription]
	err := c.get(ctx, store+"/subscriptions", url.Values{"applicationId": {applicationID}, "limit": {"1000"}}, &out)
	return out.List, err
}

// Unsubscribe ends a subscription.
func (c *Client) Unsubscribe(ctx context.Context, id string) error {
	return c.delete(ctx, at(store+"/subscriptions", id))
}

// KeyRequest is what new keys of an application shall be.
type KeyRequest struct {
	Type        sluice.KeyType
	Grants      []string
	CallbackURL string
	Scopes      []string
	TTL         time.Duration // of access tokens, whole seconds; 0: the installation's default
}

// Keys is a consumer key and, where they are shown, its secret and a first
// access token.
type Keys struct {
	Type   sluice.KeyType
	Key    string
	Secret sluice.Secret
	Token  sluice.Secret
	Grants []string
}

// keys is Keys as the API writes it, where secrets are plain text.
type keys struct {
	Type   sluice.KeyType `json:"keyType"`
	Key    string         `json:"consumerKey"`
	Secret string         `json:"consumerSecret"`
	Grants []string       `json:"supportedGrantTypes"`
	Token  struct {
		Token string `json:"accessToken"`
	} `json:"token"`
}

func (k keys) keys() Keys {
	return Keys{Type: k.Type, Key: k.Key, Secret: sluice.Secret(k.Secret), Token: sluice.Secret(k.Token.Token), Grants: k.Grants}
}

// GenerateKeys makes the consumer key of one type for an application.
func (c *Client) GenerateKeys(ctx context.Context, applicationID string, r KeyRequest) (Keys, error) {
	in := map[string]any{
		"keyType": r.Type, "grantTypesToBeSupported": r.Grants, "callbackUrl": r.CallbackURL, "scopes": r.Scopes,
	}
	if r.TTL > 0 {
		in["validityTime"] = int64(r.TTL / time.Second)
	}
	var out keys
	err := c.post(ctx, at(store+"/applications", applicationID, "generate-keys"), nil, in, &out)
	return out.keys(), err
}

// Keys returns the consumer keys of an application.
func (c *Client) Keys(ctx context.Context, applicationID string) ([]Keys, error) {
	var out listed[keys]
	err := c.get(ctx, at(store+"/applications", applicationID, "oauth-keys"), nil, &out)
	list := make([]Keys, len(out.List))
	for i, k := range out.List {
		list[i] = k.keys()
	}
	return list, err
}
