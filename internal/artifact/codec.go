package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// The version of the encoding has two parts. What a gateway must know to serve
// an item rightly raises the format of the items that need it, and of no
// others: a gateway that does not know it refuses them, and keeps what it has.
// What a gateway may do without raises minor: of an item with a newer minor it
// ignores the members and kinds that it does not know. Of its own minor it
// refuses them, since they are mistakes. Older ones are always read; the bytes
// of every version are kept in testdata.
const (
	format = 1
	minor  = 1
)

// MaxSize is the most bytes an encoded artifact may have.
const MaxSize = 8 << 20

type envelope struct {
	Format int             `json:"format"`
	Minor  int             `json:"minor,omitempty"`
	Item   json.RawMessage `json:"item"`
}

// Encode returns the bytes that an item's digest is taken of. The same item
// always gives the same bytes.
func Encode(item Item) ([]byte, error) {
	body, err := json.Marshal(item)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", item.ItemID(), err)
	}
	b, err := json.Marshal(envelope{Format: format, Minor: minor, Item: body})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", item.ItemID(), err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes; at most %d can be sent to a gateway", item.ItemID(), len(b), MaxSize)
	}
	return b, nil
}

// Decode reads the item with the given id back. It refuses a newer format,
// bytes that belong to another id, and kinds and members that this version
// should know; those of a newer minor are ignored.
func Decode(id string, b []byte) (Item, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("item %q has more than %d bytes", id, MaxSize)
	}
	if item := scan(id, b); item != nil {
		return item, nil
	}
	return decode(id, b)
}

// decode is Decode of any item.
func decode(id string, b []byte) (Item, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("decode %q: %w", id, err)
	}
	if e.Format < 1 || e.Format > format {
		return nil, fmt.Errorf("item %q has format %d, this gateway knows %d", id, e.Format, format)
	}
	item := itemOf(id)
	if item == nil {
		if e.Minor > minor {
			return &Unknown{id}, nil
		}
		return nil, fmt.Errorf("item %q is of no known kind", id)
	}
	d := json.NewDecoder(bytes.NewReader(e.Item))
	if e.Minor <= minor {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(item); err != nil {
		return nil, fmt.Errorf("decode %q: %w", id, err)
	}
	if item.ItemID() != id {
		return nil, fmt.Errorf("item %q holds %q", id, item.ItemID())
	}
	return item, nil
}

// itemOf returns an empty item of the kind that an id says; nil: none that is
// known.
func itemOf(id string) Item {
	switch {
	case strings.HasPrefix(id, prefixAPI):
		return new(API)
	case strings.HasPrefix(id, prefixKey):
		return new(Key)
	case strings.HasPrefix(id, prefixApplication):
		return new(Application)
	case strings.HasPrefix(id, prefixSubscription):
		return new(Subscription)
	case strings.HasPrefix(id, prefixTier):
		return new(Tier)
	case strings.HasPrefix(id, prefixRevocation):
		return new(Revocation)
	case strings.HasPrefix(id, prefixAPIKey):
		return new(APIKey)
	case id == idTokens:
		return new(Tokens)
	case id == idBackendJWT:
		return new(BackendJWT)
	case id == idEnvironment:
		return new(Environment)
	}
	return nil
}
