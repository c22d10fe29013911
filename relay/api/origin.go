package api

import "net/http"

// sameOrigin rejects cross-origin requests that would act with the operator's access.
func sameOrigin(next http.Handler) http.Handler {
	return protection().Handler(next)
}

// rejectCrossOrigin rejects cross-origin requests to a GET handler that causes work. Pages of other
// sites cannot read its response, but could request it repeatedly.
func rejectCrossOrigin(next http.HandlerFunc) http.Handler {
	p := protection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		act := *r
		act.Method = http.MethodPost // the protection allows all GET requests
		if p.Check(&act) != nil {
			crossOriginProblem(w, r)
			return
		}
		next(w, r)
	})
}

func protection() *http.CrossOriginProtection {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(crossOriginProblem))
	return p
}

func crossOriginProblem(w http.ResponseWriter, _ *http.Request) {
	Problem(w, http.StatusForbidden, "cross-origin request rejected", "send it from this origin, or without a browser")
}
