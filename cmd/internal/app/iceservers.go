package app

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // what TURN servers check
	"encoding/base64"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/configs"
)

// iceServers returns the values of the Link headers for ICE servers (RFC 9725, 4.6).
func (a *App) iceServers() []string {
	var out []string
	for _, s := range a.settings.get().WebRTC.ICEServers {
		out = append(out, iceLink(s, time.Now()))
	}
	return out
}

// iceLink returns the value of the Link header for an ICE server, with credentials that are valid at time
// now.
func iceLink(s configs.ICEServer, now time.Time) string {
	link := fmt.Sprintf(`<%s>; rel="ice-server"`, s.URL)
	username, credential := s.Username, s.Credential
	if s.Secret != "" {
		username, credential = turnCredential(s, now)
	}
	if username == "" {
		return link
	}
	return link + fmt.Sprintf(`; username=%s; credential=%s; credential-type="password"`, quotedString(username), quotedString(credential))
}

// turnCredential returns a username that contains its expiry time, and a credential derived from it with
// the secret shared with the TURN server (draft-uberti-behave-turn-rest-00, 2.2; use-auth-secret of coturn).
func turnCredential(s configs.ICEServer, now time.Time) (username, credential string) {
	username = strconv.FormatInt(now.Add(s.Lifetime).Unix(), 10)
	if s.Username != "" {
		username += ":" + s.Username
	}
	mac := hmac.New(sha1.New, []byte(s.Secret))
	_, _ = mac.Write([]byte(username)) // never fails
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
