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
	idle    sync.Cond  // of mu; reading has become false
	reading bool       // somebody is
	started bool       // somebody has read
	whole   bool       // and came to the end
	duplex  bool       // it may still be read while the answer is written
	ended   bool       // nobody may read any more
}

func newRequestBody(w http.ResponseWriter, r *http.Request, progress time.Duration) *requestBody {
	b := &requestBody{r: r, control: http.NewResponseController(w), progress: progress}
	b.idle.L = &b.mu
	return b
}

// Read implements io.Reader. It fails where the client sends nothing for a
// while.
func (b *requestBody) Read(p []byte) (int, error) {
	if !b.begin() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.r.Body.Read(p)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.idle.Broadcast()
	if errors.Is(err, io.EOF) {
		if b.whole = true; !b.ended {
			b.setDeadline(time.Time{}) // net/http goes on reading, to hear when the client goes
		}
	}
	return n, err
}

// begin reports whether the body may be read, and notes that it is.
func (b *requestBody) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	b.reading, b.started = true, true
	b.setDeadline(time.Now().Add(b.progress))
	return true
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

// end ends all reading. What a client still sends then, net/http reads and drops
// for a while, so that the client gets to read the answer. It does not where a
// read was interrupted, and so a read under way is given time to end by itself.
func (b *requestBody) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	if !b.duplex || b.whole {
		return
	}
	b.setDeadline(time.Now().Add(graceTimeout))
	for b.reading {
		b.idle.Wait()
	}
	b.setDeadline(time.Now().Add(lingerTimeout))
}

// setDeadline is called with mu held, before the handler has ended.
func (b *requestBody) setDeadline(t time.Time) {
	_ = b.control.SetReadDeadline(t) // a connection that has no deadlines has to do without
}
