package artifact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// format is the version of the encoding. A gateway refuses a newer one than it
// knows, and so keeps what it has.
const format = 1

// MaxSize is the most bytes an encoded artifact may have.
const MaxSize = 8 << 20

type envelope struct {
	Format int             `json:"format"`
	Item   json.RawMessage `json:"item"`
}

// Encode returns the bytes that an item's digest is taken of. The same item
// always gives the same bytes.
func Encode(item Item) ([]byte, error) {
	body, err := json.Marshal(item)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", item.ItemID(), err)
	}
	b, err := json.Marshal(envelope{Format: format, Item: body})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", item.ItemID(), err)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("%s has %d bytes; at most %d can be sent to a gateway", item.ItemID(), len(b), MaxSize)
	}
	return b, nil
}

// Decode reads the item with the given id back. It refuses unknown kinds,
// unknown fields, a newer format, and bytes that belong to another id.
func Decode(id string, b []byte) (Item, error) {
	var item Item
	switch {
	case strings.HasPrefix(id, prefixAPI):
		item = new(API)
	case strings.HasPrefix(id, prefixKey):
		item = new(Key)
	case strings.HasPrefix(id, prefixApplication):
		item = new(Application)
	case strings.HasPrefix(id, prefixSubscription):
		item = new(Subscription)
	case strings.HasPrefix(id, prefixTier):
		item = new(Tier)
	case strings.HasPrefix(id, prefixRevocation):
		item = new(Revocation)
	case id == idTokens:
		item = new(Tokens)
	case id == idEnvironment:
		item = new(Environment)
	default:
		return nil, fmt.Errorf("item %q is of no known kind", id)
	}
	if len(b) > MaxSize {
		return nil, fmt.Errorf("item %q has more than %d bytes", id, MaxSize)
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("decode %q: %w", id, err)
	}
	if e.Format != format {
		return nil, fmt.Errorf("item %q has format %d, this gateway knows %d", id, e.Format, format)
	}
	d := json.NewDecoder(bytes.NewReader(e.Item))
	d.DisallowUnknownFields()
	if err := d.Decode(item); err != nil {
		return nil, fmt.Errorf("decode %q: %w", id, err)
	}
	if item.ItemID() != id {
		return nil, fmt.Errorf("item %q holds %q", id, item.ItemID())
	}
	return item, nil
}
