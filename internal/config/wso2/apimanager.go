package wso2

import (
	"slices"
	"strings"

	"github.com/sluice-api/sluice/internal/config"
)

// apiManager takes the settings from api-manager.xml.
func (im *importer) apiManager(root *element) {
	if root == nil {
		return
	}
	im.refuse(root)
	im.controlPlane(root.find("AuthManager"), root.find("APIKeyValidator"))
	im.oauth(root)
	im.backendJWT(root.find("APIConsumerAuthentication"), root.find("JWTConfiguration"))
	im.cors(root.find("CORSConfiguration"))
	im.settings.Tiers.Unlimited = im.newer(
		im.value(apiManagerFile, root.find("TierManagement"), "EnableUnlimitedTier"),
		im.value(apiManagerFile, root.find("ThrottlingConfigurations"), "EnableUnlimitedTier"))
	im.portals(root.find("APIStore"), root.find("APIPublisher"))
	if e := root.find("APIKeyValidator").find("EnableThriftServer"); e != nil {
		im.warn(at(e), "%s has no effect: no Thrift: gateways verify tokens themselves", e.name)
	}
	environments := root.find("APIGateway").find("Environments")
	if environments == nil {
		return
	}
	for _, e := range environments.children {
		if e.name == "Environment" {
			im.settings.Environments = append(im.settings.Environments, im.environment(e))
		}
	}
}

// at returns the place of an element of api-manager.xml.
func at(e *element) config.Value {
	return config.Value{Name: e.name, File: apiManagerFile, Line: e.line}
}

// connection is what AuthManager and APIKeyValidator say of another instance.
type connection struct {
	url, username, password config.Value
	elsewhere               bool // url names another instance
}

func (im *importer) connection(e *element) connection {
	c := connection{
		url:      im.address(apiManagerFile, e, "ServerURL"),
		username: im.value(apiManagerFile, e, "Username"),
		password: im.password(apiManagerFile, e, "Password"),
	}
	address, ok := im.draft.Address(c.url)
	if !ok {
		c.url = config.Value{} // reported
	}
	c.elsewhere = ok && !im.draft.Self(address)
	return c
}

// controlPlane decides which of the two connections leads to the control plane:
// AuthManager's, or APIKeyValidator's where that of AuthManager was left at its
// shipped value, which is this instance.
func (im *importer) controlPlane(authManager, keyValidator *element) {
	auth, key := im.connection(authManager), im.connection(keyValidator)
	chosen, other := auth, key
	if !auth.elsewhere && (key.elsewhere || !auth.url.Set()) {
		chosen, other = key, auth
	}
	if !chosen.username.Set() && !chosen.password.Set() {
		chosen.username, chosen.password = other.username, other.password
	}
	s := &im.settings.ControlPlane
	s.URL, s.Username, s.Password = chosen.url, chosen.username, chosen.password
	if auth.elsewhere && key.elsewhere {
		s.KeyManager = key.url
	}
	im.compareConnections(auth, key, chosen)
}

// compareConnections warns where the two differ in a way that may be a slip.
func (im *importer) compareConnections(auth, key, chosen connection) {
	authAddress, _ := im.draft.Address(auth.url)
	keyAddress, _ := im.draft.Address(key.url)
	switch {
	case auth.elsewhere && key.elsewhere && authAddress != keyAddress:
		im.warn(key.url, "APIKeyValidator names %s, and AuthManager in line %d names %s: this gateway enrols with the latter and takes tokens from the former",
			keyAddress, auth.url.Line, authAddress)
	case auth.elsewhere && key.url.Set() && !key.elsewhere:
		im.warn(key.url, "APIKeyValidator still names this instance; %s of AuthManager in line %d is used", authAddress, auth.url.Line)
	case key.elsewhere && auth.url.Set() && !auth.elsewhere:
		im.warn(auth.url, "AuthManager still names this instance; %s of APIKeyValidator in line %d is used", keyAddress, key.url.Line)
	}
	both := auth.password.Usable() && key.password.Usable()
	if both && (auth.password.Text != key.password.Text || auth.username.Text != key.username.Text) {
		im.warn(key.password, "the credentials differ from those of AuthManager in line %d; those in line %d are used",
			auth.password.Line, chosen.password.Line)
	}
}

// oauth takes the settings that 1.9 and 1.10 have in other places than 2.0 and
// 2.1: both are read, and the newer counts.
func (im *importer) oauth(root *element) {
	s := im.settings
	validator, consumer, oauth := root.find("APIKeyValidator"), root.find("APIConsumerAuthentication"), root.find("OAuthConfigurations")
	value := func(in *element, name string) config.Value { return im.value(apiManagerFile, in, name) }

	s.KeyManager.RevokeURL = im.newer(im.address(apiManagerFile, validator, "RevokeAPIURL"), im.address(apiManagerFile, oauth, "RevokeAPIURL"))
	const scope = "ApplicationTokenScope"
	s.KeyManager.ApplicationScope = im.newer(value(validator, scope), value(oauth, scope))
	const remove = "RemoveOAuthHeadersFromOutMessage"
	s.Gateway.RemoveAuthorization = im.newer(value(consumer, remove), value(oauth, remove))

	older, newer := im.scopes(validator), im.scopes(oauth)
	same := slices.EqualFunc(older, newer, func(a, b config.Value) bool { return a.Text == b.Text })
	if older != nil && newer != nil && !same {
		im.warnDiffer(at(validator.find("ScopeWhitelist")), at(oauth.find("ScopeWhitelist")))
	}
	s.KeyManager.ScopeWhitelist = older
	if newer != nil {
		s.KeyManager.ScopeWhitelist = newer
	}
}

func (im *importer) newer(older, newer config.Value) config.Value {
	if !newer.Set() {
		return older
	}
	if older.Usable() && newer.Usable() && older.Text != newer.Text {
		im.warnDiffer(older, newer)
	}
	return newer
}

func (im *importer) warnDiffer(older, newer config.Value) {
	im.warn(older, "%s differs from that in line %d, which counts", older.Name, newer.Line)
}

// scopes returns the white list below e, or nil where there is none.
func (im *importer) scopes(in *element) []config.Value {
	list := in.find("ScopeWhitelist")
	if list == nil {
		return nil
	}
	scopes := []config.Value{}
	for _, e := range list.children {
		if e.name != "Scope" {
			continue
		}
		if v := im.valueOf(apiManagerFile, e); v.Set() {
			scopes = append(scopes, v)
		}
	}
	return scopes
}

// backendJWT takes the settings of backend tokens, from where 1.9 has them and
// from where 1.10 and later do.
func (im *importer) backendJWT(consumer, jwt *element) {
	value := func(in *element, name string) config.Value { return im.value(apiManagerFile, in, name) }
	s := &im.settings.BackendJWT
	s.Enabled = im.newer(value(consumer, "EnableTokenGeneration"), value(jwt, "EnableJWTGeneration"))
	s.Header = im.newer(value(consumer, "SecurityContextHeader"), value(jwt, "JWTHeader"))
	const dialect, omit = "ConsumerDialectURI", "RemoveUserNameFromJWTForApplicationToken"
	s.Dialect = im.newer(value(consumer, dialect), value(jwt, dialect))
	s.OmitUser = im.newer(value(consumer, omit), value(jwt, omit))
}

func (im *importer) cors(e *element) {
	const prefix = "Access-Control-Allow-"
	s := &im.settings.CORS
	s.Enabled = im.value(apiManagerFile, e, "Enabled")
	s.Credentials = im.value(apiManagerFile, e, prefix+"Credentials")
	s.Origins = im.commaList(e, prefix+"Origin")
	s.Methods = im.commaList(e, prefix+"Methods")
	s.Headers = im.commaList(e, prefix+"Headers")
}

// commaList reads a list in one text, nil where there is none.
func (im *importer) commaList(in *element, name string) (list []config.Value) {
	v := im.value(apiManagerFile, in, name)
	if !v.Usable() {
		return nil
	}
	for item := range strings.SplitSeq(v.Text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			one := v
			one.Text = item
			list = append(list, one)
		}
	}
	return list
}

func (im *importer) portals(store, publisher *element) {
	s := &im.settings.Store
	s.URL = im.address(apiManagerFile, store, "URL")
	for name, to := range map[string]*config.Value{
		"DisplayAllAPIs": &s.DisplayAllAPIs, "DisplayMultipleVersions": &s.DisplayMultipleVersions,
		"DisplayComments": &s.DisplayComments, "DisplayRatings": &s.DisplayRatings, "APIsPerPage": &s.APIsPerPage,
	} {
		*to = im.value(apiManagerFile, store, name)
	}
	im.settings.Publisher.URL = im.address(apiManagerFile, publisher, "URL")
	im.settings.Publisher.APIsPerPage = im.value(apiManagerFile, publisher, "APIsPerPage")
}

// refuse reports what would weaken security or drop an approval if it were
// accepted without effect.
func (im *importer) refuse(root *element) {
	if v := im.value(apiManagerFile, root, "GatewayType"); v.Usable() && v.Text != "Synapse" {
		im.problem(v, "GatewayType %q cannot be taken over from this file", v.Text)
	}
	if v := im.value(apiManagerFile, root, "EnableSecureVault"); v.Usable() && v.Text != "false" {
		im.problem(v, vaultMessage)
	}
	for section, what := range map[string]string{"WorkflowConfigurations": "approvals", "StartupAPIPublisher": "start-up publishing"} {
		if v := im.value(apiManagerFile, root.find(section), "Enabled"); v.Usable() && v.Text != "false" {
			im.problem(v, "%s cannot be taken over from this file", what)
		}
	}
	for _, section := range []string{"JWTConfiguration", "APIConsumerAuthentication"} {
		im.refuseJWT(root.find(section))
	}
	im.refuseClass(root.find("APIKeyValidator"), "KeyValidationHandlerClassName", "",
		"org.wso2.carbon.apimgt.keymgt.handlers.DefaultKeyValidationHandler")
	im.refuseClass(root.find("APIKeyManager"), "KeyManagerClientImpl", "; add the external Key Manager in the Admin portal",
		"org.wso2.carbon.apimgt.impl.AMDefaultKeyManagerImpl", "org.wso2.carbon.apimgt.keymgt.AMDefaultKeyManagerImpl")
}

func (im *importer) refuseJWT(section *element) {
	switch v := im.value(apiManagerFile, section, "SignatureAlgorithm"); {
	case strings.EqualFold(v.Text, "NONE"):
		im.problem(v, "unsigned backend JWTs cannot be taken over from this file")
	case v.Usable() && v.Text != "SHA256withRSA":
		im.problem(v, "SignatureAlgorithm %q is not SHA256withRSA", v.Text)
	}
	for _, name := range []string{"JWTGeneratorImpl", "TokenGeneratorImpl"} {
		im.refuseClass(section, name, "",
			"org.wso2.carbon.apimgt.keymgt.token.JWTGenerator", "org.wso2.carbon.apimgt.keymgt.token.URLSafeJWTGenerator",
			"org.wso2.carbon.apimgt.impl.token.JWTGenerator", "org.wso2.carbon.apimgt.impl.token.URLSafeJWTGenerator")
	}
	im.refuseClass(section, "ClaimsRetrieverImplClass", "", "org.wso2.carbon.apimgt.impl.token.DefaultClaimsRetriever")
}

// refuseClass reports a Java class that is not one of those shipped.
func (im *importer) refuseClass(in *element, name, hint string, shipped ...string) {
	if v := im.value(apiManagerFile, in, name); v.Usable() && !slices.Contains(shipped, v.Text) {
		im.problem(v, "%q is a Java class; Sluice cannot run it%s", v.Text, hint)
	}
}
