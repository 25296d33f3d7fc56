package sluice

// DefaultOrganization is the id and name of the organization that exists from
// the first start.
const DefaultOrganization = "default"

// Organization owns everything else; nothing of one is visible in another.
//
// Its id is its name, for good: the name is in the context of its APIs, "/t/{name}"
// (but for the first), and in its users' names on the wire, "ann@{name}".
type Organization struct {
	ID          string
	Name        string
	DisplayName string
	RowVersion  int64
}
