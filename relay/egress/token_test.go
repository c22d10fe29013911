package egress

import (
	"net/http"
	"testing"
)

func TestToken(t *testing.T) {
	for _, tt := range []struct{ query, header, want string }{
		{"", "", ""},
		{"?token=a.b.c", "", "a.b.c"},
		{"", "Bearer a.b.c", "a.b.c"},
		{"", "bearer a.b.c", "a.b.c"},
		{"?token=x", "Bearer a.b.c", "a.b.c"},
		{"?token=x", "Basic a.b.c", "x"},
		{"?token=x", "Bearer ", "x"},
	} {
		r, err := http.NewRequest(http.MethodGet, "http://relay/live/cam.flv"+tt.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", tt.header)
		if got := Token(r); got != tt.want {
			t.Errorf("query %q, header %q: got %q, want %q", tt.query, tt.header, got, tt.want)
		}
	}
}
