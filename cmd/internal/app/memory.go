package app

import (
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/relay/api"
)

// memory is the memory budget for the media of all streams.
type memory struct {
	*budget.Budget
	reassembly *budget.Account
	near       chan struct{} // capacity 1: receives a value when the use comes near the limit
	machine    int64         // memory of the container or the machine; 0 if unknown
}

func newMemory(cfg *configs.Config) *memory {
	m := &memory{near: make(chan struct{}, 1), machine: availableMemory(os.DirFS("/"))}
	m.Budget = budget.New(ceiling(cfg, m.machine), func() {
		select {
		case m.near <- struct{}{}:
		default: // already pending
		}
	})
	m.reassembly = m.OpenFixed(budget.Reassembly)
	return m
}

// balanceEvery is the interval at which the memory is redistributed even if the limit is not near.
const balanceEvery = time.Second

// balanceGap is the minimum time between two redistributions, because each visits all buffers.
const balanceGap = 50 * time.Millisecond

// start starts to redistribute the memory periodically and when the limit is near, until the function stop
// is called.
func (m *memory) start() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(balanceEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-m.near:
			case <-tick.C:
			}
			m.Balance()
			select {
			case <-done:
				return
			case <-time.After(balanceGap):
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		running.Wait()
	})
}

func (m *memory) reload(cfg *configs.Config) {
	m.SetLimit(ceiling(cfg, m.machine))
	m.Balance()
	boundHeap(cfg, m.machine)
}

// view returns the state of the memory as in the API.
func (m *memory) view() api.Memory {
	out := api.Memory{Limit: m.Limit(), Used: m.Used(), Kinds: m.Use()}
	if s := m.Share(); s != budget.Unlimited {
		out.Share = s
	}
	return out
}

// unknownMachine is the assumed memory of a machine if the system does not report it.
const unknownMachine = 4 << 30

// ceiling returns limits.memory in bytes. If it is auto, that is 70 % of machine, the available memory.
func ceiling(cfg *configs.Config, machine int64) int64 {
	if m := cfg.Limits.Memory; m != configs.AutoBytes {
		return int64(m)
	}
	if machine == 0 {
		machine = unknownMachine
	}
	return machine / 10 * 7
}

const (
	perConnection = 48 << 10  // typical maximum heap per connection
	perChild      = 256 << 20 // memory of a transcode
	baseMemory    = 128 << 20 // memory of the relay without streams and connections
)

// heapLimit returns the memory limit for the Go runtime in bytes. It allows for media, connections and the
// garbage between two collections. It leaves part of the machine's memory to sockets and child processes,
// unless the limit for media alone requires more.
func heapLimit(cfg *configs.Config, machine int64) int64 {
	media := ceiling(cfg, machine)
	wants := media + media/4 + int64(cfg.Limits.Connections)*perConnection + baseMemory
	if machine == 0 {
		return wants
	}
	has := machine / 10 * 9
	if transcodes(cfg) {
		has -= min(int64(cfg.Limits.Transcodes)*perChild, machine/10)
	}
	return min(wants, max(has, media+media/10))
}

// transcodes reports whether any stream has renditions.
func transcodes(cfg *configs.Config) bool {
	for i := range cfg.Streams {
		if len(cfg.Streams[i].Transcode) > 0 {
			return true
		}
	}
	return len(cfg.Defaults.Transcode) > 0
}

// boundHeap sets the garbage collector's memory limit, unless the environment sets it.
func boundHeap(cfg *configs.Config, machine int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit(cfg, machine))
	}
}
