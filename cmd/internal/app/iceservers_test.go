package app

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
)

// The credentials are computed as with openssl: printf '%s' '1700003600:cam' |
// openssl dgst -sha1 -hmac north -binary | base64
func TestICELinks(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, tt := range map[string]struct {
		server configs.ICEServer
		want   string
	}{
		"STUN":        {configs.ICEServer{URL: "stun:h", Lifetime: time.Hour}, `<stun:h>; rel="ice-server"`},
		"fixed":       {configs.ICEServer{URL: "turn:h", Username: "u", Credential: `c"`}, `<turn:h>; rel="ice-server"; username="u"; credential="c\""; credential-type="password"`},
		"with a name": {configs.ICEServer{URL: "turn:h", Username: "cam", Secret: "north", Lifetime: time.Hour}, `<turn:h>; rel="ice-server"; username="1700003600:cam"; credential="CBXhxQNGzZ7jWVji0SV0UpZHLtE="; credential-type="password"`},
		"without":     {configs.ICEServer{URL: "turn:h", Secret: "north", Lifetime: time.Hour}, `<turn:h>; rel="ice-server"; username="1700003600"; credential="xF4I6gruVt/PjGbjajGu2UlidPk="; credential-type="password"`},
	} {
		if got := iceLink(tt.server, now); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
