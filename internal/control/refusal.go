package control

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/sluice-api/sluice"
	"github.com/sluice-api/sluice/internal/database"
)

// refusals counts the logins, token requests and enrolments that were refused, by
// account and address, until they are written to the audit log together: a bad
// password must not cost a disk flush. It may be used by many goroutines.
type refusals struct {
	mu     sync.Mutex // guards counts and beyond
	counts map[refusal]int
	beyond int // of those that counts had no room for
}

// refusal is what was refused to whom.
type refusal struct{ action, account, address string }

const (
	maxRefusals    = 1000 // accounts and addresses told apart in a minute
	maxAccountName = 100  // bytes of a name from a stranger
)

func newRefusals() *refusals { return &refusals{counts: map[refusal]int{}} }

func (r *refusals) add(action, account, address string) {
	account = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, account)
	if len(account) > maxAccountName {
		account = strings.ToValidUTF8(account[:maxAccountName], "") + "…"
	}
	key := refusal{action, account, address}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.counts[key]; !known && len(r.counts) >= maxRefusals {
		r.beyond++
		return
	}
	r.counts[key]++
}

// take returns what was counted, and begins anew.
func (r *refusals) take() (counts map[refusal]int, beyond int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts, beyond = r.counts, r.beyond
	r.counts, r.beyond = map[refusal]int{}, 0
	return counts, beyond
}

// Refused counts a refused login, token request or enrolment of an account from an
// address. Once a minute those of one account and address become one audit entry.
// action is "login.refused" and the like.
func (p *Plane) Refused(action, account, address string) { p.refusals.add(action, account, address) }

// auditRefusals writes what was refused since the last time: one entry for each
// account and address, in the account's organization, with how often in its result.
func (p *Plane) auditRefusals(ctx context.Context) error {
	counts, beyond := p.refusals.take()
	if len(counts) == 0 {
		return nil
	}
	if beyond > 0 {
		counts[refusal{"login.refused", "", ""}] += beyond
	}
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b refusal) int {
		return strings.Compare(a.action+"\x00"+a.account+"\x00"+a.address, b.action+"\x00"+b.account+"\x00"+b.address)
	})
	return p.db.Update(ctx, func(tx *database.Tx) error {
		for _, k := range keys {
			e := sluice.AuditEntry{
				Organization: sluice.DefaultOrganization, Client: "anonymous", Address: k.address, Action: k.action,
				ObjectType: "account", ObjectName: k.account, Result: fmt.Sprintf("refused %d times", counts[k]),
			}
			if org, _ := splitUser(k.account); org != e.Organization {
				switch _, err := tx.Organization(org); {
				case err == nil:
					e.Organization = org
				case !sluice.IsNotFound(err):
					return err
				}
			}
			if err := tx.Audit(e); err != nil {
				return err
			}
		}
		return nil
	})
}
