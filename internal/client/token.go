package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
)

// RegisteredClient is a client of the management API.
type RegisteredClient struct {
	ID     string
	Secret sluice.Secret
}

// clientName is the name under which RegisterClient registers.
const clientName = "sluice_rest_client"

// RegisterClient registers a client of the management API for a user. The same
// user always gets the same client.
func (c *Client) RegisterClient(ctx context.Context, user string, password sluice.Secret) (RegisteredClient, error) {
	body, err := json.Marshal(map[string]any{
		"clientName": clientName, "owner": user, "grantType": "password refresh_token", "saasApp": true,
	})
	if err != nil {
		return RegisteredClient{}, err
	}
	var out struct {
		ID     string `json:"clientId"`
		Secret string `json:"clientSecret"`
	}
	err = c.call(ctx, request{
		method: http.MethodPost, path: "/client-registration/v0.17/register", body: body, contentType: "application/json",
		header: basic(user, password),
	}, &out)
	return RegisteredClient{out.ID, sluice.Secret(out.Secret)}, err
}

// Token is an access token and what it is good for.
type Token struct {
	Token     sluice.Secret
	ExpiresIn time.Duration
	Scopes    []string // those that were given
}

// PasswordToken logs a user in by the password grant of a registered client.
// Scopes that the user's roles do not give are left out of the token.
func (c *Client) PasswordToken(ctx context.Context, clientID string, secret sluice.Secret, user string, password sluice.Secret, scopes []string) (Token, error) {
	form := url.Values{"grant_type": {"password"}, "username": {user}, "password": {password.Reveal()}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	var out struct {
		Token     string `json:"access_token"`
		ExpiresIn int64  `json:"expires_in"`
		Scope     string `json:"scope"`
	}
	err := c.call(ctx, request{
		method: http.MethodPost, path: "/oauth2/token", body: []byte(form.Encode()),
		contentType: "application/x-www-form-urlencoded", header: basic(url.QueryEscape(clientID), sluice.Secret(url.QueryEscape(secret.Reveal()))),
	}, &out)
	return Token{sluice.Secret(out.Token), time.Duration(out.ExpiresIn) * time.Second, strings.Fields(out.Scope)}, err
}

// basic returns the header of Basic authentication (RFC 7617).
func basic(user string, password sluice.Secret) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password.Reveal())
	return r.Header
}

// AccessToken is a personal access token.
type AccessToken struct {
	ID        string    `json:"tokenId"`
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// CreateAccessToken makes a personal access token, valid for ttl (0: 30 days).
// The token itself is not shown again.
func (c *Client) CreateAccessToken(ctx context.Context, name string, scopes []string, ttl time.Duration) (AccessToken, sluice.Secret, error) {
	var out struct {
		AccessToken
		Token string `json:"token"`
	}
	err := c.post(ctx, own+"/access-tokens", nil, map[string]any{"name": name, "scopes": scopes, "expiresIn": int64(ttl / time.Second)}, &out)
	return out.AccessToken, sluice.Secret(out.Token), err
}

// AccessTokens returns the caller's personal access tokens, at most 1000.
func (c *Client) AccessTokens(ctx context.Context) ([]AccessToken, error) {
	var out listed[AccessToken]
	err := c.get(ctx, own+"/access-tokens", url.Values{"limit": {"1000"}}, &out)
	return out.List, err
}

// DeleteAccessToken ends a personal access token at once.
func (c *Client) DeleteAccessToken(ctx context.Context, id string) error {
	return c.delete(ctx, at(own+"/access-tokens", id))
}
