package rtcsock

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSegments = 64     // packets of one send on any kernel
	maxBatch    = 65_507 // bytes of one send
	// maxSegment is the largest packet that Ethernet carries unfragmented. The kernel does not
	// split a send into packets that would be fragmented.
	maxSegment = 1_472
)

// batch holds the packets that wait to be sent to one peer. All have the same size, except that the
// last may be shorter.
type batch struct {
	gatherer     *gatherer
	transmitFunc func(fd uintptr) // the method, bound once

	// mu guards the fields below. It is held while the batch is sent, so that a peer's packets stay
	// in order. Sending may block, but then all other writes to the socket would block too.
	mu      sync.Mutex
	to      netip.AddrPort // zero if and only if the batch is not in gatherer.waiting
	four    unix.SockaddrInet4
	six     unix.SockaddrInet6
	addr    unix.Sockaddr // &four or &six
	data    []byte
	size    int // size of each packet except the last
	count   int
	control []byte
	err     error // of the last send
}

func newBatch(g *gatherer) *batch {
	b := &batch{gatherer: g, control: make([]byte, unix.CmsgSpace(2))}
	b.transmitFunc = b.transmit
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b.control[0])) //nolint:gosec // required by the kernel's interface
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return b
}

// assign assigns an empty batch to the peer at address to. ipv6 says that the socket is an IPv6
// socket.
func (b *batch) assign(to netip.AddrPort, ipv6 bool) {
	b.to = to
	if ipv6 { // IPv4 is mapped
		b.six.Addr, b.six.Port, b.addr = to.Addr().As16(), int(to.Port()), &b.six
		return
	}
	b.four.Addr, b.four.Port, b.addr = to.Addr().As4(), int(to.Port()), &b.four
}

// add adds a packet. If the packet does not fit into the batch, add sends the packets in it first.
// If the packet completes the batch, add sends the batch.
func (b *batch) add(p []byte) error {
	var err error
	if b.count > 0 && (len(p) == 0 || len(p) > b.size || len(b.data)+len(p) > maxBatch) {
		err = b.send()
	}
	if b.count == 0 {
		b.size = len(p)
	}
	b.data = append(b.data, p...)
	b.count++
	ends := len(p) < b.size || len(p) == 0 || len(p) > maxSegment || b.count == maxSegments
	if ends || b.gatherer.splitDisabled.Load() {
		err = errors.Join(err, b.send())
	}
	return err
}

// send sends and empties the batch.
func (b *batch) send() error {
	if b.count == 0 {
		return nil
	}
	b.err = nil
	if err := b.gatherer.raw.Control(b.transmitFunc); err != nil {
		b.countRefused(b.count, err)
	}
	b.data, b.count = b.data[:0], 0
	return b.err
}

func (b *batch) transmit(fd uintptr) {
	if b.count > 1 && !b.gatherer.splitDisabled.Load() {
		binary.NativeEndian.PutUint16(b.control[unix.CmsgLen(0):], uint16(b.size)) //nolint:gosec // no more than maxSegment
		err := b.sendOnce(fd, b.data, b.control)
		if err == nil {
			b.gatherer.splitWorked.Store(true)
			return
		}
		if !maySendSeparately(err) {
			b.countRefused(b.count, err)
			return
		}
		b.gatherer.recordSplitFailure(err)
	}
	for i := range b.count {
		p := b.data[i*b.size : min((i+1)*b.size, len(b.data))]
		if err := b.sendOnce(fd, p, nil); err != nil {
			b.countRefused(1, err)
		}
	}
}

// sendOnce sends data with one system call. Like the net package, it waits while the socket buffer
// is full. Otherwise most of a thousand viewers would lose a keyframe that is sent to all of them.
func (b *batch) sendOnce(fd uintptr, data, control []byte) error {
	b.gatherer.counts.sends.Add(1)
	err := b.gatherer.sendmsg(int(fd), data, control, b.addr) //nolint:gosec // a descriptor fits
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	return b.sendWhenWritable(data, control)
}

// sendWhenWritable waits until the socket has room, and sends data. It is separate from sendOnce
// because its closure allocates.
func (b *batch) sendWhenWritable(data, control []byte) error {
	b.gatherer.counts.waited.Add(1)
	var err error
	ended := b.gatherer.raw.Write(func(fd uintptr) bool {
		err = b.gatherer.sendmsg(int(fd), data, control, b.addr) //nolint:gosec // a descriptor fits
		return !errors.Is(err, unix.EAGAIN)
	})
	if ended != nil { // a deadline
		return ended
	}
	return err
}

// countRefused counts packets that the system did not accept because of err. send returns err,
// unless the queue of the network device is full: networks lose packets, so that is not an error.
func (b *batch) countRefused(packets int, err error) {
	b.gatherer.counts.refused.Add(uint64(packets)) //nolint:gosec // it counts
	if !errors.Is(err, unix.ENOBUFS) {
		b.err = err
	}
}

// maySendSeparately reports whether packets can be sent one by one after sending them together
// failed with err. A device without checksum offload causes EIO. A small path MTU to one peer may
// also cause EINVAL and EMSGSIZE.
func maySendSeparately(err error) bool {
	for _, lack := range []error{unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.ENOPROTOOPT, unix.EOPNOTSUPP} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}
