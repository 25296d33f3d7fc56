package sluice

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"
)

// NewID returns a new identifier: a UUID of version 7 (RFC 9562 §5.7), whose
// first 48 bits are the time in milliseconds, so that ids sort by age.
func NewID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	ms := uint64(now.UnixMilli())
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[2:], uint32(ms))
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}

// NewSecret returns a random secret of 256 bits in URL-safe characters.
func NewSecret() Secret {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return Secret(hex.EncodeToString(b[:]))
}

// IDTime returns when NewID made an id, to the millisecond, and whether the id is
// a UUID of version 7 at all.
func IDTime(id string) (time.Time, bool) {
	const form = "xxxxxxxx-xxxx-7xxx-yxxx-xxxxxxxxxxxx"
	if len(id) != len(form) {
		return time.Time{}, false
	}
	for i := range len(form) {
		c := id[i]
		digit := '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
		switch form[i] {
		case 'x':
			if !digit {
				return time.Time{}, false
			}
		case 'y':
			if c != '8' && c != '9' && c != 'a' && c != 'b' {
				return time.Time{}, false
			}
		default:
			if c != form[i] {
				return time.Time{}, false
			}
		}
	}
	ms, err := strconv.ParseInt(id[:8]+id[9:13], 16, 64)
	return time.UnixMilli(ms).UTC(), err == nil
}
