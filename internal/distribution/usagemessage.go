package distribution

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sluice-api/sluice"
)

// UsageReport is what a gateway reports of its usage.
type UsageReport struct {
	GatewayID, EnvironmentID string
	Run                      string        // of the process that has counted
	Until                    time.Time     // with these records all there is by then has been reported; zero: not so
	Lost                     int64         // calls that the run had to drop
	Records                  []UsageRecord // in order of their sequence
}

// UsageRecord is what a gateway has counted in a while. Run and sequence name it,
// however often it is sent.
type UsageRecord struct {
	Sequence int64
	Calls    int64 // that it is about
	Counts   []sluice.UsageCount
	Damaged  bool // it cannot be read, and Counts is empty
}

// usageReport is a UsageReport on its way to the control plane.
type usageReport struct {
	run     string
	until   time.Time
	lost    int64
	records []spoolRecord
}

func (m *usageReport) append(b []byte) []byte {
	b = appendText(b, m.run)
	b = binary.AppendUvarint(b, uint64(max(0, m.until.UnixMicro())))
	b = binary.AppendUvarint(b, uint64(m.lost))
	b = binary.AppendUvarint(b, uint64(len(m.records)))
	for i := range m.records {
		b = binary.AppendUvarint(b, m.records[i].sequence)
		b = binary.AppendUvarint(b, uint64(m.records[i].calls))
		b = appendText(b, m.records[i].body)
	}
	return b
}

// readUsageReport reads a report. A record that is damaged is said to be so; one
// of a version that is not known here is an error, since a newer control plane
// will know it.
func (f *framer) readUsageReport(r *reader) (*UsageReport, error) {
	m := &UsageReport{Run: r.text()}
	if until := r.integer(); until > 0 {
		m.Until = time.UnixMicro(until).UTC()
	}
	m.Lost = r.integer()
	m.Records = make([]UsageRecord, r.count(3))
	for i := range m.Records {
		record := &m.Records[i]
		record.Sequence, record.Calls = r.integer(), r.integer()
		body := r.bytes()
		if r.err != nil {
			break
		}
		if record.Sequence <= 0 || record.Calls < 0 || i > 0 && record.Sequence <= m.Records[i-1].Sequence {
			return nil, errMessage
		}
		fields, err := f.open(body)
		if err == nil {
			record.Counts, err = readUsageCounts(fields)
		}
		switch {
		case errors.Is(err, errMessage):
			record.Counts, record.Damaged = nil, true
		case err != nil:
			return nil, err
		}
	}
	if r.err != nil || m.Run == "" || len(m.Run) > maxUsageText || m.Lost < 0 {
		return nil, errMessage
	}
	return m, nil
}

func appendUsageCount(b []byte, c *sluice.UsageCount) []byte {
	b = binary.AppendUvarint(b, uint64(c.Minute))
	for _, s := range []string{c.Organization, c.APIID, c.APIName, c.APIVersion} {
		b = appendText(b, s[:min(len(s), maxUsageText)])
	}
	b = binary.AppendUvarint(b, uint64(c.Revision))
	for _, s := range []string{c.Operation, c.ApplicationID, string(c.KeyType), c.Refusal} {
		b = appendText(b, s[:min(len(s), maxUsageText)])
	}
	b = append(b, byte(c.Status))
	for _, n := range []int64{c.Requests, c.BytesIn, c.BytesOut} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, h := range []*sluice.Histogram{&c.Latency, &c.Backend} {
		h, _ := h.MarshalBinary() // never fails
		b = appendText(b, h)
	}
	return b
}

// maxUsageNumber is what no count may be beyond, so that no sum overflows.
const maxUsageNumber = 1 << 50

// readUsageCounts reads the counts of a record.
func readUsageCounts(r *reader) ([]sluice.UsageCount, error) {
	counts := make([]sluice.UsageCount, min(r.count(15), maxUsageKeys+1))
	if len(counts) > maxUsageKeys {
		return nil, errMessage
	}
	text := func() string {
		s := r.text()
		if len(s) > maxUsageText {
			r.err = errMessage
		}
		return s
	}
	number := func() int64 {
		n := r.number()
		if n > maxUsageNumber {
			r.err = errMessage
		}
		return int64(n)
	}
	for i := range counts {
		c := &counts[i]
		c.Minute = number()
		c.Organization, c.APIID, c.APIName, c.APIVersion = text(), text(), text(), text()
		c.Revision = int(number())
		c.Operation, c.ApplicationID, c.KeyType, c.Refusal = text(), text(), sluice.KeyType(text()), text()
		c.Status = int(r.octet())
		c.Requests, c.BytesIn, c.BytesOut = number(), number(), number()
		for _, h := range []*sluice.Histogram{&c.Latency, &c.Backend} {
			if b := r.bytes(); r.err == nil && h.UnmarshalBinary(b) != nil {
				r.err = errMessage
			}
		}
		if c.Status > 5 || c.Latency.Count() > uint64(c.Requests) || c.Backend.Count() > uint64(c.Requests) {
			r.err = errMessage
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return counts, nil
}

// takeUsage stores what the gateways report that are connected here, until ctx
// ends. Who gets no answer sends it again.
func (b *Bus) takeUsage(ctx context.Context, control *nats.Conn, reports *nats.Subscription) {
	for {
		m, ok := b.next(ctx, reports)
		if !ok {
			return
		}
		environmentID, gatewayID, ok := sender(m.Subject)
		if !ok || !b.tunnels.live(gatewayID) {
			continue // it is connected to another control plane, or gone
		}
		err := b.storeUsage(ctx, m, environmentID, gatewayID)
		if err != nil && ctx.Err() == nil {
			b.o.Log.WarnContext(ctx, "usage of a gateway was not stored; it will be sent again", "gateway_id", gatewayID, "err", err)
		}
		b.reply(control, m, appendFlag(nil, err == nil))
	}
}

func (b *Bus) storeUsage(ctx context.Context, m *nats.Msg, environmentID, gatewayID string) error {
	fields, err := b.framer.open(m.Data)
	if err != nil {
		return err
	}
	r, err := b.framer.readUsageReport(fields)
	if err != nil {
		return fmt.Errorf("report of usage: %w", err)
	}
	r.GatewayID, r.EnvironmentID = gatewayID, environmentID
	return b.o.Usage(ctx, *r)
}
