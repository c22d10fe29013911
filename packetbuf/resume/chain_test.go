package resume

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"
)

// However often a viewer resumes, its tokens expire with the play token that admitted it, and a
// Lifetime after the first.
func TestResumeChainExpires(t *testing.T) {
	s := newSealer(t, 1, 9)
	for name, tt := range map[string]struct{ until, end time.Time }{
		"with a play token":          {noon.Add(time.Hour), noon.Add(time.Hour)},
		"with one that outlasts it":  {noon.Add(100 * Lifetime), noon.Add(Lifetime)},
		"without one":                {time.Time{}, noon.Add(Lifetime)},
		"with one that is over soon": {noon.Add(time.Second), noon.Add(time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			c, now := camClaims, noon
			c.Until = tt.until
			for n := 0; ; n++ {
				token := mustSeal(t, s, now, c, "s3cret")
				now = now.Add(10 * time.Minute)
				got, verdict := s.Open(now, token, "live/cam", "s3cret")
				if want := now.Before(tt.end); verdict.Admits() != want {
					t.Fatalf("resume %d after %v: verdict %v, want admitted %v", n, now.Sub(noon), verdict, want)
				}
				if !verdict.Admits() {
					return
				}
				if !got.First.Equal(noon) || !got.Until.Equal(tt.until) {
					t.Fatalf("got first %v, until %v, want %v, %v", got.First, got.Until, noon, tt.until)
				}
				c = got
			}
		})
	}
}

// sealV1 returns a token of version 1.
func sealV1(t testing.TB, s *Sealer, now time.Time, c Claims, under string) string {
	t.Helper()
	period := periodOf(now)
	aead, err := s.periodCipher(period, under)
	if err != nil {
		t.Fatal(err)
	}
	var plain []byte
	for _, n := range [...]uint64{s.instance, c.Viewer, c.Life, c.Since, unixSeconds(now), unixSeconds(now.Add(Lifetime))} {
		plain = binary.BigEndian.AppendUint64(plain, n)
	}
	token := binary.BigEndian.AppendUint32([]byte{versionV1}, period)
	token = append(token, nonce[:]...)
	return encoding.EncodeToString(aead.Seal(token, nonce[:], append(plain, c.Stream...), token[:headSize])) //nolint:gosec // to be the same in each run
}

// Tokens of version 1 do not say when the play token expires: they admit a viewer only if no secret
// is needed.
func TestOlderVersion(t *testing.T) {
	before, s := newSealer(t, 1, 8), newSealer(t, 1, 9)
	for under, want := range map[string]Verdict{"": Elsewhere, "s3cret": Expired} {
		c, verdict := s.Open(noon.Add(time.Minute), sealV1(t, before, noon, camClaims, under), "live/cam", under)
		if verdict != want || c.Viewer != camClaims.Viewer || c.Life != camClaims.Life || c.Since != camClaims.Since || !c.First.Equal(noon) || !c.Until.IsZero() {
			t.Errorf("secret %q: got verdict %v, claims %+v, want %v", under, verdict, c, want)
		}
	}
	if _, verdict := s.Open(noon.Add(Lifetime), sealV1(t, before, noon, camClaims, ""), "live/cam", ""); verdict != Expired {
		t.Errorf("after its lifetime: got %v, want %v", verdict, Expired)
	}
}

func TestNames(t *testing.T) {
	s := newSealer(t, 1, 9)
	want := Name{Stream: "live/cam", ID: 5, Life: 3, Until: time.Unix(noon.Add(time.Hour).Unix(), 0), Instance: 9}
	text := s.SealName(want, "s3cret")
	if got, verdict := s.OpenName(noon, text, "live/cam", "s3cret"); verdict != Good || got != want {
		t.Errorf("got %v, %+v, want %v, %+v", verdict, got, Good, want)
	}
	for name, tt := range map[string]struct {
		by            *Sealer
		text          string
		stream, under string
		now           time.Time
		want          Verdict
	}{
		"on another node":       {newSealer(t, 1, 10), text, "live/cam", "s3cret", noon, Elsewhere},
		"with another key":      {newSealer(t, 2, 9), text, "live/cam", "s3cret", noon, Invalid},
		"of another stream":     {s, text, "live/cam2", "s3cret", noon, Invalid},
		"of another secret":     {s, text, "live/cam", "", noon, Invalid},
		"in its last second":    {s, text, "live/cam", "s3cret", noon.Add(time.Hour - time.Second), Good},
		"after the play token":  {s, text, "live/cam", "s3cret", noon.Add(time.Hour), Expired},
		"made up":               {s, strings.Repeat("A", len(text)), "live/cam", "s3cret", noon, Invalid},
		"empty":                 {s, "", "live/cam", "s3cret", noon, Invalid},
		"a resume token":        {s, mustSeal(t, s, noon, camClaims, "s3cret"), "live/cam", "s3cret", noon, Invalid},
		"without an expiry":     {s, s.SealName(Name{Stream: "live/cam"}, ""), "live/cam", "", noon.Add(1000 * Lifetime), Good},
		"with a line's end":     {s, text[:9] + "\n" + text[10:], "live/cam", "s3cret", noon, Invalid},
		"with the name changed": {s, "B" + text[1:], "live/cam", "s3cret", noon, Invalid},
	} {
		if _, got := tt.by.OpenName(tt.now, tt.text, tt.stream, tt.under); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	if _, verdict := s.Open(noon, text, "live/cam", "s3cret"); verdict != Invalid {
		t.Errorf("a name as a resume token: got %v, want %v", verdict, Invalid)
	}
}

func FuzzOpenName(f *testing.F) {
	s := newSealer(f, 1, 9)
	good := s.SealName(Name{Stream: "live/cam", ID: 1, Life: 2, Until: noon.Add(time.Hour)}, "")
	for _, text := range []string{good, good[1:], good + "A", "", strings.Repeat("A", len(good)), good[:9] + "\r\n" + good[11:]} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, verdict := s.OpenName(noon, text, "live/cam", "")
		if (verdict != Invalid) != (text == good) || verdict == Invalid && n != (Name{}) {
			t.Errorf("%q: got %v, %+v", text, verdict, n)
		}
	})
}
