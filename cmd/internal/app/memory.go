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

// memory is what the media of all streams may take, and who divides it.
type memory struct {
	*budget.Budget
	reassembly *budget.Account
	near       chan struct{} // of one: the limit is near
	machine    int64         // what the container or the machine has; 0: it is not known
}

func newMemory(cfg *configs.Config) *memory {
	m := &memory{near: make(chan struct{}, 1), machine: availableMemory(os.DirFS("/"))}
	m.Budget = budget.New(ceiling(cfg, m.machine), func() {
		select {
		case m.near <- struct{}{}:
		default: // it will be looked at
		}
	})
	m.reassembly = m.OpenFixed(budget.Reassembly)
	return m
}

// balanceEvery is how often the memory is divided anew where nothing asks for it.
const balanceEvery = time.Second

// balanceGap is the least time between two divisions: each looks at all buffers.
const balanceGap = 50 * time.Millisecond

// start divides the memory until the function that it returns is called.
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

// view is the memory as the API shows it.
func (m *memory) view() api.Memory {
	out := api.Memory{Limit: m.Limit(), Used: m.Used(), Kinds: m.Use()}
	if s := m.Share(); s != budget.Unlimited {
		out.Share = s
	}
	return out
}

// unknownMachine is what a machine is taken to have where the system does not tell.
const unknownMachine = 4 << 30

// ceiling is limits.memory in bytes.
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
	perConnection = 48 << 10  // of heap, that a connection takes at the most as a rule
	perChild      = 256 << 20 // that a transcode takes
	apart         = 128 << 20 // what the relay takes without streams and connections
)

// heapLimit is what the Go runtime is to stay below: above what media, connections and the garbage
// between two collections take, and below what the machine has less its sockets and the relay's
// child processes, as far as both can be.
func heapLimit(cfg *configs.Config, machine int64) int64 {
	media := ceiling(cfg, machine)
	wants := media + media/4 + int64(cfg.Limits.Connections)*perConnection + apart
	if machine == 0 {
		return wants
	}
	has := machine / 10 * 9
	if transcodes(cfg) {
		has -= min(int64(cfg.Limits.Transcodes)*perChild, machine/10)
	}
	return min(wants, max(has, media+media/10))
}

// transcodes reports whether any stream has renditions made of it.
func transcodes(cfg *configs.Config) bool {
	for i := range cfg.Streams {
		if len(cfg.Streams[i].Transcode) > 0 {
			return true
		}
	}
	return len(cfg.Defaults.Transcode) > 0
}

// boundHeap has the garbage collector keep the process within its memory, unless the environment
// says how.
func boundHeap(cfg *configs.Config, machine int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heapLimit(cfg, machine))
	}
}
