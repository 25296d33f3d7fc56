package sluice

// DefaultOrganization is the id and name of the organization that exists from
// the first start.
const DefaultOrganization = "default"

// Organization owns everything else; nothing of one is visible in another.
type Organization struct {
	ID          string
	Name        string // part of the context of its APIs, "/t/{name}", but for the first
	DisplayName string
}
