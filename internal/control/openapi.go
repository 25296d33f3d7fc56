package control

import (
	"context"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
	"github.com/sluice-api/sluice/internal/openapi"
)

// Definition is what an OpenAPI document says of an API.
type Definition = openapi.Definition

const (
	readTimeout = 5 * time.Second // of one document
	readers     = 2               // documents that are read at a time: each may take 256 MB
)

// ImportOpenAPI makes an API from an OpenAPI document. What is set in with
// (name, version, context, endpoints, tiers …) wins over what the document
// says. Nothing that the document refers to is fetched.
func (p *Plane) ImportOpenAPI(ctx context.Context, document []byte, with sluice.API) (sluice.API, error) {
	d, err := p.ReadOpenAPI(ctx, document)
	if err != nil {
		return sluice.API{}, err
	}
	a := with
	set := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	set(&a.Name, strings.Join(strings.Fields(d.Title), ""))
	set(&a.Version, d.Version)
	set(&a.Context, "/"+strings.ToLower(a.Name))
	set(&a.Description, d.Description)
	if len(a.Scopes) == 0 {
		a.Scopes = d.Scopes
	}
	a.Definition = d.JSON
	if len(a.Operations) == 0 {
		a.Operations = d.Operations
	}
	return a, p.createAPI(ctx, &a)
}

// ReadOpenAPI returns what an OpenAPI document says. Its error, of kind
// Invalid, holds everything that is wrong with it, each problem with a Field
// like "line 12, column 3".
func (p *Plane) ReadOpenAPI(ctx context.Context, document []byte) (Definition, error) {
	if _, err := allow(ctx, creators...); err != nil {
		return Definition{}, err
	}
	return p.readDefinition(ctx, document)
}

// readDefinition reads a document, when it is its turn.
func (p *Plane) readDefinition(ctx context.Context, document []byte) (Definition, error) {
	if len(document) > openapi.MaxSize {
		return Definition{}, tooLarge()
	}
	select {
	case p.reading <- struct{}{}:
		defer func() { <-p.reading }()
	case <-ctx.Done():
		return Definition{}, ctx.Err()
	}
	ctx, stop := context.WithTimeout(ctx, readTimeout)
	defer stop()
	return openapi.Read(ctx, document)
}

// tooLarge is the error for a definition over its limit.
func tooLarge() error {
	return sluice.Errorf(sluice.Invalid, "openapi.too_large", "The definition has more than %d MB.", openapi.MaxSize>>20).At("definition")
}

// PutDefinition replaces the definition of an API, and with it its operations
// and scopes. What the document does not say of an operation that the API has
// (auth type, tier, scopes) or of a scope stays as it is. Name, version and
// description of the API are not the document's to change. ifMatch is the row
// version the caller saw; 0: whatever it is.
func (p *Plane) PutDefinition(ctx context.Context, id string, document []byte, ifMatch int64) (a sluice.API, err error) {
	actor, err := allow(ctx, creators...)
	if err != nil {
		return a, err
	}
	if err := p.db.View(ctx, func(tx *database.Tx) error { // before the document costs anything
		_, err := changeable(tx, actor, id, ifMatch)
		return err
	}); err != nil {
		return a, err
	}
	d, err := p.readDefinition(ctx, document)
	if err != nil {
		return a, err
	}
	err = p.db.Update(ctx, func(tx *database.Tx) error {
		if a, err = changeable(tx, actor, id, ifMatch); err != nil {
			return err
		}
		before := a
		a.Operations, a.Scopes = d.Over(a.Operations, a.Scopes)
		a.Definition = d.JSON
		return p.putAPI(ctx, tx, actor, "api.definition", &before, &a)
	})
	return a, err
}
