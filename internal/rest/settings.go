package rest

import (
	"net/http"

	"github.com/sluice-api/sluice"
)

// publisherSettings is what the Publisher's clients ask before anything else.
type publisherSettings struct {
	StoreURL      string                `json:"devportalUrl"`
	Environments  []settingsEnvironment `json:"environment"`
	GatewayTypes  []string              `json:"gatewayTypes"`
	Scopes        []string              `json:"scopes"`
	DocVisibility bool                  `json:"docVisibilityEnabled"`
	Advanced      string                `json:"defaultAdvancePolicy"`
	Subscription  string                `json:"defaultSubscriptionPolicy"`
	Authorization string                `json:"authorizationHeader"`
	APIKey        string                `json:"apiKeyHeader"`
}

// settingsEnvironment is a gateway environment as those see it who deploy to it.
type settingsEnvironment struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	DisplayName string          `json:"displayName"`
	Type        string          `json:"type"`
	ServerURL   string          `json:"serverUrl"` // gateways are not called at an address
	Provider    string          `json:"provider"`
	Console     bool            `json:"showInApiConsole"`
	Vhosts      []vhostDocument `json:"vhosts"`
}

func (s *Server) getPublisherSettings(w http.ResponseWriter, r *http.Request) error {
	found, err := s.plane.Environments(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, publisherSettings{
		StoreURL: s.plane.ManagementURL() + "/store", GatewayTypes: []string{"wso2/synapse"}, Scopes: callOf(r).granted, DocVisibility: true,
		Advanced: sluice.Unlimited, Subscription: sluice.Unlimited, Authorization: "Authorization", APIKey: sluice.DefaultAPIKeyHeader,
		Environments: mapped(found, func(e sluice.Environment) settingsEnvironment {
			return settingsEnvironment{
				ID: e.ID, Name: e.Name, DisplayName: e.Name, Type: string(e.Type), Provider: "wso2", Console: e.Console, Vhosts: environmentOf(e).Vhosts,
			}
		}),
	})
}

// keyManagerInfo is a Key Manager as publishers see it.
type keyManagerInfo struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Enabled     bool   `json:"enabled"`
}

// listPublisherKeyManagers answers with the only one there is.
func (s *Server) listPublisherKeyManagers(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, listOf([]keyManagerInfo{{
		ID: "resident", Name: residentKeyManager, DisplayName: residentKeyManager, Type: "default",
		Description: "The Key Manager of this installation.", Enabled: true,
	}}, nil))
}

// storeSettings is what the Store's clients ask before anything else.
type storeSettings struct {
	Grants       []string `json:"grantTypes"`
	Scopes       []string `json:"scopes"`
	MapKeys      bool     `json:"mapExistingAuthApps"`
	Gateway      string   `json:"apiGatewayEndpoint"` // of one gateway of many; addresses are with each API
	Monetization bool     `json:"monetizationEnabled"`
	Sharing      bool     `json:"applicationSharingEnabled"`
	Anonymous    bool     `json:"IsAnonymousModeEnabled"`
	Password     bool     `json:"IsPasswordChangeEnabled"`
	PaidTier     bool     `json:"IsUnlimitedTierPaid"`
}

func (s *Server) getStoreSettings(w http.ResponseWriter, r *http.Request) error {
	return answer(w, http.StatusOK, storeSettings{
		Grants: []string{sluice.GrantClientCredentials, sluice.GrantPassword, sluice.GrantAuthorizationCode, sluice.GrantRefreshToken},
		Scopes: callOf(r).granted, MapKeys: true, Anonymous: true, Password: true,
	})
}
