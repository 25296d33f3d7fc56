package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// listen opens the listeners of an address: one, or two where the host is
// "localhost", which is 127.0.0.1 and, where the machine has it, ::1.
func listen(address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	hosts := []string{host}
	if host == "localhost" {
		hosts = []string{"127.0.0.1", "::1"}
	}
	var list []net.Listener
	for _, h := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(h, port))
		switch {
		case errors.Is(err, syscall.EADDRNOTAVAIL) && h == "::1", errors.Is(err, syscall.EAFNOSUPPORT) && h == "::1":
			continue // a machine without IPv6
		case errors.Is(err, syscall.EADDRINUSE):
			closeAll(list)
			return nil, fmt.Errorf("port %s is in use%s; set Offset", port, holder(port))
		case err != nil:
			closeAll(list)
			return nil, fmt.Errorf("listen on port %s: %w", port, err)
		}
		list = append(list, l)
	}
	return list, nil
}

// overTLS puts TLS on listeners.
func overTLS(list []net.Listener, c *tls.Config) []net.Listener {
	secure := make([]net.Listener, len(list))
	for i, l := range list {
		secure[i] = tls.NewListener(l, c)
	}
	return secure
}

func closeAll(list []net.Listener) {
	for _, l := range list {
		_ = l.Close() // what was not served needs no farewell
	}
}

// holder returns " (process N)" for the process that listens on a TCP port,
// where the system tells.
func holder(port string) string {
	n, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			// sl local_address rem_address st … inode: proc(5); state 0A is LISTEN.
			fields := strings.Fields(lines.Text())
			if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", n)) {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		_ = f.Close() // only read
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && inodes[target] {
			return fmt.Sprintf(" (process %s)", strings.Split(link, "/")[2])
		}
	}
	return ""
}
