package policy

// Check names the part of a call's way that gives a fault, in the words of the
// contract's order of checks: what an operator asks who wants to know why a call
// was refused. It is empty for a fault that no check gives.
func (f *Fault) Check() string {
	switch f {
	case BadRequest, IncompletePayload, RequestTimeout, ContentTooLarge, URITooLong, HeaderTooLarge, NotImplemented, LoopDetected:
		return "http"
	case UnknownAPI:
		return "api"
	case TransportForbidden:
		return "transport"
	case UnknownResource, MethodNotAllowed:
		return "resource"
	case APIBlocked:
		return "lifecycle"
	case AuthenticationFailure, InvalidCredentials, MissingCredentials, TokenExpired, InvalidAPIKey, MissingAPIKey, APIKeyExpired, APIKeyElsewhere:
		return "authentication"
	case NeedsUserToken, NeedsApplicationToken:
		return "token_type"
	case SandboxKeyRefused, ProductionKeyRefused, NoProductionEndpoint, NoSandboxEndpoint:
		return "key_type"
	case NotSubscribed, SubscriptionBlocked, SubscriptionInactive:
		return "subscription"
	case ScopeMissing:
		return "scope"
	case MessageBlocked:
		return "deny_list"
	case APIThrottled, BackendLimitReached, ResourceThrottled, ApplicationThrottled, SubscriptionThrottled, CustomThrottled, BurstThrottled:
		return "limit"
	case BackendUnreachable, BackendUntrusted, BackendTimeout, BackendClosed, BackendProtocol:
		return "backend"
	}
	return ""
}
