package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/admission"
)

// ErrOpen is returned by PlayToken if playing needs no token.
var ErrOpen = errors.New("no token is needed")

// PlayToken returns a play token that is valid up to the time until, signed with the play_secret of the
// streams it is for. stream is the name {app}/{name} of a stream, or a pattern of streams. The error wraps
// ErrOpen if none of the streams has a play_secret. If only some have one, note is a text that says so.
func PlayToken(cfg *configs.Config, stream string, until time.Time) (token, note string, err error) {
	if err := checkStream(stream); err != nil {
		return "", "", err
	}
	closed, open := map[string][]string{}, []string(nil) // configuration entries: closed by secret, and open
	for _, r := range cfg.Reaches(ingest.ParentStream(stream)) {
		if secret := r.Settings.PlaySecret; secret != "" {
			closed[secret] = append(closed[secret], r.String())
		} else {
			open = append(open, r.String())
		}
	}
	switch len(closed) {
	case 0:
		return "", "", fmt.Errorf("playing %s is open to everyone, as %s has no play_secret: %w", stream, strings.Join(open, ", "), ErrOpen)
	case 1:
	default:
		var all []string
		for _, r := range cfg.Reaches(ingest.ParentStream(stream)) {
			if r.Settings.PlaySecret != "" {
				all = append(all, r.String())
			}
		}
		return "", "", fmt.Errorf("the streams of %q have different secrets, of %s; name one stream, or a narrower pattern", stream, strings.Join(all, ", "))
	}
	if len(open) > 0 {
		note = fmt.Sprintf("streams of %s are open to everyone and need no token", strings.Join(open, ", "))
	}
	for secret := range closed {
		token, err = admission.SignPlayToken(secret, stream, until)
	}
	return token, note, err
}

// checkStream returns an error if a text is neither the name of a stream nor a pattern of streams.
func checkStream(text string) error {
	app, name, _ := strings.Cut(text, "/")
	if strings.ContainsAny(text, `*?[\`) {
		if !configs.IsPattern(text) {
			return fmt.Errorf("%q is not a pattern of streams; write one like \"live/*\"; all streams: \"*/*\"", text)
		}
		return nil
	}
	if app == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%q is not the name of a stream; write app/name, such as live/cam, or a pattern such as \"live/*\"", text)
	}
	_, err := ingest.StreamName(app, name)
	return err
}

// operatorWatch is how long the play tokens that the API gives to operators are valid.
const operatorWatch = time.Hour

// pass returns a play token for the operator's browser and the time until which it is valid. The token is
// "" if everyone may play the stream.
func (a *App) pass(stream string) (token string, until time.Time, err error) {
	until = time.Now().Add(operatorWatch)
	token, _, err = PlayToken(a.settings.get(), stream, until)
	if errors.Is(err, ErrOpen) {
		return "", time.Time{}, nil
	}
	return token, until, err
}
