package egress

import (
	"net/http"
	"strings"
)

// Token is the play token of a request, from its header or else its query; a secret.
func Token(r *http.Request) string {
	const scheme = "bearer "
	if a := r.Header.Get("Authorization"); len(a) > len(scheme) && strings.EqualFold(a[:len(scheme)], scheme) {
		return a[len(scheme):]
	}
	return r.URL.Query().Get("token")
}
