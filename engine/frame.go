package engine

import (
	"bytes"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
)

// Frames carry messages between parent and worker: a magic word, the payload's
// length, and one gob value. A length in front tells a frame cut short by a
// dying process from a whole one.
const (
	frameMagic  = 0x62707473 // "stpb"
	frameHeader = 8
	frameLimit  = 1 << 30 // bytes; a longer length is not believed
)

// ErrFrame marks bytes that are not a frame.
var ErrFrame = errors.New("broken frame")

// encodeFrame returns the frame that holds v.
func encodeFrame(v any) ([]byte, error) {
	var b bytes.Buffer
	b.Write(make([]byte, frameHeader))
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	size := b.Len() - frameHeader
	if size > frameLimit {
		return nil, fmt.Errorf("encode %T: %d bytes exceed the frame limit of %d", v, size, frameLimit)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[0:], frameMagic)
	binary.LittleEndian.PutUint32(b.Bytes()[4:], uint32(size))
	return b.Bytes(), nil
}

// writeFrame encodes v and writes it in one call.
func writeFrame(w io.Writer, v any) error {
	frame, err := encodeFrame(v)
	if err == nil {
		_, err = w.Write(frame)
	}
	return err
}

// readFrame reads one frame into v. At a clean end it returns io.EOF; anything
// else that is not a whole frame is ErrFrame.
func readFrame(r io.Reader, v any) error {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: ended inside a header", ErrFrame)
		}
		return err
	}
	magic, size := binary.LittleEndian.Uint32(header[0:]), binary.LittleEndian.Uint32(header[4:])
	if magic != frameMagic {
		return fmt.Errorf("%w: starts with % x", ErrFrame, header[:4])
	}
	if size > frameLimit {
		return fmt.Errorf("%w: length %d exceeds %d", ErrFrame, size, frameLimit)
	}
	// Grown as bytes arrive: a false length must not reserve memory.
	var payload bytes.Buffer
	n, err := io.CopyN(&payload, r, int64(size))
	if err != nil {
		return fmt.Errorf("%w: ended after %d of %d bytes", ErrFrame, n, size)
	}
	if err := gob.NewDecoder(&payload).Decode(v); err != nil {
		return fmt.Errorf("%w: %v", ErrFrame, err)
	}
	return nil
}
