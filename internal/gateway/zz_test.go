package gateway

import (
	"fmt"
	"testing"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/artifact"
	"github.com/sluice-api/sluice/internal/distribution"
)

func BenchmarkApply(b *testing.B) {
	var u distribution.Update
	add := func(it artifact.Item) {
		bb, err := artifact.Encode(it)
		if err != nil {
			b.Fatal(err)
		}
		u.Put = append(u.Put, distribution.Item{ID: it.ItemID(), Digest: artifact.DigestOf(bb), Body: bb})
	}
	add(&artifact.Environment{Vhosts: []sluice.Vhost{{Host: "gw"}}})
	for i := range 10000 {
		a := &artifact.API{ID: fmt.Sprintf("0190c3a4-5b6c-7aaa-8000-%012d", i), Name: fmt.Sprint("Api", i), Version: "1.0", Environment: sluice.HybridEnvironment, Vhost: "gw", Context: fmt.Sprintf("/api%d/1.0", i), Transports: []string{"http", "https"}, State: sluice.Published, Production: []sluice.Endpoint{{URL: "http://b:80/x"}}}
		add(a)
	}
	g, _ := New(Options{Transport: nowhere{}})
	g.Apply(u)
	put := u.Put[1:2]
	for b.Loop() {
		put[0].Digest[0]++
		g.Apply(distribution.Update{Put: put})
	}
}
