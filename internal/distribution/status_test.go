package distribution

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"github.com/sluice-api/sluice/internal/artifact"
)

func TestOnlyASignedClaimBeginsAnEpoch(t *testing.T) {
	_, ours, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, another, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(environment string, epoch, generation int64, key ed25519.PrivateKey) signedRoot {
		r := signedRoot{environment: environment, epoch: epoch, generation: generation, root: artifact.DigestOf([]byte("x")), time: time.Unix(5, 0).UTC()}
		r.sign(key)
		return r
	}
	altered := claim("prod", 2, 4, ours)
	altered.generation = 9
	unsigned := claim("prod", 2, 9, ours)
	unsigned.signature = [ed25519.SignatureSize]byte{}
	v := &view{"prod", 2, 5, emptyState()}
	for name, tc := range map[string]struct {
		claim signedRoot
		told  bool
	}{
		"the state there is":           {claim("prod", 2, 5, ours), false},
		"an earlier generation":        {claim("prod", 2, 4, ours), false},
		"an earlier epoch, later on":   {claim("prod", 1, 90, ours), false},
		"a later generation":           {claim("prod", 2, 6, ours), true},
		"a later epoch":                {claim("prod", 3, 1, ours), true},
		"signed by another key":        {claim("prod", 2, 6, another), false},
		"signed for another one":       {claim("test", 2, 6, ours), false},
		"a generation that was raised": {altered, false},
		"without a signature":          {unsigned, false},
	} {
		t.Run(name, func(t *testing.T) {
			told := false
			b := &Bus{o: Options{Signer: ours, Log: slog.New(slog.DiscardHandler), Overtaken: func(_ context.Context, id string, epoch, generation int64) error {
				told = true
				if id != "prod" || epoch != tc.claim.epoch || generation != tc.claim.generation {
					t.Errorf("told of %s epoch %d generation %d", id, epoch, generation)
				}
				return nil
			}}}
			b.compareClaim(t.Context(), v, tc.claim)
			if told != tc.told {
				t.Errorf("told = %v, want %v", told, tc.told)
			}
		})
	}
}
