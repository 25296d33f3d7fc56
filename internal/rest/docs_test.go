package rest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-api/sluice"
)

// upload sends a file as the part "file" of a form.
func (p *platform) upload(t *testing.T, token, call, fileName, content string) reply {
	t.Helper()
	body := "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"" + fileName + "\"\r\n\r\n" + content + "\r\n--xyz--\r\n"
	return p.do(t, token, call, body, "Content-Type", "multipart/form-data; boundary=xyz")
}

const storeAPIs = "/api/am/devportal/v3/apis"

// TestDocumentsOverREST makes documents of every kind and reads them in the Publisher
// and in the Store.
func TestDocumentsOverREST(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	id := p.api(t, token, "Weather")
	p.publish(t, token, id)
	all := publisherAPIs + "/" + id + "/documents"
	doc := func(name, source string) string {
		return `{"name":"` + name + `","type":"HOWTO","sourceType":"` + source + `","visibility":"API_LEVEL","sourceUrl":"https://docs.example.com/x","inlineContent":"# Hi","createdBy":"mallory"}`
	}
	text := p.do(t, token, "POST "+all, doc("Text", "MARKDOWN"))
	made := as[docDocument](t, text, http.StatusCreated)
	if made.CreatedBy != "admin" || text.header.Get("Location") != all+"/"+made.ID || text.header.Get("ETag") == "" {
		t.Errorf("made %+v at %q", made, text.header.Get("Location"))
	}
	p.do(t, token, "POST "+all, doc("Text", "INLINE")).wantError(t, 409, "document.exists", 900312)
	link := as[docDocument](t, p.do(t, token, "POST "+all, doc("Link", "URL")), http.StatusCreated)
	file := as[docDocument](t, p.do(t, token, "POST "+all, doc("File", "FILE")), http.StatusCreated)
	p.do(t, token, "GET "+all+"/"+file.ID+"/content", "").wantError(t, 404, "document.content", 900315)
	p.upload(t, token, "POST "+all+"/"+file.ID+"/content", "../../etc/passwd", "x").wantError(t, 400, "document.file", 0)
	if got := as[docDocument](t, p.upload(t, token, "POST "+all+"/"+file.ID+"/content", "übersicht.html", "<script>1</script>"), http.StatusOK); got.FileName != "übersicht.html" {
		t.Errorf("file = %+v", got)
	}
	for _, base := range []string{publisherAPIs, storeAPIs} {
		caller, one := token, base+"/"+id+"/documents/"
		if base == storeAPIs {
			caller = "" // the Store is open
		}
		if got := as[list[docDocument]](t, p.do(t, caller, "GET "+strings.TrimSuffix(one, "/"), ""), http.StatusOK); got.Count != 3 || got.Pagination.Total != 3 {
			t.Errorf("list below %s: %+v", base, got)
		}
		if got := as[docDocument](t, p.do(t, caller, "GET "+one+made.ID, ""), http.StatusOK); got.Name != "Text" {
			t.Errorf("document below %s: %+v", base, got)
		}
		if got := p.do(t, caller, "GET "+one+made.ID+"/content", ""); string(got.body) != "# Hi" || got.header.Get("Content-Type") != "text/markdown; charset=utf-8" {
			t.Errorf("text below %s: %s %v", base, got.body, got.header)
		}
		if got := p.do(t, caller, "GET "+one+link.ID+"/content", ""); got.status != http.StatusSeeOther || got.header.Get("Location") != "https://docs.example.com/x" {
			t.Errorf("link below %s: %d %v", base, got.status, got.header)
		}
		got := p.do(t, caller, "GET "+one+file.ID+"/content", "")
		if got.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename") ||
			got.header.Get("X-Content-Type-Options") != "nosniff" || string(got.body) != "<script>1</script>" {
			t.Errorf("file below %s: %s %v", base, got.body, got.header)
		}
		if again := p.do(t, caller, "GET "+one+file.ID+"/content", "", "If-None-Match", got.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("file with If-None-Match below %s: %d", base, again.status)
		}
		p.do(t, caller, "GET "+one+"x", "").wantError(t, 404, "document.unknown", 900315)
	}
	p.do(t, token, "PUT "+all+"/"+made.ID, doc("Renamed", "MARKDOWN"), "If-Match", `"77"`).wantError(t, 412, "changed", 0)
	as[docDocument](t, p.do(t, token, "PUT "+all+"/"+made.ID, doc("Renamed", "MARKDOWN")), http.StatusOK)
	found := as[list[searchResult]](t, p.do(t, token, "GET /api/am/publisher/v4/search?query=doc:renam", ""), http.StatusOK)
	if found.Count != 1 || found.List[0].Type != "DOC" || found.List[0].APIID != id {
		t.Errorf("search for a document: %+v", found)
	}
	if got := as[list[apiInfo]](t, p.do(t, token, "GET "+publisherAPIs+"?query=doc:renam", ""), http.StatusOK); got.Count != 1 {
		t.Errorf("APIs with such a document: %+v", got)
	}
	if got := p.do(t, token, "DELETE "+all+"/"+made.ID, ""); got.status != http.StatusOK {
		t.Errorf("delete: %d %s", got.status, got.body)
	}

	picture := "GIF89a" + strings.Repeat("x", 40)
	p.upload(t, token, "PUT "+publisherAPIs+"/"+id+"/thumbnail", "a.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>").wantError(t, 400, "thumbnail.type", 0)
	p.upload(t, token, "PUT "+publisherAPIs+"/"+id+"/thumbnail", "a.gif", strings.Repeat("x", 1<<20+1)).wantError(t, 413, "body.too_large", 0)
	if got := p.upload(t, token, "PUT "+publisherAPIs+"/"+id+"/thumbnail", "a.txt", picture); got.status != http.StatusOK || !strings.Contains(string(got.body), "image/gif") {
		t.Errorf("thumbnail: %d %s", got.status, got.body)
	}
	for caller, base := range map[string]string{token: publisherAPIs, "": storeAPIs} {
		if got := p.do(t, caller, "GET "+base+"/"+id+"/thumbnail", ""); got.header.Get("Content-Type") != "image/gif" || string(got.body) != picture {
			t.Errorf("thumbnail below %s: %d %v", base, got.status, got.header)
		}
	}
	if got := as[list[apiInfo]](t, p.do(t, token, "GET "+publisherAPIs, ""), http.StatusOK); !got.List[0].HasThumbnail {
		t.Error("the list does not say that there is a thumbnail")
	}
	if got := as[map[string]any](t, p.do(t, token, "GET "+publisherAPIs+"/"+id, ""), http.StatusOK); got["hasThumbnail"] != true {
		t.Error("the API does not say that there is a thumbnail")
	}
}

// TestPublisherExtras goes through the smaller operations.
func TestPublisherExtras(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	const base = "/api/am/publisher/v4"
	id := p.api(t, token, "Weather")
	p.publish(t, token, id)

	next := as[apiDocument](t, p.do(t, token, "POST "+publisherAPIs+"/copy-api?apiId="+id+"&newVersion=2.0", ""), http.StatusCreated)
	if next.Version != "2.0" || next.State != "CREATED" {
		t.Errorf("copied: %+v", next)
	}
	p.do(t, token, "POST "+publisherAPIs+"/copy-api?apiId="+id+"&newVersion=2.0", "").wantError(t, 409, "api.version_exists", 900252)
	if got := p.do(t, token, "POST "+publisherAPIs+"/validate?query=name:Weather", ""); got.status != http.StatusOK {
		t.Errorf("a name that is taken: %d %s", got.status, got.body)
	}
	p.do(t, token, "POST "+publisherAPIs+"/validate?query=context:/free", "").wantError(t, 404, "api.unknown", 900308)
	p.do(t, token, "POST "+publisherAPIs+"/validate?query=tag:x", "").wantError(t, 400, "search", 0)
	found := as[list[searchResult]](t, p.do(t, token, "GET "+base+`/search?query=name:%22Weather%22%20version:%221.0%22%20provider:%22admin%22`, ""), http.StatusOK)
	if found.Count != 1 || found.List[0].ID != id || found.List[0].Type != "API" {
		t.Errorf("search as clients find an API: %+v", found)
	}

	revision := as[revisionDocument](t, p.do(t, token, "POST "+publisherAPIs+"/"+id+"/revisions", `{}`), http.StatusCreated)
	as[[]deploymentDocument](t, p.do(t, token, "POST "+publisherAPIs+"/"+id+"/deploy-revision?revisionId="+revision.ID, `[{"name":"Production Gateway"}]`), http.StatusCreated)
	shown := as[deploymentDocument](t, p.do(t, token, "PUT "+publisherAPIs+"/"+id+"/deployments/UHJvZHVjdGlvbiBHYXRld2F5", `{"revisionUuid":"`+revision.ID+`","displayOnDevportal":false}`), http.StatusOK)
	if shown.Store || shown.Environment != "Production Gateway" {
		t.Errorf("deployment: %+v", shown)
	}
	p.do(t, token, "PUT "+publisherAPIs+"/"+id+"/deployments/!!", `{}`).wantError(t, 404, "deployment.unknown", 0)
	if got := as[apiDocument](t, p.do(t, token, "POST "+publisherAPIs+"/"+id+"/restore-revision?revisionId="+revision.ID, ""), http.StatusCreated); got.ID != id || got.State != "PUBLISHED" {
		t.Errorf("restored: %+v", got)
	}

	if got := as[[]tierDocument](t, p.do(t, token, "GET "+publisherAPIs+"/"+id+"/subscription-policies", ""), http.StatusOK); len(got) != 2 || got[0].Name != "Gold" {
		t.Errorf("tiers of the API: %+v", got)
	}
	if got := as[list[tierDocument]](t, p.do(t, token, "GET "+base+"/throttling-policies/api", ""), http.StatusOK); got.Count != 4 {
		t.Errorf("tiers for operations: %+v", got)
	}
	if got := as[tierDocument](t, p.do(t, token, "GET "+base+"/throttling-policies/subscription/Gold", ""), http.StatusOK); got.Requests != 5000 {
		t.Errorf("a tier: %+v", got)
	}
	p.do(t, token, "GET "+base+"/throttling-policies/subscription/Huge", "").wantError(t, 404, "tier.unknown", 900961)
	p.do(t, token, "GET "+base+"/throttling-policies/application", "").wantError(t, 404, "tier.unknown", 900961)
	settings := as[publisherSettings](t, p.do(t, token, "GET "+base+"/settings", ""), http.StatusOK)
	if len(settings.Environments) != 2 || settings.Environments[0].Name != "Production Gateway" || settings.StoreURL != "https://localhost:9443/store" || len(settings.Scopes) == 0 {
		t.Errorf("settings: %+v", settings)
	}
	if got := as[list[keyManagerInfo]](t, p.do(t, token, "GET "+base+"/key-managers", ""), http.StatusOK); got.Count != 1 || got.List[0].Name != residentKeyManager {
		t.Errorf("Key Managers: %+v", got)
	}
}

func TestCategoriesOverREST(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	const admin = "/api/am/admin/v4/api-categories"
	made := as[categoryDocument](t, p.do(t, token, "POST "+admin, `{"name":"Finance","description":"money"}`), http.StatusCreated)
	p.do(t, token, "POST "+admin, `{"name":"FINANCE"}`).wantError(t, 409, "category.exists", 0)
	as[apiDocument](t, p.do(t, token, "POST "+publisherAPIs, `{"name":"Bank","version":"1","context":"/bank","categories":["Finance"]}`), http.StatusCreated)
	p.do(t, token, "POST "+publisherAPIs, `{"name":"Other","version":"1","context":"/other","categories":["Sport"]}`).wantError(t, 400, "category.unknown", 0)
	if got := as[list[apiInfo]](t, p.do(t, token, "GET "+publisherAPIs+"?query=api-category:%22finance%22", ""), http.StatusOK); got.Count != 1 {
		t.Errorf("APIs of the category: %+v", got)
	}
	if got := as[list[categoryDocument]](t, p.do(t, token, "GET "+admin, ""), http.StatusOK); got.Count != 1 || got.List[0].APIs == nil || *got.List[0].APIs != 1 {
		t.Errorf("for administrators: %+v", got)
	}
	for caller, path := range map[string]string{token: "/api/am/publisher/v4/api-categories", "": "/api/am/devportal/v3/api-categories"} {
		if got := as[list[categoryDocument]](t, p.do(t, caller, "GET "+path, ""), http.StatusOK); got.Count != 1 || got.List[0].Name != "Finance" || got.List[0].APIs != nil {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got := as[categoryDocument](t, p.do(t, token, "PUT "+admin+"/"+made.ID, `{"name":"Finance","description":"all about money"}`), http.StatusOK); got.Description != "all about money" {
		t.Errorf("changed: %+v", got)
	}
	p.do(t, token, "DELETE "+admin+"/"+made.ID, "").wantError(t, 409, "category.in_use", 0)
	p.do(t, p.user(t, sluice.DefaultOrganization, "carla", sluice.Creator), "POST "+admin, `{"name":"x"}`).wantError(t, 401, "scope.missing", 0)
}

// TestPublisherSubscriptionsOverREST blocks a subscription and unblocks it.
func TestPublisherSubscriptionsOverREST(t *testing.T) {
	p := start(t)
	token := p.administrator(t)
	const base = "/api/am/publisher/v4/subscriptions"
	id := p.api(t, token, "Weather")
	p.publish(t, token, id)
	app := as[applicationDocument](t, p.do(t, token, "POST /api/am/devportal/v3/applications", `{"name":"App","throttlingPolicy":"Unlimited"}`), http.StatusCreated)
	sub := as[subscriptionDocument](t, p.do(t, token, "POST /api/am/devportal/v3/subscriptions", `{"applicationId":"`+app.ID+`","apiId":"`+id+`","throttlingPolicy":"Gold"}`), http.StatusCreated)
	for call, want := range map[string]string{
		"/block-subscription?blockState=PROD_ONLY_BLOCKED&subscriptionId=": "PROD_ONLY_BLOCKED",
		"/block-subscription?blockState=BLOCKED&subscriptionId=":           "BLOCKED",
		"/unblock-subscription?subscriptionId=":                            "UNBLOCKED",
	} {
		if got := p.do(t, token, "POST "+base+call+sub.ID, ""); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", call, got.status, got.body)
		}
		got := as[list[publisherSubscription]](t, p.do(t, token, "GET "+base+"?apiId="+id, ""), http.StatusOK)
		if got.Count != 1 || got.List[0].Status != want || got.List[0].Application.Name != "App" || got.List[0].Application.Subscriber != "admin" {
			t.Errorf("after %s: %+v", call, got)
		}
	}
	p.do(t, token, "POST "+base+"/block-subscription?blockState=GONE&subscriptionId="+sub.ID, "").wantError(t, 400, "subscription.state", 0)
	p.do(t, token, "POST "+base+"/block-subscription?subscriptionId="+sub.ID, "").wantError(t, 400, "parameter.missing", 0)
	p.do(t, token, "POST "+base+"/unblock-subscription?subscriptionId=x", "").wantError(t, 404, "subscription.unknown", 900310)
	p.do(t, token, "GET "+base+"?apiId=x", "").wantError(t, 404, "api.unknown", 900308)
}
