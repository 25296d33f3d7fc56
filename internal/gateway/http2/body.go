package http2

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// requestBody is the body of a request. A transport may still read it while the
// answer is written; once the handler has ended it finds nothing more.
type requestBody struct {
	r        *http.Request
	control  *http.ResponseController
	progress time.Duration

	mu      sync.Mutex // guards what follows, and keeps deadlines from falling on the next request
	started bool       // somebody has read
	whole   bool       // and came to the end
	duplex  bool       // it may still be read while the answer is written
	ended   bool       // nobody may read any more
}

// Read implements io.Reader. It fails where the client sends nothing for a
// while.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.started = true
	b.setDeadline(time.Now().Add(b.progress))
	b.mu.Unlock()

	n, err := b.r.Body.Read(p)
	if errors.Is(err, io.EOF) {
		b.mu.Lock()
		if b.whole = true; !b.ended {
			b.setDeadline(time.Time{}) // net/http goes on reading, to hear when the client goes
		}
		b.mu.Unlock()
	}
	return n, err
}

// settle prepares for the answer. In HTTP/1.1 net/http drops what nobody has
// read of the body before it writes a header. So it shall where the request was
// not sent on. Otherwise a transport may be reading: then both directions go on,
// and the connection ends with the answer, since nobody knows how much of the
// body is still to come.
func (b *requestBody) settle(header http.Header, sentOn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.r.ProtoMajor != 1, b.r.ContentLength == 0, b.whole:
	case !sentOn && !b.started:
		b.ended = true
		b.setDeadline(time.Now().Add(lingerTimeout))
	default:
		b.duplex = true
		_ = b.control.EnableFullDuplex() // every HTTP/1.1 response of net/http can
		header.Set("Connection", "close")
	}
}

// end ends all reading. What the client still sends net/http reads and drops for
// a while, so that the client gets to read the answer.
func (b *requestBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.duplex && !b.whole {
		b.setDeadline(time.Now().Add(lingerTimeout))
	}
	b.ended = true
}

// setDeadline is called with mu held, before the handler has ended.
func (b *requestBody) setDeadline(t time.Time) {
	_ = b.control.SetReadDeadline(t) // a connection that has no deadlines has to do without
}
