package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
)

// API is an API as its publisher sees it.
type API struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
	Context string `json:"context"`
	Owner   string `json:"provider"`
	State   string `json:"lifeCycleStatus"`
}

// ImportOpenAPI makes an API from an OpenAPI document. What props sets, in the
// form of an API document ("name", "context", "version", "endpointConfig",
// "policies", …), wins over what the document says.
func (c *Client) ImportOpenAPI(ctx context.Context, file []byte, props map[string]any) (API, error) {
	properties, err := json.Marshal(props)
	if err != nil {
		return API{}, fmt.Errorf("encode the properties: %w", err)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "openapi")
	if err == nil {
		_, err = part.Write(file)
	}
	if err == nil && len(props) > 0 {
		err = form.WriteField("additionalProperties", string(properties))
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return API{}, fmt.Errorf("make the form: %w", err)
	}
	var out API
	err = c.call(ctx, request{
		method: http.MethodPost, path: publisher + "/apis/import-openapi", body: body.Bytes(), contentType: form.FormDataContentType(),
	}, &out)
	return out, err
}

// API returns the working copy of an API, or, for the id of a revision, the API
// as it was frozen.
func (c *Client) API(ctx context.Context, id string) (API, error) {
	var out API
	err := c.get(ctx, at(publisher+"/apis", id), nil, &out)
	return out, err
}

// Document returns the whole document of an API.
func (c *Client) Document(ctx context.Context, id string) (map[string]any, error) {
	var out map[string]any
	err := c.get(ctx, at(publisher+"/apis", id), nil, &out)
	return out, err
}

// Definition returns the OpenAPI document of an API.
func (c *Client) Definition(ctx context.Context, id string) ([]byte, error) {
	var out []byte
	err := c.get(ctx, at(publisher+"/apis", id, "swagger"), nil, &out)
	return out, err
}

// APIs returns the APIs that fit a query (`name:"Weather" version:1*`), at most
// 1000, and how many there are.
func (c *Client) APIs(ctx context.Context, query string) ([]API, int, error) {
	var out listed[API]
	err := c.get(ctx, publisher+"/apis", url.Values{"query": {query}, "limit": {"1000"}}, &out)
	return out.List, out.Pagination.Total, err
}

// DeleteAPI deletes an API and takes it off every gateway.
func (c *Client) DeleteAPI(ctx context.Context, id string) error {
	return c.delete(ctx, at(publisher+"/apis", id))
}

// ChangeLifecycle moves an API by an event of its lifecycle, "Publish" for
// example, and returns the events that are possible now.
func (c *Client) ChangeLifecycle(ctx context.Context, apiID, event string) (next []string, err error) {
	var out struct {
		Lifecycle struct {
			Transitions []struct {
				Event string `json:"event"`
			} `json:"availableTransitions"`
		} `json:"lifecycleState"`
	}
	err = c.call(ctx, request{
		method: http.MethodPost, path: publisher + "/apis/change-lifecycle", contentType: "application/json",
		query: url.Values{"apiId": {apiID}, "action": {event}},
	}, &out)
	for _, t := range out.Lifecycle.Transitions {
		next = append(next, t.Event)
	}
	return next, err
}

// StoreAPI is an API as the Store shows it.
type StoreAPI struct {
	API
	Definition string     `json:"apiDefinition"`
	Endpoints  []Endpoint `json:"endpointURLs"` // where it is live now, in the environments' order
}

// Endpoint is the addresses of an API in one environment; "" is not offered.
type Endpoint struct {
	Environment string `json:"environmentName"`
	Type        string `json:"environmentType"`
	URLs        URLs   `json:"URLs"`
	Default     URLs   `json:"defaultVersionURLs"` // without the version
}

// URLs are an API's addresses by scheme.
type URLs struct {
	HTTP  string `json:"http"`
	HTTPS string `json:"https"`
}

// StoreAPI returns an API from the Store.
func (c *Client) StoreAPI(ctx context.Context, id string) (StoreAPI, error) {
	var out StoreAPI
	err := c.get(ctx, at(store+"/apis", id), nil, &out)
	return out, err
}

// StoreAPIs returns the APIs of the Store that fit a query, at most 1000, and
// how many there are.
func (c *Client) StoreAPIs(ctx context.Context, query string) ([]API, int, error) {
	var out listed[API]
	err := c.get(ctx, store+"/apis", url.Values{"query": {query}, "limit": {"1000"}}, &out)
	return out.List, out.Pagination.Total, err
}
