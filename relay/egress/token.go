package egress

import (
	"net/http"
	"strings"
)

// Token returns the play token of a request: the bearer token, or else the parameter token of the
// query. It is a secret.
func Token(r *http.Request) string {
	if token := Bearer(r); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

// Bearer returns the bearer token in a request's header (RFC 6750, section 2.1). It is a
// secret.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
