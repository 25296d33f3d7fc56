// Package databasetest holds what any database of Sluice must do, as tests: [Run]
// calls every method of database.Tx against a database that the caller opens, so
// that SQLite and PostgreSQL are held to the same. [Postgres] finds or starts a
// PostgreSQL server for them.
//
// A file holds the tests of related features; a new method of database.Tx is
// tested here, and only what is particular to one of the two in package database.
package databasetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// Run runs all tests, in parallel. open returns a new, empty database, which it
// closes when its test is over.
func Run(t *testing.T, open func(t testing.TB) *database.DB) {
	for name, test := range map[string]func(t *testing.T, db *database.DB){
		"an update is all or nothing":                   testRollback,
		"a failed statement fails the update":           testFailedStatement,
		"a view is one snapshot and cannot write":       testView,
		"readers run beside writers":                    testConcurrency,
		"a cancelled update leaves nothing behind":      testCancel,
		"audit entries are numbered and stay":           testAudit,
		"audit entries are found":                       testFindAudit,
		"audit entries are chained":                     testSealAudit,
		"kept answers":                                  testKeptAnswers,
		"events follow generations and commits":         testEmit,
		"concurrent events are numbered without gaps":   testEmitConcurrently,
		"sealed values open only where they belong":     testSealed,
		"organizations":                                 testOrganizations,
		"users":                                         testUsers,
		"a first login is noted once":                   testWelcome,
		"access tokens":                                 testAccessTokens,
		"refresh tokens":                                testRefreshTokens,
		"expired refresh tokens":                        testExpiredRefreshTokens,
		"management clients":                            testManagementClients,
		"revocations":                                   testRevocations,
		"what was revoked":                              testRevocationActs,
		"codes":                                         testCodes,
		"tokens of a client and of a user":              testTokensOfOne,
		"application tokens":                            testApplicationTokens,
		"apis are stored whole":                         testAPIs,
		"apis are unique by name and by route":          testAPIConflicts,
		"apis are found by terms":                       testFindAPIs,
		"apis are sorted and paged":                     testSortAPIs,
		"apis are for those with a role":                testAPIRoles,
		"apis are filed under categories":               testAPICategories,
		"apis are found by what makes them unique":      testAPINeighbours,
		"documents":                                     testDocuments,
		"comments":                                      testComments,
		"tags":                                          testTags,
		"ratings":                                       testRatings,
		"documents are found":                           testFindDocuments,
		"thumbnails":                                    testThumbnails,
		"categories":                                    testCategories,
		"moves of a lifecycle are kept in order":        testLifecycleChanges,
		"revisions are numbered and numbers not reused": testRevisions,
		"deleting an api deletes what hangs on it":      testDeleteAPI,
		"environments":                                  testEnvironments,
		"gateways":                                      testGateways,
		"an enrolment token is used once":               testEnrolmentTokens,
		"deployments":                                   testDeployments,
		"artifacts":                                     testArtifacts,
		"publications":                                  testPublications,
		"applications":                                  testApplications,
		"consumer keys":                                 testConsumerKeys,
		"API keys":                                      testAPIKeys,
		"subscriptions":                                 testSubscriptions,
		"tiers":                                         testTiers,
		"usage is added up by minute, hour and day":     testUsage,
		"usage is shown to whom it concerns":            testUsageAccess,
		"records of usage are remembered by run":        testUsageRuns,
		"usage goes with its organization":              testUsageOfOrganization,
		"rows are guarded by their version":             testRowVersions,
		"what is not there is not found":                testUnknown,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// org is the organization of the things that the tests make.
const org = sluice.DefaultOrganization

// start is when they were made; it has all the precision that is kept.
func start() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 891234000, time.UTC) }

// update runs f in an Update, which must succeed.
func update(t testing.TB, db *database.DB, f func(tx *database.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), f); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// all runs one Update for each step, which must succeed.
func all(t testing.TB, db *database.DB, steps ...func(tx *database.Tx) error) {
	t.Helper()
	for _, step := range steps {
		update(t, db, step)
	}
}

// read returns what f finds in a View.
func read[T any](t testing.TB, db *database.DB, f func(tx *database.Tx) (T, error)) T {
	t.Helper()
	var v T
	err := db.View(t.Context(), func(tx *database.Tx) (err error) {
		v, err = f(tx)
		return err
	})
	if err != nil {
		t.Fatalf("View: %v", err)
	}
	return v
}

// same fails the test where got is not want.
func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// refused runs f in an Update, which must return an error of this kind and code.
func refused(t testing.TB, db *database.DB, kind sluice.Kind, code string, f func(tx *database.Tx) error) {
	t.Helper()
	wantError(t, db.Update(t.Context(), f), kind, code)
}

func wantError(t testing.TB, err error, kind sluice.Kind, code string) {
	t.Helper()
	if err == nil {
		t.Errorf("error = nil, want %s %q", kind, code)
		return
	}
	if got := sluice.KindOf(err); got != kind || codeOf(err) != code {
		t.Errorf("error = %s %q (%v), want %s %q", got, codeOf(err), err, kind, code)
	}
}

// names returns one field of every item of a list.
func names[T any](list []T, name func(T) string) []string {
	var out []string
	for _, v := range list {
		out = append(out, name(v))
	}
	return out
}
