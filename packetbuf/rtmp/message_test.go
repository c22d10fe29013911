package rtmp

import (
	"bytes"
	"testing"
)

func TestMessageAMF0(t *testing.T) {
	tests := []struct {
		typ     uint8
		payload []byte
		want    []byte
		ok      bool
	}{
		{TypeCommandAMF0, []byte{0, 1}, []byte{0, 1}, true},
		{TypeVideo, nil, nil, true},
		{TypeCommandAMF3, []byte{0, 2, 3}, []byte{2, 3}, true},
		{TypeDataAMF3, []byte{0}, nil, true},
		{TypeDataAMF3, []byte{0x11, 2}, nil, false},
		{TypeCommandAMF3, nil, nil, false},
	}
	for _, tt := range tests {
		m := Message{Header: Header{Type: tt.typ}, Payload: tt.payload}
		if got, ok := m.AMF0(); ok != tt.ok || !bytes.Equal(got, tt.want) {
			t.Errorf("type %d, %x: got %x, %v, want %x, %v", tt.typ, tt.payload, got, ok, tt.want, tt.ok)
		}
	}
}
