// Package wso2 reads a home in the layout of WSO2 API Manager 1.9 to 2.1:
// repository/conf/carbon.xml and repository/conf/api-manager.xml, and beside
// them a sluice.yaml with what those have no element for. Load returns the same
// Config as config.Load does.
//
// Every element is read, accepted without effect and said so, or refused; the
// outlines list them (see outline.go). To read one more, mark it with + there
// and take its value in carbon.go or apimanager.go. A name that no file of the
// original has is refused with the nearest known one.
//
// Files returns the files of a new home: the elements that a user of the
// original's documentation edits, as that user finds them there.
package wso2

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sluice-api/sluice/internal/config"
)

const (
	carbonFile     = "repository/conf/carbon.xml"
	apiManagerFile = "repository/conf/api-manager.xml"
)

//go:embed home
var home embed.FS

// Files returns the files of a new home, at their paths in it.
func Files() fs.FS {
	files, err := fs.Sub(home, "home")
	if err != nil {
		panic(err) // the name is a valid path
	}
	return files
}

// Is reports whether a home is in the WSO2 layout: one of the two files is there.
func Is(home string) bool { return exists(home, carbonFile) || exists(home, apiManagerFile) }

func exists(home, file string) bool {
	_, err := os.Stat(filepath.Join(home, filepath.FromSlash(file)))
	return err == nil
}

// Role returns the role that a value of the original's -Dprofile= stands for.
func Role(profile string) (config.Role, error) {
	switch profile {
	case "", "default":
		return config.All, nil
	case "gateway-manager", "gateway-worker":
		return config.GatewayOnly, nil
	case "api-publisher", "api-store", "api-key-manager":
		return config.ControlPlaneOnly, nil
	case "traffic-manager":
		return "", fmt.Errorf("profile traffic-manager is not a part of Sluice: limits are counted by the gateways")
	}
	return "", fmt.Errorf("profile %q is not one of gateway-manager, gateway-worker, api-publisher, api-store, api-key-manager", profile)
}

// Load reads a home in the WSO2 layout. Where there are problems, the Config
// holds what could be read, for showing; a process must not start with it.
func Load(home string, o config.Overrides) (*config.Config, []config.Problem) {
	im := &importer{home: home, settings: &config.Settings{}}
	im.native()
	carbon := im.read(carbonFile, carbonOutline)
	apiManager := im.read(apiManagerFile, apiManagerOutline)

	im.carbon(carbon)
	im.draft = config.NewDraft(home, config.WSO2, im.settings, o)
	im.apiManager(apiManager)
	im.refuseMisplaced()

	im.draft.Problems = append(im.draft.Problems, im.problems...)
	im.draft.Config.Warnings = append(im.draft.Config.Warnings, im.warnings...)
	return im.draft.Finish()
}

// importer carries what is read of one home.
type importer struct {
	home     string
	settings *config.Settings
	draft    *config.Draft // from the moment profile, ports and hosts are known

	misplaced []misplaced
	problems  []config.Problem
	warnings  []string
}

// misplaced is a setting in sluice.yaml that belongs in a WSO2 file.
type misplaced struct {
	value config.Value
	home  elementHome
	given func() config.Value // what the WSO2 file says
}

// elementHome names the element that holds a setting.
type elementHome struct{ file, element string }

// elementHomes are the paths of sluice.yaml that have an element, which is then
// the only place for them.
func elementHomes() map[string]elementHome {
	return map[string]elementHome{
		"offset":                          {carbonFile, "Ports/Offset"},
		"host":                            {carbonFile, "HostName"},
		"management_host":                 {carbonFile, "MgtHostName"},
		"role":                            {apiManagerFile, "APIKeyValidator/ServerURL, which decides it"},
		"control_plane.url":               {apiManagerFile, "AuthManager/ServerURL"},
		"control_plane.key_manager":       {apiManagerFile, "APIKeyValidator/ServerURL"},
		"control_plane.username":          {apiManagerFile, "AuthManager/Username"},
		"control_plane.password":          {apiManagerFile, "AuthManager/Password"},
		"key_manager.revoke_url":          {apiManagerFile, "OAuthConfigurations/RevokeAPIURL"},
		"key_manager.application_scope":   {apiManagerFile, "OAuthConfigurations/ApplicationTokenScope"},
		"gateway.remove_authorization":    {apiManagerFile, "OAuthConfigurations/RemoveOAuthHeadersFromOutMessage"},
		"key_manager.scope_whitelist":     {apiManagerFile, "OAuthConfigurations/ScopeWhitelist"},
		"backend_jwt.enabled":             {apiManagerFile, "JWTConfiguration/EnableJWTGeneration"},
		"backend_jwt.header":              {apiManagerFile, "JWTConfiguration/JWTHeader"},
		"backend_jwt.dialect":             {apiManagerFile, "JWTConfiguration/ConsumerDialectURI"},
		"backend_jwt.omit_user":           {apiManagerFile, "JWTConfiguration/RemoveUserNameFromJWTForApplicationToken"},
		"cors.enabled":                    {apiManagerFile, "CORSConfiguration/Enabled"},
		"cors.origins":                    {apiManagerFile, "CORSConfiguration/Access-Control-Allow-Origin"},
		"cors.methods":                    {apiManagerFile, "CORSConfiguration/Access-Control-Allow-Methods"},
		"cors.headers":                    {apiManagerFile, "CORSConfiguration/Access-Control-Allow-Headers"},
		"cors.credentials":                {apiManagerFile, "CORSConfiguration/Access-Control-Allow-Credentials"},
		"tiers.unlimited":                 {apiManagerFile, "ThrottlingConfigurations/EnableUnlimitedTier"},
		"store.url":                       {apiManagerFile, "APIStore/URL"},
		"store.display_all_apis":          {apiManagerFile, "APIStore/DisplayAllAPIs"},
		"store.display_multiple_versions": {apiManagerFile, "APIStore/DisplayMultipleVersions"},
		"store.display_comments":          {apiManagerFile, "APIStore/DisplayComments"},
		"store.display_ratings":           {apiManagerFile, "APIStore/DisplayRatings"},
		"store.apis_per_page":             {apiManagerFile, "APIStore/APIsPerPage"},
		"publisher.url":                   {apiManagerFile, "APIPublisher/URL"},
		"publisher.apis_per_page":         {apiManagerFile, "APIPublisher/APIsPerPage"},
	}
}

// native reads the sluice.yaml that may stand beside the two files, and sets
// aside what belongs in them.
func (im *importer) native() {
	data, found, problems := config.ReadFile(im.home, config.File)
	im.problems = append(im.problems, problems...)
	if !found || len(problems) > 0 {
		return
	}
	im.settings, problems = config.Parse(data)
	im.problems = append(im.problems, problems...)

	homes := elementHomes()
	for path, v := range im.settings.Values() {
		if home, ok := homes[path]; ok && v.Set() {
			im.misplaced = append(im.misplaced, misplaced{*v, home, func() config.Value { return *v }})
			*v = config.Value{}
		}
	}
	for path, list := range im.settings.Lists() {
		home, ok := homes[path]
		if !ok {
			continue // the WSO2 files have no word for it
		}
		if len(*list) > 0 {
			im.misplaced = append(im.misplaced, misplaced{(*list)[0], home, func() config.Value { return first(*list) }})
		}
		*list = nil
	}
	if environments := im.settings.Environments; len(environments) > 0 {
		at := environments[0].At
		at.Name = "environments"
		im.misplaced = append(im.misplaced, misplaced{
			at,
			elementHome{apiManagerFile, "APIGateway/Environments"},
			func() config.Value {
				if len(im.settings.Environments) == 0 {
					return config.Value{}
				}
				return im.settings.Environments[0].At
			},
		})
		im.settings.Environments = nil
	}
}

func first(values []config.Value) config.Value {
	if len(values) == 0 {
		return config.Value{}
	}
	return values[0]
}

// refuseMisplaced reports what was set aside, now that the WSO2 files are read.
func (im *importer) refuseMisplaced() {
	for _, m := range im.misplaced {
		if given := m.given(); given.Set() {
			im.problem(m.value, "%s is given here and as %s in %s; keep that one", m.value.Name, m.home.element, given.From())
			continue
		}
		im.problem(m.value, "%s belongs in %s, as %s", m.value.Name, m.home.file, m.home.element)
	}
}

// read returns the root element of a file that has been held against its
// outline, or nil.
func (im *importer) read(file, outlineText string) *element {
	data, found, problems := config.ReadFile(im.home, file)
	im.problems = append(im.problems, problems...)
	if !found && len(problems) == 0 {
		im.problems = append(im.problems, config.Problem{File: file, Text: "the file is missing"})
	}
	if !found || len(problems) > 0 {
		return nil
	}
	outline := parseOutline(outlineText)
	r := &reader{file: file, known: outline.has}
	root := r.read(data)
	im.problems = append(im.problems, r.problems...)
	if root == nil {
		return nil
	}
	c := &checker{file: file, outline: outline}
	c.check(root)
	im.problems = append(im.problems, c.problems...)
	im.warnings = append(im.warnings, c.warnings...)
	if root.name != outline.name {
		return nil
	}
	return root
}

func (im *importer) problem(v config.Value, format string, args ...any) {
	im.problems = append(im.problems, v.Problem(format, args...))
}

func (im *importer) warn(v config.Value, format string, args ...any) {
	im.warnings = append(im.warnings, v.From()+": "+fmt.Sprintf(format, args...))
}
