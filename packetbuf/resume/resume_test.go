package resume

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	nonce = [NonceSize]byte{1, 2, 3}
)

func newSealer(t testing.TB, key byte, instance uint64) *Sealer {
	t.Helper()
	s, err := New(bytes.Repeat([]byte{key}, KeySize), instance)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSeal(t testing.TB, s *Sealer, now time.Time, c Claims, under string) string {
	t.Helper()
	token, err := s.Seal(now, c, under, nonce) //nolint:gosec // to be the same in each run
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var camClaims = Claims{Stream: "live/cam", Viewer: 7, Life: 3, Since: 1 << 40}

func TestSealAndOpen(t *testing.T) {
	s := newSealer(t, 1, 9)
	token := mustSeal(t, s, noon, camClaims, "s3cret")
	want := camClaims
	want.Instance, want.Issued, want.First, want.Expires = 9, time.Unix(noon.Unix(), 0), time.Unix(noon.Unix(), 0), time.Unix(noon.Add(Lifetime).Unix(), 0)
	got, verdict := s.Open(noon.Add(time.Hour), token, "live/cam", "s3cret")
	if verdict != Good || got != want {
		t.Errorf("got %v, %+v, want %v, %+v", verdict, got, Good, want)
	}
	if strings.ContainsAny(token, "+/=&?# ") || strings.Contains(token, "s3cret") {
		t.Errorf("got token %q, want URL-safe text without the secret", token)
	}
	for name, tt := range map[string]struct {
		by            *Sealer
		stream, under string
		now           time.Time
		want          Verdict
	}{
		"another stream":                 {s, "live/cam2", "s3cret", noon, Invalid},
		"its rendition":                  {s, "live/cam~360p", "s3cret", noon, Invalid},
		"another play secret":            {s, "live/cam", "s3cret2", noon, Invalid},
		"another key":                    {newSealer(t, 2, 9), "live/cam", "s3cret", noon, Invalid},
		"after a restart":                {newSealer(t, 1, 10), "live/cam", "s3cret", noon, Elsewhere},
		"after a restart, too late":      {newSealer(t, 1, 10), "live/cam", "s3cret", noon.Add(Lifetime), Expired},
		"in its last second":             {s, "live/cam", "s3cret", noon.Add(Lifetime - time.Second), Good},
		"a second later":                 {s, "live/cam", "s3cret", noon.Add(Lifetime), Expired},
		"a year later":                   {s, "live/cam", "s3cret", noon.Add(365 * Period), Expired},
		"on a node an hour behind":       {s, "live/cam", "s3cret", noon.Add(-time.Hour), Good},
		"on a node behind over midnight": {s, "live/cam", "s3cret", noon.Add(-13 * time.Hour), Good},
		"on a node days behind":          {s, "live/cam", "s3cret", noon.Add(-3 * Period), Invalid},
		"on a node before 1970":          {s, "live/cam", "s3cret", time.Time{}, Invalid},
	} {
		if _, got := tt.by.Open(tt.now, token, tt.stream, tt.under); got != tt.want || got.Admits() != (got == Good || got == Elsewhere) {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

// A token is valid for its whole lifetime whenever in a period it was sealed, and each period has
// its own key.
func TestKeysRotate(t *testing.T) {
	s := newSealer(t, 1, 9)
	sealed := map[string]bool{}
	for hour := range 72 {
		now := noon.Add(time.Duration(hour) * time.Hour)
		token := mustSeal(t, s, now, camClaims, "")
		for _, later := range []time.Duration{0, Lifetime / 2, Lifetime - time.Second} {
			if _, v := s.Open(now.Add(later), token, "live/cam", ""); v != Good {
				t.Errorf("sealed after %dh, opened %v later: got %v, want %v", hour, later, v, Good)
			}
		}
		raw, _ := base64.RawURLEncoding.DecodeString(token)
		sealed[string(raw[headSize+NonceSize:headSize+NonceSize+8])] = true // the instance, with the same nonce
	}
	if len(sealed) != 4 {
		t.Errorf("got %d keys, want 4 for the days in 72 hours from noon", len(sealed))
	}
}

// A token is invalid if any bit is changed, and if it is cut short.
func TestTampering(t *testing.T) {
	s := newSealer(t, 1, 9)
	raw, err := base64.RawURLEncoding.DecodeString(mustSeal(t, s, noon, camClaims, ""))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(raw) {
		raw[i/8] ^= 1 << (i % 8)
		if c, v := s.Open(noon, base64.RawURLEncoding.EncodeToString(raw), "live/cam", ""); v != Invalid || c != (Claims{}) {
			t.Errorf("bit %d changed: got %v, %+v, want %v", i, v, c, Invalid)
		}
		raw[i/8] ^= 1 << (i % 8)
	}
	for n := range raw {
		if _, v := s.Open(noon, base64.RawURLEncoding.EncodeToString(raw[:n]), "live/cam", ""); v != Invalid {
			t.Errorf("cut to %d bytes: got %v, want %v", n, v, Invalid)
		}
	}
}

func TestTwoNodesShareAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), KeySize, KeySize).Draw(t, "key")
		one, err := New(key, 1)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := New(bytes.Clone(key), 2)
		c := Claims{
			Stream: rapid.StringMatching(`[A-Za-z0-9._-]{1,64}/[A-Za-z0-9._-]{1,64}(~[a-z0-9]{1,64})?`).Draw(t, "stream"),
			Viewer: rapid.Uint64().Draw(t, "viewer"), Life: rapid.Uint64().Draw(t, "life"), Since: rapid.Uint64().Draw(t, "since"),
		}
		var n [NonceSize]byte
		copy(n[:], rapid.SliceOfN(rapid.Byte(), NonceSize, NonceSize).Draw(t, "nonce"))
		under := rapid.String().Draw(t, "under")
		now := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "now"), 0)
		token, err := one.Seal(now, c, under, n)
		if err != nil || len(token) > MaxToken {
			t.Fatalf("got a token of %d characters, %v, want at most %d", len(token), err, MaxToken)
		}
		got, v := two.Open(now.Add(time.Duration(rapid.Int64Range(0, int64(Lifetime)-1).Draw(t, "later"))), token, c.Stream, under)
		c.Instance, c.Issued, c.First, c.Expires = 1, got.Issued, got.Issued, got.Expires
		if v != Elsewhere || got != c || !got.Issued.Equal(now) {
			t.Fatalf("got %v, %+v, want %v, %+v", v, got, Elsewhere, c)
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := New(make([]byte, n), 1); err == nil {
			t.Errorf("key of %d bytes: got no error", n)
		}
	}
	for _, stream := range []string{"", strings.Repeat("x", maxStream+1)} {
		if _, err := newSealer(t, 1, 1).Seal(noon, Claims{Stream: stream}, "", nonce); err == nil {
			t.Errorf("stream of %d characters: got no error", len(stream))
		}
	}
	longest := mustSeal(t, newSealer(t, 1, 1), noon, Claims{Stream: strings.Repeat("x", maxStream)}, strings.Repeat("s", 1000))
	if len(longest) > MaxToken {
		t.Errorf("got a token of %d characters, want at most %d", len(longest), MaxToken)
	}
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, 1, 9)
	good := mustSeal(f, s, noon, camClaims, "")
	for _, token := range []string{good, good[1:], good + "A", "", "====", strings.Repeat("A", 10_000), good[:len(good)-1] + "~", good + "\n", good[:9] + "\r\n" + good[9:]} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, v := s.Open(noon, token, "live/cam", "")
		if (v != Invalid) != (token == good) || v == Invalid && c != (Claims{}) {
			t.Errorf("%q: got %v, %+v", token, v, c)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	s := newSealer(b, 1, 9)
	token := mustSeal(b, s, noon, camClaims, "secret")
	b.ReportAllocs()
	for b.Loop() {
		if _, v := s.Open(noon, token, "live/cam", "secret"); v != Good {
			b.Fatal(v)
		}
	}
}
