package database

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-api/sluice"
)

// A page of 25 of 10,000 APIs takes 20 ms at most, 99 times of 100; that of the
// Store, which shows the newest version of each, is not there yet.
func TestListFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a database with 10,000 APIs")
	}
	db := openFile(t)
	err := db.Update(t.Context(), func(tx *Tx) error {
		for i := range 10_000 {
			a := sluice.API{
				ID: fmt.Sprintf("%06d", i), Organization: "default", Name: fmt.Sprintf("api %d", i/2), Version: fmt.Sprint(i % 2), Context: fmt.Sprintf("/api-%d", i/2),
				Description: strings.Repeat("It does this and that. ", 20), Operations: make([]sluice.Operation, 20), Definition: make([]byte, 20_000),
				State: sluice.Published, Visibility: sluice.Public,
			}
			if i%10 == 0 {
				a.Visibility, a.VisibleRoles, a.AccessControl = sluice.Restricted, []sluice.Role{"x"}, []sluice.Role{"x"}
			}
			if err := tx.AddAPI(&a); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]APIFilter{
		"administrator":      {},
		"restricted by role": {AccessRoles: []sluice.Role{"x"}},
		"Store":              {States: []sluice.Lifecycle{sluice.Published}, StoreRoles: []sluice.Role{"y"}, Newest: true},
	} {
		f.Organization, f.Limit = "default", 25
		var took []time.Duration
		for n := range 200 {
			f.Offset = n * 10
			start := time.Now()
			err := db.View(t.Context(), func(tx *Tx) error {
				list, _, err := tx.FindAPIs(f)
				if len(list) != 25 {
					t.Fatalf("%d APIs", len(list))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		t.Logf("%s: p50 %s, p99 %s", name, took[100].Round(time.Microsecond), took[198].Round(time.Microsecond))
		most := 20 * time.Millisecond
		if f.Newest {
			most = 60 * time.Millisecond
		}
		if took[198] > most {
			t.Errorf("%s: p99 %s, more than %s", name, took[198], most)
		}
	}
}
