package artifact

import (
	"strings"

	"github.com/sluice-api/sluice"
)

// A state has a hundred thousand items of a few kinds, and all of them are read
// before a gateway takes its first call. scan and Outline read those bytes that
// Encode writes for them, and leave everything else, what is damaged too, to
// the full decoder: they know no error.

// scan reads a consumer key, an application or a subscription, nil where the
// bytes are not just as Encode writes them.
func scan(id string, b []byte) Item {
	slash := strings.IndexByte(id, '/') + 1
	name := id[slash:]
	switch id[:slash] {
	case prefixKey:
		var k Key
		if scanTexts(b, name, func(member string) *string {
			switch member {
			case "key":
				return &k.Key
			case "application_id":
				return &k.ApplicationID
			case "type":
				return (*string)(&k.Type)
			}
			return nil
		}) && k.Key == name {
			return &k
		}
	case prefixApplication:
		var a Application
		if scanTexts(b, name, func(member string) *string {
			switch member {
			case "id":
				return &a.ID
			case "organization":
				return &a.Organization
			case "name":
				return &a.Name
			case "owner":
				return &a.Owner
			case "tier":
				return &a.Tier
			}
			return nil
		}) && a.ID == name {
			return &a
		}
	case prefixSubscription:
		var s Subscription
		if scanTexts(b, name, func(member string) *string {
			switch member {
			case "id":
				return &s.ID
			case "application_id":
				return &s.ApplicationID
			case "api_id":
				return &s.APIID
			case "tier":
				return &s.Tier
			case "state":
				return (*string)(&s.State)
			}
			return nil
		}) && s.ID == name {
			return &s
		}
	}
	return nil
}

// Outline returns of an encoded API what tells where it is served: ID,
// Organization, Name, Version, Revision, Environment, Vhost, Context and
// DefaultContext. It returns false where that takes all of Decode; bytes of which
// it returns true may still not be those of an API.
func Outline(id string, b []byte) (*API, bool) {
	if len(b) > MaxSize {
		return nil, false
	}
	s := scanner{b: b}
	s.envelope()
	a := new(API)
	for first := true; !s.failed; first = false {
		if !first {
			s.literal(",")
		}
		member := s.text()
		s.literal(":")
		var to *string
		switch string(member) {
		case "id":
			to = &a.ID
		case "organization":
			to = &a.Organization
		case "name":
			to = &a.Name
		case "version":
			to = &a.Version
		case "revision":
			a.Revision = s.number()
			continue
		case "environment":
			to = (*string)(&a.Environment)
		case "vhost":
			to = &a.Vhost
		case "context":
			to = &a.Context
		case "default_context":
			to = &a.DefaultContext
		case "transports": // what follows tells how
			return a, !s.failed && APIItem(a.ID) == id && a.Context != ""
		default:
			return nil, false
		}
		*to = common(s.text(), "")
	}
	return nil, false
}

// scanTexts reads an item all of whose members are texts. name is the item's
// own, whose memory is used again.
func scanTexts(b []byte, name string, member func(string) *string) bool {
	if len(b) > MaxSize {
		return false
	}
	s := scanner{b: b}
	s.envelope()
	for first := true; !s.failed; first = false {
		if !first && !s.next(',') {
			break
		}
		to := member(string(s.text())) // not kept, so not copied
		s.literal(":")
		value := s.text()
		if to == nil {
			return false
		}
		*to = common(value, name)
	}
	s.literal("}}")
	return !s.failed && len(s.b) == 0
}

// common returns value as a text; name and what many items hold are not copied.
func common(value []byte, name string) string {
	switch string(value) {
	case name:
		return name
	case string(sluice.ProductionKey):
		return string(sluice.ProductionKey)
	case string(sluice.SandboxKey):
		return string(sluice.SandboxKey)
	case string(sluice.Unblocked):
		return string(sluice.Unblocked)
	case sluice.Unlimited:
		return sluice.Unlimited
	}
	return string(value)
}

// scanner takes JSON without spaces off the front of b.
type scanner struct {
	b      []byte
	failed bool
}

// envelope takes what is before the members of an item that needs no newer
// version than this one.
func (s *scanner) envelope() {
	s.literal(`{"format":`)
	if f := s.number(); f < 1 || f > format {
		s.failed = true
	}
	s.literal(",")
	if len(s.b) > 1 && s.b[1] == 'm' {
		s.literal(`"minor":`)
		if s.number() > minor {
			s.failed = true
		}
		s.literal(",")
	}
	s.literal(`"item":{`)
}

func (s *scanner) literal(text string) {
	if len(s.b) < len(text) || string(s.b[:len(text)]) != text {
		s.failed, s.b = true, nil
		return
	}
	s.b = s.b[len(text):]
}

// next takes one byte where it is the given one.
func (s *scanner) next(c byte) bool {
	if len(s.b) == 0 || s.b[0] != c {
		return false
	}
	s.b = s.b[1:]
	return true
}

// number takes up to nine digits without a leading zero.
func (s *scanner) number() int {
	n, i := 0, 0
	for ; i < len(s.b) && '0' <= s.b[i] && s.b[i] <= '9'; i++ {
		n = 10*n + int(s.b[i]-'0')
		if i == 9 {
			s.failed = true
			return 0
		}
	}
	if i == 0 || i > 1 && s.b[0] == '0' {
		s.failed = true
	}
	s.b = s.b[i:]
	return n
}

// text takes a string of ASCII characters none of which is written otherwise.
func (s *scanner) text() []byte {
	s.literal(`"`)
	for i, c := range s.b {
		switch {
		case c == '"':
			value := s.b[:i]
			s.b = s.b[i+1:]
			return value
		case c == '\\' || c < 0x20 || c >= 0x80:
			s.failed, s.b = true, nil
			return nil
		}
	}
	s.failed = true
	return nil
}
