package hls

import (
	"errors"
	"net/url"
	"strconv"
)

// query is the query of a request for a playlist.
type query struct {
	session, token string
	instance       string // instance that issued the URL; may be empty
	plain          bool   // ll=0: without parts
	blocking       bool   // _HLS_msn: block until that segment exists
	msn            uint64
	part           int  // _HLS_part: block until that part of it exists; -1 for the whole segment
	skip           bool // _HLS_skip: the client accepts a delta update
}

var (
	errNumber    = errors.New("_HLS_msn and _HLS_part must be whole numbers")
	errPartAlone = errors.New("_HLS_part requires _HLS_msn")
)

// Maximum lengths of a query and of a session.
const (
	maxQuery   = 4096
	maxSession = 128
)

// parseQuery parses the query of a URL. It ignores unknown parameters.
func parseQuery(raw string) (query, error) {
	q := query{part: -1}
	if len(raw) > maxQuery {
		return q, errors.New("query too long")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, errors.New("malformed query")
	}
	q.token, q.plain = values.Get("token"), values.Get("ll") == "0"
	q.instance = values.Get("run")
	if s := values.Get("s"); validSession(s) {
		q.session = s
	}
	skip := values.Get("_HLS_skip")
	q.skip = skip == "YES" || skip == "v2"
	if values.Has("_HLS_msn") {
		q.blocking = true
		if q.msn, err = strconv.ParseUint(values.Get("_HLS_msn"), 10, 63); err != nil {
			return q, errNumber
		}
	}
	if values.Has("_HLS_part") {
		part, err := strconv.ParseUint(values.Get("_HLS_part"), 10, 16)
		if err != nil {
			return q, errNumber
		}
		if q.part = int(part); !q.blocking { //nolint:gosec // 16 bits
			return q, errPartAlone
		}
	}
	return q, nil
}

func validSession(s string) bool {
	if s == "" || len(s) > maxSession {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
