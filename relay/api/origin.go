package api

import "net/http"

// sameOrigin keeps other sites' pages from acting with what the operator's browser may do.
func sameOrigin(next http.Handler) http.Handler {
	return protection().Handler(next)
}

// working is for a GET that has the relay work: another site's page cannot read its answer, but
// could have it asked for again and again.
func working(next http.HandlerFunc) http.Handler {
	p := protection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		act := *r
		act.Method = http.MethodPost // what only reads would be let through
		if p.Check(&act) != nil {
			foreign(w, r)
			return
		}
		next(w, r)
	})
}

func protection() *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(foreign))
	return p
}

func foreign(w http.ResponseWriter, _ *http.Request) {
	Problem(w, http.StatusForbidden, "a page of another site may not do this", "send it from this address, or without a browser")
}
