package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/openapi"
)

const (
	fetchTimeout  = 10 * time.Second // all of it, redirects as well
	mostRedirects = 3
	maxFetchHead  = 64 << 10 // bytes of a response's fields
)

// FetchDefinition returns the document at an address, of at most 10 MB. So that
// nobody reaches through Sluice what is reachable from its machine alone,
// addresses that are not public are Forbidden, unless Options.ImportAllow names
// them; a host name is resolved once, and what it gave is what is called; and
// each redirect, of at most three, is held to the same.
func (p *Plane) FetchDefinition(ctx context.Context, address string) ([]byte, error) {
	if _, err := allow(ctx, creators...); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, fetchTimeout)
	defer stop()
	f := fetcher{allow: p.o.ImportAllow, lookup: p.o.Lookup}
	if f.lookup == nil {
		f.lookup = net.DefaultResolver.LookupNetIP
	}
	document, err := f.fetch(ctx, address)
	if _, ours := errors.AsType[*sluice.Error](err); err != nil && !ours {
		p.log.Debug("a definition was not fetched", "err", err)
		reason := "nothing answered there"
		if errors.Is(err, context.DeadlineExceeded) {
			reason = fmt.Sprintf("it took longer than %d seconds", int(fetchTimeout.Seconds()))
		}
		return nil, notFetched("The definition could not be fetched: %s.", reason)
	}
	return document, err
}

// notFetched is the error for a definition that is not where it was said to be.
func notFetched(format string, args ...any) error {
	return sluice.Errorf(sluice.Invalid, "import.fetch", format, args...).At("url")
}

// fetcher fetches one document.
type fetcher struct {
	allow  []string // hosts, addresses and networks
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

func (f *fetcher) fetch(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil {
		return nil, notFetched("The address is no URL.")
	}
	if err := checkAddress(u); err != nil {
		return nil, err
	}
	client := http.Client{
		Transport: &http.Transport{ // no proxy: who is called is decided here
			DialContext: f.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxFetchHead,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > mostRedirects {
				return notFetched("The address redirects more than %d times.", mostRedirects)
			}
			r.Header.Del("Referer")
			return checkAddress(r.URL)
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, notFetched("The address is no URL.")
	}
	request.Header.Set("Accept", "application/json, application/yaml, */*;q=0.5")
	request.Header.Set("User-Agent", "sluice")
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // it was read as far as it counts
	if answer.StatusCode != http.StatusOK {
		return nil, notFetched("The address answers with status %d.", answer.StatusCode)
	}
	document, err := io.ReadAll(io.LimitReader(answer.Body, openapi.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(document) > openapi.MaxSize {
		return nil, tooLarge()
	}
	return document, nil
}

// checkAddress refuses a URL that is not plainly a host of the web.
func checkAddress(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return notFetched("The address must begin with http:// or https://.")
	case u.Hostname() == "" || u.Opaque != "":
		return notFetched("The address has no host.")
	case u.User != nil:
		return notFetched("The address must not have a user name or a password in it.")
	case strings.Contains(u.Host, "%"):
		return notFetched("The host of the address must not have a zone or an encoding in it.")
	}
	return nil
}

// dial resolves the host of an address, once, and connects to what it gave.
func (f *fetcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	found, err := f.resolve(ctx, strings.ToLower(strings.TrimSuffix(host, ".")))
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	var conn net.Conn
	for _, ip := range found {
		if conn, err = d.DialContext(ctx, network, netip.AddrPortFrom(ip, uint16(number)).String()); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// resolve returns the addresses of a host, all of which may be called.
func (f *fetcher) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	forbidden := sluice.Errorf(sluice.Forbidden, "import.address",
		"%s is no public address; an administrator may allow it (import.allow).", host).At("url")
	if ip, err := netip.ParseAddr(host); err == nil {
		if f.allowed(host, ip) {
			return []netip.Addr{ip.Unmap()}, nil
		}
		return nil, forbidden
	}
	if ip, ok := oldForm(host); ok { // some resolvers read it, others do not
		if public(ip) {
			return nil, notFetched("Write the address as %s.", ip)
		}
		return nil, forbidden
	}
	found, err := f.lookup(ctx, "ip", host)
	if err != nil || len(found) == 0 {
		if f.names(host) || ctx.Err() != nil {
			return nil, fmt.Errorf("resolve %s: %w", host, errors.Join(err, ctx.Err()))
		}
		return nil, notFetched("The host of the address is not known.")
	}
	for i := range found {
		if !f.allowed(host, found[i]) {
			return nil, forbidden
		}
		found[i] = found[i].Unmap()
	}
	return found, nil
}

// names reports whether the list of what is allowed has a host by its name.
func (f *fetcher) names(host string) bool {
	return slices.ContainsFunc(f.allow, func(a string) bool { return strings.EqualFold(a, host) })
}

// allowed reports whether a host may be called at an address.
func (f *fetcher) allowed(host string, ip netip.Addr) bool {
	if public(ip) || f.names(host) {
		return true
	}
	return slices.ContainsFunc(f.allow, func(a string) bool {
		if network, err := netip.ParsePrefix(a); err == nil {
			return network.Contains(ip.Unmap())
		}
		one, err := netip.ParseAddr(a)
		return err == nil && one.Unmap() == ip.Unmap()
	})
}

// notPublic are the networks that are nobody's on the internet (IANA's registries
// of special-purpose addresses), and one address that a cloud answers at for the
// machines in it. What netip knows by itself is not repeated.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"), netip.MustParsePrefix("fec0::/10"),
}

// public reports whether an address is a host's on the internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && ip.Zone() == "" &&
		!slices.ContainsFunc(notPublic, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// oldForm reads the forms of an IPv4 address that inet_aton knows beside the
// usual one: one to four numbers, decimal, octal or hexadecimal, the last of
// which fills what is left.
func oldForm(host string) (netip.Addr, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var ip uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 0, 32)
		most := uint64(0xff)
		if i == len(parts)-1 {
			most = 1<<(8*(5-len(parts))) - 1
		}
		if err != nil && p != "" && strings.Trim(p, "0123456789") == "" { // digits that are not octal, or too many
			return netip.IPv4Unspecified(), true
		}
		if err != nil || strings.Contains(p, "_") {
			return netip.Addr{}, false
		}
		if n > most {
			return netip.IPv4Unspecified(), true
		}
		if i == len(parts)-1 {
			ip = ip<<(8*(5-len(parts))) | n
		} else {
			ip = ip<<8 | n
		}
	}
	return netip.AddrFrom4([4]byte{byte(ip >> 24), byte(ip >> 16), byte(ip >> 8), byte(ip)}), true
}
