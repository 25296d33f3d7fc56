package rest

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
)

// audience is what of an API document says who sees it: in the Store
// (visibility), in the Publisher (access control).
type audience struct {
	Visibility         string        `json:"visibility"`
	VisibleRoles       []sluice.Role `json:"visibleRoles"`
	AccessControl      string        `json:"accessControl"`
	AccessControlRoles []sluice.Role `json:"accessControlRoles"`
}

func audienceOf(a *sluice.API) audience {
	v := audience{
		Visibility: strings.ToUpper(string(a.Visibility)), VisibleRoles: a.VisibleRoles,
		AccessControl: "NONE", AccessControlRoles: a.AccessControl,
	}
	if len(a.AccessControl) > 0 {
		v.AccessControl = "RESTRICTED"
	}
	if v.VisibleRoles == nil {
		v.VisibleRoles = []sluice.Role{}
	}
	if v.AccessControlRoles == nil {
		v.AccessControlRoles = []sluice.Role{}
	}
	return v
}

// into sets it in an API. Roles that a document lists beside a word that asks
// for none are left behind by clients, and mean nothing.
func (v *audience) into(a *sluice.API, problems *sluice.Problems) {
	switch v.Visibility {
	case "":
	case "PUBLIC", "PRIVATE":
		a.Visibility = sluice.Visibility(strings.ToLower(v.Visibility))
	case "RESTRICTED":
		a.Visibility, a.VisibleRoles = sluice.Restricted, v.VisibleRoles
	default:
		problems.Add("visibility", "api.visibility", "The visibility is PUBLIC, PRIVATE or RESTRICTED.")
	}
	switch v.AccessControl {
	case "", "NONE":
	case "RESTRICTED":
		a.AccessControl = v.AccessControlRoles
		if len(a.AccessControl) == 0 {
			problems.Add("accessControlRoles", "api.access_control", "Name the roles that see and change the API in the Publisher, or do not restrict that.")
		}
	default:
		problems.Add("accessControl", "api.access_control", "The access control is NONE or RESTRICTED.")
	}
}

// details is what of an API document is only shown and searched.
type details struct {
	Categories  []string            `json:"categories"`
	Properties  *[]property         `json:"additionalProperties"`
	PropertyMap map[string]property `json:"additionalPropertiesMap"` // the same by name; read where there is no list
	Business    business            `json:"businessInformation"`
}

type property struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Display bool   `json:"display"`
}

type business struct {
	Owner          string `json:"businessOwner"`
	OwnerEmail     string `json:"businessOwnerEmail"`
	TechnicalOwner string `json:"technicalOwner"`
	TechnicalEmail string `json:"technicalOwnerEmail"`
}

func detailsOf(a *sluice.API) details {
	list := mapped(a.Properties, func(q sluice.Property) property { return property(q) })
	d := details{Categories: some(a.Categories), Properties: &list, PropertyMap: map[string]property{}, Business: business(a.Business)}
	for _, q := range list {
		d.PropertyMap[q.Name] = q
	}
	return d
}

func (d *details) into(a *sluice.API) {
	a.Categories, a.Business = d.Categories, sluice.BusinessInformation(d.Business)
	switch {
	case d.Properties != nil:
		a.Properties = mapped(*d.Properties, func(q property) sluice.Property { return sluice.Property(q) })
	default:
		for _, name := range slices.Sorted(maps.Keys(d.PropertyMap)) {
			q := d.PropertyMap[name]
			a.Properties = append(a.Properties, sluice.Property{Name: name, Value: q.Value, Display: q.Display})
		}
	}
}
