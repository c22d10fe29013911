package api

import "net/http"

// About describes the relay.
type About struct {
	Version string `json:"version"`
	Ready   bool   `json:"ready"`
	Watch   Watch  `json:"watch"`
	Memory  Memory `json:"memory"`
}

// Memory is the memory used by the media of all streams, in bytes.
type Memory struct {
	Used  int64            `json:"used_bytes"`
	Limit int64            `json:"limit_bytes"`
	Kinds map[string]int64 `json:"kinds"` // as in holdfast_memory_bytes
	// Share is the maximum size of one buffer; omitted if no buffer has to shrink.
	Share int64 `json:"share_bytes,omitempty"`
}

// Watch is the scheme and port at which viewers are served, on the host of the API.
type Watch struct {
	Scheme string `json:"scheme"` // http or https
	Port   int    `json:"port"`   // 0 if viewers are not served
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

// drain starts the shutdown of the relay after it has responded.
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
