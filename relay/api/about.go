package api

import "net/http"

// About is the relay itself, as the API shows it.
type About struct {
	Version string `json:"version"`
	Ready   bool   `json:"ready"`
	Watch   Watch  `json:"watch"`
	Memory  Memory `json:"memory"`
}

// Memory is the media that all streams hold, in bytes.
type Memory struct {
	Used  int64            `json:"used_bytes"`
	Limit int64            `json:"limit_bytes"`
	Kinds map[string]int64 `json:"kinds"` // as in holdfast_memory_bytes
	// Share is the most that one buffer may hold now; left out where none has to shrink.
	Share int64 `json:"share_bytes,omitempty"`
}

// Watch is where viewers are served: at the host that one asks, or another.
type Watch struct {
	Scheme string `json:"scheme"` // http or https
	Port   int    `json:"port"`   // 0: nowhere
}

func about(o Options) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		out := About{Version: o.Version, Ready: o.Relay.Ready() == nil}
		if o.Watch != nil {
			out.Watch = o.Watch()
		}
		if o.Memory != nil {
			out.Memory = o.Memory()
		}
		reply(w, http.StatusOK, out)
	}
}

// drain begins the relay's end, and answers before it comes.
func drain(begin func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if begin == nil {
			Problem(w, http.StatusNotImplemented, "this relay cannot be drained from here", "end its process by SIGTERM")
			return
		}
		reply(w, http.StatusAccepted, map[string]string{"status": "draining"})
		begin()
	}
}
