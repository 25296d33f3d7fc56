package gateway
import ("testing";"fmt";"runtime";"time"
"github.com/sluice-api/sluice"
"github.com/sluice-api/sluice/internal/artifact"
"github.com/sluice-api/sluice/internal/distribution"
)
func TestZZ(t *testing.T) {
	for _, n := range [][2]int{{1000,100000},{10000,100000}} {
	var u distribution.Update
	u.Complete=true
	add := func(it artifact.Item) { b, err := artifact.Encode(it); if err != nil {t.Fatal(err)}; u.Put = append(u.Put, distribution.Item{ID: it.ItemID(), Digest: artifact.DigestOf(b), Body: b}) }
	add(&artifact.Environment{Vhosts: []sluice.Vhost{{Host:"gw"}}})
	for i := range n[0] {
		a := &artifact.API{ID: fmt.Sprintf("0190c3a4-5b6c-7aaa-8000-%012d", i), Name: fmt.Sprint("Api",i), Version:"1.0", Environment: sluice.HybridEnvironment, Vhost:"gw", Context: fmt.Sprintf("/api%d/1.0", i), Transports: []string{"http","https"}, State: sluice.Published, Production: []sluice.Endpoint{{URL:"http://b:80/x"}}}
		for j := range 20 { a.Operations = append(a.Operations, sluice.Operation{Verb:[]string{"GET","POST"}[j%2], Target: fmt.Sprintf("/things%d/{id}", j/2), Auth: sluice.AuthAny, Scopes: []string{"read"}, Tier:"Unlimited"}) }
		add(a)
	}
	for i := range n[1] {
		if i%2==0 {
		add(&artifact.Application{ID: fmt.Sprintf("0190c3a4-5b6c-7bbb-8000-%012d", i/2), Organization:"default", Name: fmt.Sprint("app ", i), Owner: "alice", Tier:"Unlimited"})
		add(&artifact.Subscription{ID: fmt.Sprintf("0190c3a4-5b6c-7ccc-8000-%012d", i/2), ApplicationID: fmt.Sprintf("0190c3a4-5b6c-7bbb-8000-%012d", i/2), APIID: fmt.Sprintf("0190c3a4-5b6c-7aaa-8000-%012d", i%n[0]), Tier:"Gold", State: sluice.Unblocked})
		}
		add(&artifact.Key{Key: fmt.Sprintf("ck%026d", i), ApplicationID: fmt.Sprintf("0190c3a4-5b6c-7bbb-8000-%012d", i/2), Type: sluice.ProductionKey})
	}
	var m0, m1 runtime.MemStats
	runtime.GC(); runtime.ReadMemStats(&m0)
	g, _ := New(Options{Transport: nowhere{}})
	begin := time.Now()
	g.Apply(u)
	d := time.Since(begin)
	runtime.GC(); runtime.ReadMemStats(&m1)
	begin = time.Now()
	g.Apply(distribution.Update{Put: u.Put[1:2]})
	d1 := time.Since(begin)
	begin = time.Now()
	g.Apply(distribution.Update{Put: u.Put[len(u.Put)-1:]})
	t.Logf("%v: %v, heap %d MB, then one API again %v, one key %v", n, d, (m1.HeapAlloc-m0.HeapAlloc)>>20, d1, time.Since(begin))
	runtime.KeepAlive(g)
	if n[0]==10000 {
	runtime.GC(); runtime.ReadMemStats(&m0)
	var v distribution.Update; v.Complete=true; v.Put=u.Put[:n[0]+1]
	g2, _ := New(Options{Transport: nowhere{}})
	g2.Apply(v)
	runtime.GC(); runtime.ReadMemStats(&m1)
	t.Logf("API %d bytes", (m1.HeapAlloc-m0.HeapAlloc)/10000)
	runtime.KeepAlive(g2)
	runtime.KeepAlive(u)
	}
	}
}
