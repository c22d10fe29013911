package hook

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// Hooks for SRS answer 200 and refuse by a code.
func TestCodes(t *testing.T) {
	for body, want := range map[string]Outcome{
		"": Delivered, "0": Delivered, " 0\n": Delivered, `{"code":0}`: Delivered, `{"code": 0, "data": {"code": 1}}`: Delivered, "ok": Delivered,
		"{}": Delivered, "[1]": Delivered, `"1"`: Delivered, "true": Delivered, `{"code":null}`: Delivered, `{"code":"ok"}`: Delivered, "1 apple": Delivered,
		"<html>1</html>": Delivered, "-0": Delivered, `{"code":0.0}`: Delivered, `{"error":"x"}`: Delivered, strings.Repeat("x", 2*maxBody): Delivered,
		"1": Refused, "-1": Refused, "403\r\n": Refused, `{"code":1}`: Refused, "\ufeff{\"code\": -7}": Refused, `{"server":"s","code":403,"data":null}`: Refused,
		`{"code":"1"}`: Refused, "99999999999999999999999": Refused, `{"code":1e999}`: Refused, `{"data":"` + strings.Repeat("x", maxBody/2) + `","code":2}`: Refused,
		`{"data":"` + strings.Repeat("x", maxBody) + `","code":2}`: Failed,
	} {
		if got := verdictOf([]byte(body), nil); got.outcome != want {
			t.Errorf("%.60q: got %s, want %s", body, got.outcome, want)
		}
	}
	if got := verdictOf([]byte("0"), io.ErrUnexpectedEOF); got.outcome != Failed {
		t.Errorf("response that was cut off: got %s", got.outcome)
	}
}

// A code refuses a question, with the hook's own text. For a notification it means nothing.
func TestCodeRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, usual())
		w.up()
		w.answers(200, `{"code": 3, "error": "the account is empty"}`)
		for _, kind := range []Type{Publish, Play} {
			err := w.hooks.Ask(t.Context(), Event{Type: kind, Stream: "live/cam"}, "")
			if err == nil || !strings.Contains(err.Error(), "the account is empty") {
				t.Errorf("%s: got %v", kind, err)
			}
		}
		w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
		synctest.Wait()
		if w.count(Refused) != 2 || w.count(Delivered) != 1 {
			t.Errorf("got %v", w.counts)
		}
		w.answers(200, `{"code": 0}`)
		if err := w.hooks.Ask(t.Context(), Event{Type: Play, Stream: "live/cam"}, ""); err != nil {
			t.Errorf("code 0: got %v", err)
		}
	})
}

func FuzzVerdict(f *testing.F) {
	for _, body := range []string{"", "0", "1", `{"code":1}`, `{"code":`, "{{{", strings.Repeat("[", 1000)} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if a := verdictOf(body, nil); a.outcome == Refused && a.err == nil {
			t.Errorf("%q is refused without a reason", body)
		}
	})
}
