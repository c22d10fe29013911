package ingest

import (
	"regexp"
	"strings"
)

// Hidden replaces a secret in logs and messages.
const Hidden = "***"

var (
	// secretValue matches the value of a parameter that holds a secret, such as key=…. It also
	// matches outside of a URL's query, and if the delimiters are percent-encoded. It does not
	// match "…", which stands for the value in the relay's own hints.
	secretValue = regexp.MustCompile(`(?i)((?:^|[^a-z0-9]|%26|%3f)(?:key|streamkey|stream_key|token|resume|secret|password|passwd|pass|credential|auth|jwt)(?:=|%3d))[^\s&;"'<>,…\x60]+`)
	// bearer matches a bearer token in a header. signed matches a JSON Web Token.
	bearer = regexp.MustCompile(`(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{4,}`)
	signed = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,2}`)
	// userInfo matches the password in a URL.
	userInfo = regexp.MustCompile(`(://[^\s/@:]*:)[^\s/@]+@`)
)

// HideSecrets returns text with everything that looks like a secret replaced: values of parameters
// such as key and token, tokens, and passwords in URLs.
func HideSecrets(text string) string {
	if strings.ContainsRune(text, '=') || strings.Contains(text, "%3") {
		text = secretValue.ReplaceAllString(text, "${1}"+Hidden)
	}
	if strings.Contains(text, "eyJ") {
		text = signed.ReplaceAllString(text, Hidden)
	}
	if strings.Contains(text, "://") {
		text = userInfo.ReplaceAllString(text, "${1}"+Hidden+"@")
	}
	return bearer.ReplaceAllString(text, "${1}"+Hidden)
}
