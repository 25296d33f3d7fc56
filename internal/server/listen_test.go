package server

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

// G1.
func TestG1PortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for _, host := range []string{"127.0.0.1", "localhost", "", "0.0.0.0"} {
		list, err := listen(net.JoinHostPort(host, port))
		want := fmt.Sprintf("port %s is in use (process %d); set Offset", port, os.Getpid())
		if err == nil || err.Error() != want {
			t.Errorf("listen on %q: %v, %v, want %q", host, list, err, want)
		}
		closeAll(list)
	}
	for _, address := range []string{"127.0.0.1", "127.0.0.1:70000"} {
		if list, err := listen(address); err == nil {
			t.Errorf("listen on %s: no error", address)
			closeAll(list)
		}
	}
}

func TestListenOnLocalhost(t *testing.T) {
	port := freePorts(t, 1)[0]
	list, err := listen("localhost:" + port)
	if err != nil {
		t.Fatal(err)
	}
	closeAll(list)
	if got := list[0].Addr().String(); got != "127.0.0.1:"+port {
		t.Errorf("the first listener is at %s", got)
	}
	if len(list) == 1 {
		t.Skip("this machine has no ::1")
	}
	// Where the second address is taken, the first is given back.
	taken, err := net.Listen("tcp", "[::1]:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := listen("localhost:" + port); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("listen: %v, want that the port is in use", err)
	}
	if list, err = listen("127.0.0.1:" + port); err != nil {
		t.Errorf("the first address is not free: %v", err)
	}
	closeAll(list)
}

func TestOwnAddress(t *testing.T) {
	for address, want := range map[string]string{
		":8280": "127.0.0.1:8280", "0.0.0.0:8280": "127.0.0.1:8280", "localhost:8280": "127.0.0.1:8280", "[::]:8280": "[::1]:8280",
		"192.0.2.1:8280": "192.0.2.1:8280", "8280": "",
	} {
		if got := ownAddress(address); got != want {
			t.Errorf("ownAddress(%q) = %q, want %q", address, got, want)
		}
	}
}
