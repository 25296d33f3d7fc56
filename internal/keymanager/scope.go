package keymanager

import (
	"context"
	"slices"
	"strings"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// defaultScope is what a token has that nothing else was granted.
const defaultScope = "default"

// Limits of a scope parameter.
const (
	maxScopes      = 100
	maxScopeLength = 255
)

// parseScopes reads a scope parameter (RFC 6749 §3.3) and drops repetitions.
func parseScopes(parameter string) ([]string, error) {
	var scopes []string
	for scope := range strings.SplitSeq(parameter, " ") {
		switch {
		case scope == "" || slices.Contains(scopes, scope):
			continue
		case len(scope) > maxScopeLength || strings.ContainsFunc(scope, notInScope):
			return nil, invalidScope("A scope is malformed.")
		case len(scopes) == maxScopes:
			return nil, invalidScope("More than 100 scopes are asked for.")
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

// notInScope reports whether r is outside %x21 / %x23-5B / %x5D-7E.
func notInScope(r rune) bool {
	return r < 0x21 || r > 0x7e || r == '"' || r == '\\'
}

// grantScopes cuts the requested scopes to what a token of the key may have,
// for the user, or for the application itself where user is nil.
func (s *Server) grantScopes(ctx context.Context, key sluice.ConsumerKey, user *sluice.User, requested []string) ([]string, error) {
	var earned map[string]bool
	if slices.ContainsFunc(requested, func(scope string) bool { return !s.whitelisted(scope) }) {
		var err error
		if user == nil {
			var known *knownClient
			if known, err = s.knownClient(ctx, key.Key); err == nil {
				earned = known.earned
			}
		} else {
			err = s.db.View(ctx, func(tx *database.Tx) (err error) {
				earned, err = earnedScopes(tx, key, user)
				return err
			})
		}
		if err != nil {
			return nil, err
		}
	}
	granted := s.cutScopes(requested, earned)
	if extra := s.o.ApplicationScope; user == nil && extra != "" && !slices.Contains(granted, extra) {
		granted = slices.Insert(granted, 0, extra)
	}
	return granted, nil
}

// cutScopes returns those of the requested scopes that are earned or granted
// unchecked, and where none is left the default.
func (s *Server) cutScopes(requested []string, earned map[string]bool) []string {
	granted := slices.DeleteFunc(slices.Clone(requested), func(scope string) bool {
		return !s.whitelisted(scope) && !earned[scope]
	})
	if len(granted) == 0 {
		granted = []string{defaultScope}
	}
	return granted
}

func (s *Server) whitelisted(scope string) bool {
	for _, expression := range s.whitelist {
		if expression.MatchString(scope) {
			return true
		}
	}
	return false
}

// earnedScopes returns the scopes of the APIs that the key's application
// subscribes to, as far as the roles of the user give them; where there is no
// user, the roles of the application's owner count.
func earnedScopes(tx *database.Tx, key sluice.ConsumerKey, user *sluice.User) (map[string]bool, error) {
	roles, err := rolesFor(tx, key, user)
	if err != nil {
		return nil, err
	}
	subscriptions, _, err := tx.FindSubscriptions(database.SubscriptionFilter{
		Organization: key.Organization, ApplicationID: key.ApplicationID,
	})
	if err != nil {
		return nil, err
	}
	earned := make(map[string]bool)
	for _, subscription := range subscriptions {
		if !usable(subscription.State, key.Type) {
			continue
		}
		api, err := tx.API(key.Organization, subscription.APIID)
		if err != nil {
			return nil, err
		}
		for _, scope := range api.Scopes {
			if len(scope.Roles) == 0 || slices.ContainsFunc(scope.Roles, func(r string) bool { return slices.Contains(roles, sluice.Role(r)) }) {
				earned[scope.Name] = true
			}
		}
	}
	return earned, nil
}

// rolesFor returns the user's roles, or those of the owner of the key's
// application; none where the owner has no account any more.
func rolesFor(tx *database.Tx, key sluice.ConsumerKey, user *sluice.User) ([]sluice.Role, error) {
	if user != nil {
		return user.Roles, nil
	}
	application, err := tx.Application(key.Organization, key.ApplicationID)
	if err != nil {
		return nil, err
	}
	owner, err := tx.UserByName(key.Organization, application.Owner)
	if err != nil && !sluice.IsNotFound(err) {
		return nil, err
	}
	return owner.Roles, nil
}

// usable reports whether keys of this type may call through a subscription.
func usable(state sluice.SubscriptionState, key sluice.KeyType) bool {
	return state == sluice.Unblocked || state == sluice.ProductionOnlyBlocked && key == sluice.SandboxKey
}
