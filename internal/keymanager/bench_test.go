package keymanager

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkClientCredentials issues application tokens through the handler, by
// all processors at once, over SQLite. The figure to reach is 5,000 a second on
// two cores.
func BenchmarkClientCredentials(b *testing.B) {
	for name, form := range map[string]string{
		"no scope": "grant_type=client_credentials",
		"a scope":  "grant_type=client_credentials&scope=read",
	} {
		b.Run(name, func(b *testing.B) {
			f := start(b, nil)
			handler := f.server.Handler()
			b.ReportAllocs()
			before := processorTime(b)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r := httptest.NewRequest(http.MethodPost, pathToken, strings.NewReader(form))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.SetBasicAuth(f.production.id, f.production.secret)
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					if w.Code != http.StatusOK {
						body, _ := io.ReadAll(w.Body)
						b.Errorf("token = %d %s", w.Code, body)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/token")
		})
	}
}

// processorTime returns what this process has used, which other programs on the
// machine do not change.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
