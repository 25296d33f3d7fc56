package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sluice-api/sluice/internal/policy"
)

// accessLogQueue is how many lines wait for the writer before more are lost.
const accessLogQueue = 8192

// AccessLog writes one line of JSON for each call. Calls never wait for it: a
// line that finds the queue full is lost, and counted. It may be used by many
// goroutines.
type AccessLog struct {
	to      io.Writer
	log     *slog.Logger
	lines   chan *[]byte // never closed
	buffers sync.Pool    // of *[]byte
	lost    atomic.Int64
}

// NewAccessLog returns an AccessLog that writes to a file or pipe while Run runs.
func NewAccessLog(to io.Writer, log *slog.Logger) *AccessLog {
	return &AccessLog{
		to: to, log: log, lines: make(chan *[]byte, accessLogQueue),
		buffers: sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }},
	}
}

// Lost is how many lines were not written.
func (l *AccessLog) Lost() int64 { return l.lost.Load() }

// Run writes lines until ctx ends, and then those that wait. An error of the
// writer loses lines and stops nothing.
func (l *AccessLog) Run(ctx context.Context) error {
	var batch bytes.Buffer
	failed := false
	for {
		var line *[]byte
		select {
		case line = <-l.lines:
		case <-ctx.Done():
			select {
			case line = <-l.lines:
			default:
				return nil
			}
		}
		batch.Reset()
		count := int64(0)
		for more := true; more; {
			batch.Write(*line)
			l.release(line)
			count++
			select {
			case line = <-l.lines:
				more = batch.Len() < 64<<10
				if !more {
					batch.Write(*line)
					l.release(line)
					count++
				}
			default:
				more = false
			}
		}
		if _, err := l.to.Write(batch.Bytes()); err != nil {
			l.lost.Add(count)
			if !failed {
				l.log.Error("the access log cannot be written; its lines are lost", "err", err)
			}
			failed = true
			continue
		}
		failed = false
	}
}

func (l *AccessLog) release(line *[]byte) {
	if cap(*line) <= 8<<10 {
		*line = (*line)[:0]
		l.buffers.Put(line)
	}
}

// add queues the line of a call whose answer was written at end.
func (l *AccessLog) add(x *policy.Exchange, end time.Time) {
	line := l.buffers.Get().(*[]byte)
	*line = appendAccess(*line, x, end)
	select {
	case l.lines <- line:
	default:
		l.lost.Add(1)
		l.release(line)
	}
}

// appendAccess appends the line of a call. Neither query nor any header is in
// it, since tokens are sent in both.
func appendAccess(b []byte, x *policy.Exchange, end time.Time) []byte {
	q, c := &x.Request, &x.Caller
	b = append(b, `{"time":"`...)
	b = x.Start.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(append(append(b, `","trace_id":"`...), x.TraceID[:]...), '"')
	b = append(b, `,"client":"`...)
	b = append(q.Client.Addr().AppendTo(b), '"')
	b = appendMember(b, "method", q.Method)
	b = appendMember(b, "host", q.Authority)
	b = appendMember(b, "path", q.Path)
	b = append(append(append(b, `,"protocol":"HTTP/`...), q.Protocol...), '"')
	b = strconv.AppendBool(append(b, `,"tls":`...), q.TLS)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(x.Response.Status), 10)
	if f := x.Fault; f != nil {
		b = append(append(append(b, `,"code":"`...), f.Code...), '"')
		b = append(append(append(b, `,"check":"`...), f.Check()...), '"')
	}
	if a := x.API; a != nil {
		b = appendMember(b, "api", a.Name)
		b = appendMember(b, "version", a.Version)
		b = strconv.AppendInt(append(b, `,"revision":`...), int64(a.Revision), 10)
	}
	if o := x.Operation; o != nil {
		b = appendMember(b, "operation", o.Target)
	}
	if a := c.Application; a != nil {
		b = appendMember(b, "application", a.Name)
		b = appendMember(b, "application_id", a.ID)
	}
	if c.KeyType != "" {
		b = appendMember(b, "key_type", c.KeyType)
	}
	if q.Length > 0 {
		b = strconv.AppendInt(append(b, `,"bytes_in":`...), q.Length, 10)
	}
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), x.Response.Sent, 10)
	b = appendMillis(append(b, `,"ms":`...), end.Sub(x.Start))
	if x.Backend.Time > 0 {
		b = strconv.AppendInt(append(b, `,"backend_status":`...), int64(x.Backend.Status), 10)
		b = appendMillis(append(b, `,"backend_ms":`...), x.Backend.Time)
	}
	return append(b, "}\n"...)
}

func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d)/float64(time.Millisecond), 'f', 3, 64)
}

// appendMember appends a member of a JSON object, with a comma before it.
func appendMember[T ~string | ~[]byte](b []byte, name string, value T) []byte {
	b = append(append(append(b, `,"`...), name...), `":"`...)
	for i := 0; i < len(value); {
		c := value[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < 0x20 || c == 0x7f:
			const hex = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRune([]byte(value[i:min(i+utf8.UTFMax, len(value))]))
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}
