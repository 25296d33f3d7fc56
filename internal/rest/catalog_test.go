package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

func TestStoreFindsOverREST(t *testing.T) {
	p := start(t)
	admin := p.administrator(t)
	sam := p.user(t, sluice.DefaultOrganization, "sam", sluice.Subscriber)
	made := as[apiDocument](t, p.do(t, admin, "POST "+publisherAPIs, `{"name":"Weather","version":"1","context":"/weather","tags":["air"],"policies":["Gold"],
		"endpointConfig":{"endpoint_type":"http","production_endpoints":{"url":"http://backend.example.com"}}}`), http.StatusCreated)
	if got := as[list[tagDocument]](t, p.do(t, "", "GET "+storeBase+"/tags", ""), http.StatusOK); got.Count != 0 {
		t.Errorf("tags before anything is published: %+v", got)
	}
	p.publish(t, admin, made.ID)
	p.upload(t, admin, "PUT "+publisherAPIs+"/"+made.ID+"/thumbnail", "a.gif", "GIF89a and much more than that")
	if got := as[list[tagDocument]](t, p.do(t, "", "GET "+storeBase+"/tags", ""), http.StatusOK); got.Count != 1 || got.List[0] != (tagDocument{"air", 1}) {
		t.Errorf("tags: %+v", got)
	}
	found := as[list[searchResult]](t, p.do(t, "", "GET "+storeBase+"/search?query=weather", ""), http.StatusOK)
	if found.Count != 1 || found.List[0].ID != made.ID || found.List[0].Type != "API" {
		t.Errorf("found: %+v", found)
	}
	p.do(t, "", "GET "+storeBase+"/search?query=magic:x", "").wantError(t, 400, "search", 0)
	if got := as[list[storeInfo]](t, p.do(t, "", "GET "+storeAPIs, ""), http.StatusOK); got.List[0].Thumbnail != "/apis/"+made.ID+"/thumbnail" {
		t.Errorf("picture in the list: %+v", got.List[0])
	}
	if got := as[storeDocument](t, p.do(t, "", "GET "+storeAPIs+"/"+made.ID, ""), http.StatusOK); !got.HasThumbnail {
		t.Error("the API says that it has no picture")
	}
	definition := p.do(t, "", "GET "+storeAPIs+"/"+made.ID+"/swagger", "")
	if definition.status != http.StatusOK || strings.Contains(string(definition.body), "backend.example.com") {
		t.Errorf("definition: %d %s", definition.status, definition.body)
	}
	p.do(t, "", "GET "+storeAPIs+"/"+made.ID+"/swagger?environmentName=Production%20Gateway", "").wantError(t, 404, "environment.not_live", 0)

	settings := as[storeSettings](t, p.do(t, sam, "GET "+storeBase+"/settings", ""), http.StatusOK)
	if len(settings.Grants) != 4 || len(settings.Scopes) == 0 || !settings.Anonymous {
		t.Errorf("settings: %+v", settings)
	}
	p.do(t, "", "GET "+storeBase+"/settings", "").wantError(t, 401, "token.missing", 0)
	if got := as[list[keyManagerInfo]](t, p.do(t, sam, "GET "+storeBase+"/key-managers", ""), http.StatusOK); got.Count != 1 {
		t.Errorf("Key Managers: %+v", got)
	}
}
