package hls

import (
	"errors"
	"net/url"
	"strconv"
)

// query is what a request for a playlist says.
type query struct {
	session, token string
	run            string // of the relay, that gave the URL; empty: it does not say
	plain          bool   // ll=0: without parts
	blocks         bool   // _HLS_msn: the answer waits for that segment
	msn            uint64
	part           int  // _HLS_part: and for that part of it; -1: for all of it
	skip           bool // _HLS_skip: the older segments need not be told again
}

var (
	errNumber = errors.New("_HLS_msn and _HLS_part are whole numbers")
	errAlone  = errors.New("_HLS_part stands with _HLS_msn")
)

// most is the longest query that is looked at, and mostName the longest session.
const (
	most     = 4096
	mostName = 128
)

// parseQuery reads a query. What it does not know it passes over.
func parseQuery(raw string) (query, error) {
	q := query{part: -1}
	if len(raw) > most {
		return q, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, errors.New("the query cannot be read")
	}
	q.token, q.plain = values.Get("token"), values.Get("ll") == "0"
	q.run = values.Get("run")
	if s := values.Get("s"); validSession(s) {
		q.session = s
	}
	skip := values.Get("_HLS_skip")
	q.skip = skip == "YES" || skip == "v2"
	if values.Has("_HLS_msn") {
		q.blocks = true
		if q.msn, err = strconv.ParseUint(values.Get("_HLS_msn"), 10, 63); err != nil {
			return q, errNumber
		}
	}
	if values.Has("_HLS_part") {
		part, err := strconv.ParseUint(values.Get("_HLS_part"), 10, 16)
		if err != nil {
			return q, errNumber
		}
		if q.part = int(part); !q.blocks { //nolint:gosec // 16 bits
			return q, errAlone
		}
	}
	return q, nil
}

func validSession(s string) bool {
	if s == "" || len(s) > mostName {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
