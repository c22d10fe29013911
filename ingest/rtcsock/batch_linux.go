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
	maxSegments = 64     // that any kernel cuts one send into
	maxBatch    = 65_507 // bytes that fit one send
	// maxSegment is the largest packet that any line of Ethernet carries whole. The kernel
	// cuts a send into no packets that it had to cut again.
	maxSegment = 1_472
)

// batch is what waits for one peer: packets of equal size, of which only the last may be
// shorter.
type batch struct {
	g        *gatherer
	transmit func(fd uintptr) // the method, bound once

	// mu guards what follows. It is held while the batch is sent, so that a peer's packets
	// stay in order. That may wait, when nobody else could send either.
	mu      sync.Mutex
	to      netip.AddrPort // none while it is not in the table, and only then
	four    unix.SockaddrInet4
	six     unix.SockaddrInet6
	addr    unix.Sockaddr // one of the two
	data    []byte
	size    int // of each packet but the last
	count   int
	control []byte
	err     error // of the last send
}

func newBatch(g *gatherer) *batch {
	b := &batch{g: g, control: make([]byte, unix.CmsgSpace(2))}
	b.transmit = b.transmitOn
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b.control[0])) //nolint:gosec // what the kernel's interface is made of
	h.Level, h.Type = unix.IPPROTO_UDP, unix.UDP_SEGMENT
	h.SetLen(unix.CmsgLen(2))
	return b
}

// address gives an empty batch to a peer.
func (b *batch) address(to netip.AddrPort, sixes bool) {
	b.to = to
	if sixes { // IPv4 is mapped
		b.six.Addr, b.six.Port, b.addr = to.Addr().As16(), int(to.Port()), &b.six
		return
	}
	b.four.Addr, b.four.Port, b.addr = to.Addr().As4(), int(to.Port()), &b.four
}

// add takes a packet in, and sends what must not wait: what was there, if the packet does
// not fit to it, and the batch that it ends.
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
	if ends || b.g.plain.Load() {
		err = errors.Join(err, b.send())
	}
	return err
}

// send empties the batch.
func (b *batch) send() error {
	if b.count == 0 {
		return nil
	}
	b.err = nil
	if err := b.g.raw.Control(b.transmit); err != nil {
		b.refuse(b.count, err)
	}
	b.data, b.count = b.data[:0], 0
	return b.err
}

func (b *batch) transmitOn(fd uintptr) {
	if b.count > 1 && !b.g.plain.Load() {
		binary.NativeEndian.PutUint16(b.control[unix.CmsgLen(0):], uint16(b.size)) //nolint:gosec // no more than maxSegment
		err := b.one(fd, b.data, b.control)
		if err == nil {
			b.g.worked.Store(true)
			return
		}
		if !refusesCut(err) {
			b.refuse(b.count, err)
			return
		}
		b.g.cannotCut(err)
	}
	for i := range b.count {
		p := b.data[i*b.size : min((i+1)*b.size, len(b.data))]
		if err := b.one(fd, p, nil); err != nil {
			b.refuse(1, err)
		}
	}
}

// one sends, and waits where the socket is full, as the net package does: the line drains it,
// and a keyframe that goes to a thousand viewers at once would be lost to most of them.
func (b *batch) one(fd uintptr, data, control []byte) error {
	b.g.counts.sends.Add(1)
	err := b.g.sendmsg(int(fd), data, control, b.addr) //nolint:gosec // a descriptor fits
	if !errors.Is(err, unix.EAGAIN) {
		return err
	}
	return b.waited(data, control)
}

// waited sends when there is room. It stands alone because what its closure needs is garbage.
func (b *batch) waited(data, control []byte) error {
	b.g.counts.waited.Add(1)
	var err error
	ended := b.g.raw.Write(func(fd uintptr) bool {
		err = b.g.sendmsg(int(fd), data, control, b.addr) //nolint:gosec // a descriptor fits
		return !errors.Is(err, unix.EAGAIN)
	})
	if ended != nil { // a deadline
		return ended
	}
	return err
}

// refuse counts packets that are lost. That a device has no room is no error: it is how
// lines are.
func (b *batch) refuse(packets int, err error) {
	b.g.counts.refused.Add(uint64(packets)) //nolint:gosec // it counts
	if !errors.Is(err, unix.ENOBUFS) {
		b.err = err
	}
}

// refusesCut tells that the same packets may well go one by one. EIO is that of a device
// which does no checksums; EINVAL and EMSGSIZE are also those of a peer's narrow line.
func refusesCut(err error) bool {
	for _, lack := range []error{unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.ENOPROTOOPT, unix.EOPNOTSUPP} {
		if errors.Is(err, lack) {
			return true
		}
	}
	return false
}
