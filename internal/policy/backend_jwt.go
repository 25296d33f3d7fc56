package policy

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
)

const (
	// backendJWTLifetime is how long a backend may take a JWT, and
	// backendJWTRenewal how long before its end the next one is made.
	backendJWTLifetime = 15 * time.Minute
	backendJWTRenewal  = 5 * time.Minute

	// signedShardSize is how many JWTs one of 64 shards remembers; all together
	// 32,768, of some 1 KB each.
	signedShardSize = 512
)

// signer makes the JWTs that tell backends who calls. It remembers them, since
// a signature of RSA costs about a millisecond. It may be used by many
// goroutines.
type signer struct {
	item   artifact.BackendJWT
	key    *rsa.PrivateKey
	header []byte // name of the field
	head   string // of every JWT: its header, encoded, with the dot
	shards [64]struct {
		mu     sync.Mutex // guards signed
		signed map[callerKey]signedJWT
	}
}

// callerKey is all that a JWT depends on. What it points to never changes: a
// change is another item.
type callerKey struct {
	api          *artifact.API
	application  *artifact.Application
	subscription *artifact.Subscription
	keyType      sluice.KeyType
	user         string
	userToken    bool
}

type signedJWT struct {
	text    []byte
	expires int64 // Unix seconds
}

func newSigner(b *artifact.BackendJWT) (*signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(b.Key)
	if err != nil {
		return nil, fmt.Errorf("key of backend JWTs: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok || key.N.BitLen() < 2048 || b.Header == "" {
		return nil, errors.New("backend JWTs need an RSA key of 2048 bits or more, and a header")
	}
	head, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": b.KeyID})
	if err != nil {
		return nil, err
	}
	return &signer{item: *b, key: key, header: []byte(b.Header), head: base64.RawURLEncoding.EncodeToString(head) + "."}, nil
}

// same reports whether o signs as s does.
func (s *signer) same(o *signer) bool { return reflect.DeepEqual(s.item, o.item) }

func always(*artifact.API, *sluice.Operation) bool { return true }

// tellBackend adds the JWT that tells the backend who calls. A client's own is
// removed in any case; of whom nobody knows there is none.
func tellBackend(x *Exchange) *Fault {
	s := x.Directory.signer
	if s == nil {
		return nil
	}
	x.Request.Fields.Remove(s.item.Header)
	if x.Caller.Application == nil {
		return nil
	}
	text, err := s.jwt(x)
	if err != nil {
		return AuthenticationFailure
	}
	x.Request.Fields = append(x.Request.Fields, Field{s.header, text})
	return nil
}

// jwt returns the JWT of a caller, one that was made before while it is good for
// some time.
func (s *signer) jwt(x *Exchange) ([]byte, error) {
	c, now := &x.Caller, x.Start.Unix()
	key := callerKey{x.API, c.Application, c.Subscription, c.KeyType, c.User, c.UserToken}
	shard := &s.shards[maphash.Comparable(seed, key)%uint64(len(s.shards))]
	shard.mu.Lock()
	j := shard.signed[key]
	shard.mu.Unlock()
	if j.expires-int64(backendJWTRenewal/time.Second) > now {
		return j.text, nil
	}
	key.user = strings.Clone(key.user)
	j = signedJWT{expires: now + int64(backendJWTLifetime/time.Second)}
	var err error
	if j.text, err = s.sign(&key, now, j.expires); err != nil {
		return nil, err
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if shard.signed == nil {
		shard.signed = make(map[callerKey]signedJWT)
	}
	if len(shard.signed) >= signedShardSize {
		for old := range shard.signed { // any one
			delete(shard.signed, old)
			break
		}
	}
	shard.signed[key] = j
	return j.text, nil
}

// sign makes a JWT (RFC 7519) with the claims of WSO2's under the dialect.
func (s *signer) sign(k *callerKey, now, expires int64) ([]byte, error) {
	claims := map[string]any{"iss": s.item.Issuer, "iat": now, "exp": expires}
	set := func(name, value string) { claims[s.item.Dialect+"/"+name] = value }
	set("subscriber", k.application.Owner)
	set("applicationid", k.application.ID)
	set("applicationname", k.application.Name)
	set("applicationtier", k.application.Tier)
	set("apicontext", k.api.Context)
	set("version", k.api.Version)
	set("keytype", string(k.keyType))
	if k.subscription != nil {
		set("tier", k.subscription.Tier)
	}
	kind := "APPLICATION"
	if k.userToken {
		kind = "APPLICATION_USER"
	}
	set("usertype", kind)
	if k.userToken || !s.item.OmitUser {
		set("enduser", k.user)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return nil, err
	}
	text := base64.RawURLEncoding.AppendEncode([]byte(s.head), body)
	sum := sha256.Sum256(text)
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return nil, err
	}
	return base64.RawURLEncoding.AppendEncode(append(text, '.'), signature), nil
}
