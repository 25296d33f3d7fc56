package database_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// BenchmarkAddUsage adds what a gateway sends of 200 keys every 10 s.
func BenchmarkAddUsage(b *testing.B) {
	db := open(b, newFile(b))
	counts := make([]sluice.UsageCount, 200)
	for i := range counts {
		counts[i] = sluice.UsageCount{UsageKey: sluice.UsageKey{Minute: 29_000_000, APIID: fmt.Sprint(i), Operation: "GET /today", Status: 2}, Requests: 100}
		for n := range 100 {
			counts[i].Latency.Add(time.Duration(n) * 100 * time.Microsecond)
		}
	}
	for b.Loop() {
		if err := db.Update(b.Context(), func(tx *database.Tx) error { return tx.AddUsage("g", "e", counts) }); err != nil {
			b.Fatal(err)
		}
	}
}
