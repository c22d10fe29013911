package rtcsock

import (
	"errors"
	"fmt"
	"strings"
)

// Fragment is the ICE part of a session description, in the format application/trickle-ice-sdpfrag
// (RFC 8840, 9).
type Fragment struct {
	Ufrag, Pwd string
	// Candidates are the a=candidate lines, without "a=", in order.
	Candidates []string
	// MIDs holds the MID of each candidate's media section; empty if unknown.
	MIDs []string
	End  bool // no more candidates will follow
	// media holds the m= lines and their MIDs, so that an answer can repeat them.
	media [][2]string
}

// Limits of what a peer may send.
const (
	maxCandidates = 64
	maxMedia      = 16
	maxLine       = 1024
)

// ErrFragment is wrapped by all errors about malformed fragments.
var ErrFragment = errors.New("malformed SDP fragment")

// ParseFragment parses a fragment. It ignores unknown lines.
func ParseFragment(text string) (Fragment, error) { return parseFragment(text, maxCandidates) }

// parseFragment is ParseFragment with its own limit on the number of candidates.
func parseFragment(text string, most int) (Fragment, error) {
	var f Fragment
	mid := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		kind, value, ok := strings.Cut(line, "=")
		if !ok || len(kind) != 1 || len(line) > maxLine {
			return Fragment{}, fmt.Errorf("a line is not of the form x=…: %w", ErrFragment)
		}
		if kind == "m" {
			if mid = ""; len(f.media) == maxMedia {
				return Fragment{}, fmt.Errorf("more than %d media: %w", maxMedia, ErrFragment)
			}
			f.media = append(f.media, [2]string{value, ""})
			continue
		}
		if kind != "a" {
			continue
		}
		var err error
		if mid, err = f.parseAttribute(value, mid, most); err != nil {
			return Fragment{}, err
		}
	}
	if (f.Ufrag == "") != (f.Pwd == "") {
		return Fragment{}, fmt.Errorf("ice-ufrag and ice-pwd belong together: %w", ErrFragment)
	}
	return f, nil
}

// parseAttribute parses one a= line. mid is the MID of the current media section; parseAttribute
// returns the MID that applies after the line.
func (f *Fragment) parseAttribute(value, mid string, most int) (string, error) {
	name, arg, _ := strings.Cut(value, ":")
	switch name {
	case "ice-ufrag":
		if !isCredential(arg, 4) || f.Ufrag != "" && f.Ufrag != arg {
			return mid, fmt.Errorf("ice-ufrag %.20q: %w", arg, ErrFragment)
		}
		f.Ufrag = arg
	case "ice-pwd":
		if !isCredential(arg, 22) || f.Pwd != "" && f.Pwd != arg {
			return mid, fmt.Errorf("ice-pwd: %w", ErrFragment)
		}
		f.Pwd = arg
	case "mid":
		mid = arg
		if n := len(f.media); n > 0 {
			f.media[n-1][1] = arg
		}
	case "end-of-candidates":
		f.End = true
	case "candidate":
		if len(f.Candidates) == most {
			return mid, fmt.Errorf("more than %d candidates: %w", most, ErrFragment)
		}
		f.Candidates, f.MIDs = append(f.Candidates, value), append(f.MIDs, mid)
	}
	return mid, nil
}

// isCredential reports whether s is valid as an ICE user name fragment or password (RFC 8839, 5.4).
// least is the minimum length.
func isCredential(s string, least int) bool {
	if len(s) < least || len(s) > 256 {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '+' && r != '/'
	}) < 0
}

// String returns the fragment as text: the credentials, which apply to all media sections, then the
// candidates, under the m= line of the first section.
func (f Fragment) String() string {
	var b strings.Builder
	if f.Ufrag != "" {
		fmt.Fprintf(&b, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", f.Ufrag, f.Pwd)
	}
	if len(f.Candidates) == 0 && !f.End {
		return b.String()
	}
	media := [2]string{"audio 9 UDP/TLS/RTP/SAVPF 0", "0"}
	if len(f.media) > 0 {
		media = f.media[0]
	}
	fmt.Fprintf(&b, "m=%s\r\n", media[0])
	if media[1] != "" {
		fmt.Fprintf(&b, "a=mid:%s\r\n", media[1])
	}
	for _, c := range f.Candidates {
		fmt.Fprintf(&b, "a=%s\r\n", c)
	}
	if f.End {
		b.WriteString("a=end-of-candidates\r\n")
	}
	return b.String()
}

// fragmentOf returns the ICE part of a session description: the first credentials, and the
// candidates up to the end of the first media section.
func fragmentOf(description string) (Fragment, error) {
	var kept []string
	seen := map[string]bool{}
	media := 0
	for line := range strings.Lines(description) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "m="):
			if media++; media > 1 {
				continue
			}
		case strings.HasPrefix(line, "a=ice-ufrag:"), strings.HasPrefix(line, "a=ice-pwd:"):
			if seen[line[:10]] {
				continue
			}
			seen[line[:10]] = true
		case media <= 1 && (strings.HasPrefix(line, "a=mid:") || strings.HasPrefix(line, "a=candidate:") || line == "a=end-of-candidates"):
		default:
			continue
		}
		kept = append(kept, line)
	}
	return parseFragment(strings.Join(kept, "\r\n"), len(kept))
}
