package egress

import (
	"net/http"
	"strings"
)

// Token is the play token of a request, from its header or else its query; a secret.
func Token(r *http.Request) string {
	if token := Bearer(r); token != "" {
		return token
	}
	return r.URL.Query().Get("token")
}

// Bearer is the token in a request's header (RFC 6750, 2.1); a secret.
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
