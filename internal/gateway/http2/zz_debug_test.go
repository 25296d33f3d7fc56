package http2_test
import ("testing";"net/http";"time";"io";"fmt";"bufio"
"github.com/sluice-api/sluice/internal/gateway/http2")
func TestDebugEarly(t *testing.T) {
	f := start(t, newBackend(t, false, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403); _, _ = w.Write([]byte("no"))
	}), http2.ServerOptions{})
	for range 20 {
	c := dial(t, f.plain)
	begin := time.Now()
	fmt.Fprintf(c, "POST /api/1.0/x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n")
	done := make(chan string)
	go func() {
		n := 0
		for {
			_, err := fmt.Fprintf(c, "3e8\r\n%s\r\n", make([]byte, 1000))
			if err != nil { done <- fmt.Sprint(n, " written, ", err, " after ", time.Since(begin)); return }
			n += 1000
		}
	}()
	rd := bufio.NewReader(c)
	resp, err := http.ReadResponse(rd, nil)
	if err != nil { t.Log("response", err, time.Since(begin)) } else {
		b, err := io.ReadAll(resp.Body)
		t.Log(resp.StatusCode, string(b), err, time.Since(begin), resp.Header)
	}
	t.Log(<-done)
	}
}
