package control

import (
	"context"
	"slices"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// SearchResult is an API, or a document of it.
type SearchResult struct {
	API      sluice.API
	Document *sluice.Document // nil: it is the API itself
}

// Search returns a page of what the Publisher has for a query, and how much there
// is: APIs that fit all terms, by name, and after them documents, where every
// term is a document or a plain name and fits their name or summary.
func (p *Plane) Search(ctx context.Context, f APIFilter) (list []SearchResult, total int, err error) {
	actor, err := allow(ctx, viewers...)
	if err != nil {
		return nil, 0, err
	}
	f.Organization, f.AccessRoles = actor.Organization, accessRoles(actor)
	visible := []sluice.DocumentVisibility{sluice.DocumentOfAPI, sluice.DocumentOfMembers}
	if actor.Has(makers...) {
		visible = append(visible, sluice.DocumentOfOwner)
	}
	return p.search(ctx, f, visible)
}

// StoreSearch returns the same of what the Store shows the actor, who may be
// anonymous.
func (p *Plane) StoreSearch(ctx context.Context, f APIFilter) (list []SearchResult, total int, err error) {
	actor := reader(ctx)
	p.storeFilter(&f, actor)
	visible := []sluice.DocumentVisibility{sluice.DocumentOfAPI}
	if actor.Known() {
		visible = append(visible, sluice.DocumentOfMembers)
	}
	return p.search(ctx, f, visible)
}

// search returns a page of the APIs that f finds and of their documents.
func (p *Plane) search(ctx context.Context, f APIFilter, visible []sluice.DocumentVisibility) (list []SearchResult, total int, err error) {
	onlyDocuments, words, documents := false, []string{}, true
	for _, t := range f.Query {
		onlyDocuments = onlyDocuments || t.Attribute == "document"
		documents = documents && (t.Attribute == "document" || t.Attribute == "name" && t.Match == database.Contains)
		words = append(words, t.Value)
	}
	err = p.db.View(ctx, func(tx *database.Tx) error {
		if !onlyDocuments {
			apis, n, err := tx.FindAPIs(f)
			if err != nil {
				return err
			}
			total = n
			for _, a := range apis {
				list = append(list, SearchResult{API: a})
			}
		}
		if !documents {
			return nil
		}
		g := f
		g.Query, g.Offset, g.Limit = nil, max(f.Offset-total, 0), f.Limit-len(list)
		full := g.Limit <= 0 && f.Limit > 0
		if full {
			g.Limit = 1 // for their number
		}
		found, n, err := tx.FindDocuments(g, words, visible...)
		if err != nil {
			return err
		}
		total += n
		if full {
			return nil
		}
		for _, d := range found {
			a, err := tx.API(f.Organization, d.APIID)
			if err != nil {
				return err
			}
			list = append(list, SearchResult{API: a, Document: &d})
		}
		return nil
	})
	return slices.Clip(list), total, err
}
