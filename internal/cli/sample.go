package cli

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SampleDefinition is the OpenAPI document of the sample API.
//
//go:embed sample/citybikes.yaml
var SampleDefinition []byte

// Sides of the sample backend.
const (
	sampleProduction = "production"
	sampleSandbox    = "sandbox"
)

// sampleCommand serves one side of the sample API's backend.
type sampleCommand struct {
	Side   string `help:"Which city it holds." enum:"production,sandbox" default:"production"`
	Listen string `help:"Address to listen on." default:"127.0.0.1:0"`
}

// Run serves the backend until it is told to stop. It prints its address first.
func (c *sampleCommand) Run(ctx context.Context, e *environment) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(e.out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	return serveSample(ctx, l, c.Side)
}

// serveSample serves one side of the backend on l until ctx ends.
func serveSample(ctx context.Context, l net.Listener, side string) error {
	srv := &http.Server{Handler: newBikes(side), ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // a sample owes nobody a drain
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// bikes is the backend of the sample API: a city's stations, bikes and rides,
// in memory.
type bikes struct {
	side string

	mu       sync.Mutex // guards what follows
	stations []*station
	bikes    []*bike
	rides    []*ride
}

type station struct {
	ID   string  `json:"id"`
	Name string  `json:"name"`
	Lat  float64 `json:"lat"`
	Lon  float64 `json:"lon"`
}

type bike struct {
	ID        string `json:"id"`
	StationID string `json:"stationId,omitempty"`
}

type ride struct {
	ID     string `json:"id"`
	BikeID string `json:"bikeId"`
	From   string `json:"from"`
	To     string `json:"to,omitempty"`
}

// newBikes returns the backend with the city of its side.
func newBikes(side string) http.Handler {
	b := &bikes{side: side}
	city := []station{{"s1", "Central Station", 52.3791, 4.9003}, {"s2", "Museum Square", 52.3579, 4.8811}, {"s3", "East Park", 52.3612, 4.9310}}
	if side == sampleSandbox {
		city = []station{{"s1", "Test Track North", 0.001, 0.001}, {"s2", "Test Track South", -0.001, 0.001}}
	}
	for i := range city {
		b.stations = append(b.stations, &city[i])
		for n := range 3 + i {
			b.bikes = append(b.bikes, &bike{ID: fmt.Sprintf("b%d%d", i+1, n+1), StationID: city[i].ID})
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", b.status)
	mux.HandleFunc("GET /stations", b.listStations)
	mux.HandleFunc("POST /stations", b.addStation)
	mux.HandleFunc("GET /stations/nearest", b.nearest)
	mux.HandleFunc("GET /stations/{id}", b.getStation)
	mux.HandleFunc("DELETE /stations/{id}", b.removeStation)
	mux.HandleFunc("GET /stations/{id}/bikes", b.listBikes)
	mux.HandleFunc("GET /bikes/{id}", b.getBike)
	mux.HandleFunc("POST /rides", b.startRide)
	mux.HandleFunc("GET /rides/{id}", b.getRide)
	mux.HandleFunc("PATCH /rides/{id}", b.endRide)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Served-By", side+" backend")
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10)) // before anybody else has to wait for it
		if err != nil {
			b.refuse(w, http.StatusBadRequest, "the body has more than 64 KB, or was cut off")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.mu.Lock()
		defer b.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
}

// answer writes v as JSON, with the side that serves it in front.
func (b *bikes) answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"servedBy":%q,%s`+"\n", b.side, body[1:]) // the peer may have gone
}

func (b *bikes) refuse(w http.ResponseWriter, status int, format string, args ...any) {
	b.answer(w, status, map[string]string{"problem": fmt.Sprintf(format, args...)})
}

// full is a station with the number of its bikes.
func (b *bikes) full(s *station) any {
	return struct {
		*station
		Bikes int `json:"bikes"`
	}{s, len(b.at(s.ID))}
}

func (b *bikes) at(stationID string) []*bike {
	list := []*bike{}
	for _, k := range b.bikes {
		if k.StationID == stationID {
			list = append(list, k)
		}
	}
	return list
}

func (b *bikes) station(id string) *station {
	i := slices.IndexFunc(b.stations, func(s *station) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return b.stations[i]
}

func (b *bikes) bike(id string) *bike {
	i := slices.IndexFunc(b.bikes, func(k *bike) bool { return k.ID == id })
	if i < 0 {
		return nil
	}
	return b.bikes[i]
}

func (b *bikes) ride(id string) *ride {
	i := slices.IndexFunc(b.rides, func(r *ride) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return b.rides[i]
}

func (b *bikes) status(w http.ResponseWriter, _ *http.Request) {
	b.answer(w, http.StatusOK, map[string]any{"state": "open", "stations": len(b.stations), "bikes": len(b.bikes)})
}

func (b *bikes) listStations(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	least, limit := 0, 20
	for name, to := range map[string]*int{"minBikes": &least, "limit": &limit} {
		if q.Has(name) {
			n, err := strconv.Atoi(q.Get(name))
			if err != nil || n < 0 || n > 100 {
				b.refuse(w, http.StatusBadRequest, "%s is a whole number from 0 to 100", name)
				return
			}
			*to = n
		}
	}
	list := []any{}
	for _, s := range b.stations {
		if len(b.at(s.ID)) >= least && len(list) < limit {
			list = append(list, b.full(s))
		}
	}
	b.answer(w, http.StatusOK, map[string]any{"stations": list})
}

func (b *bikes) addStation(w http.ResponseWriter, r *http.Request) {
	var s station
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || strings.TrimSpace(s.Name) == "" {
		b.refuse(w, http.StatusBadRequest, "a station has a name, lat and lon")
		return
	}
	s.ID = fmt.Sprintf("s%d", len(b.stations)+1)
	for b.station(s.ID) != nil {
		s.ID += "x"
	}
	b.stations = append(b.stations, &s)
	b.answer(w, http.StatusCreated, b.full(&s))
}

func (b *bikes) nearest(w http.ResponseWriter, r *http.Request) {
	lat, err1 := strconv.ParseFloat(r.URL.Query().Get("lat"), 64)
	lon, err2 := strconv.ParseFloat(r.URL.Query().Get("lon"), 64)
	if err1 != nil || err2 != nil || len(b.stations) == 0 {
		b.refuse(w, http.StatusBadRequest, "lat and lon are numbers")
		return
	}
	distance := func(s *station) float64 { return (s.Lat-lat)*(s.Lat-lat) + (s.Lon-lon)*(s.Lon-lon) }
	b.answer(w, http.StatusOK, b.full(slices.MinFunc(b.stations, func(x, y *station) int {
		if distance(x) < distance(y) {
			return -1
		}
		return 1
	})))
}

func (b *bikes) getStation(w http.ResponseWriter, r *http.Request) {
	s := b.station(r.PathValue("id"))
	if s == nil {
		b.refuse(w, http.StatusNotFound, "there is no such station")
		return
	}
	b.answer(w, http.StatusOK, b.full(s))
}

func (b *bikes) removeStation(w http.ResponseWriter, r *http.Request) {
	s := b.station(r.PathValue("id"))
	switch {
	case s == nil:
		b.refuse(w, http.StatusNotFound, "there is no such station")
	case len(b.at(s.ID)) > 0:
		b.refuse(w, http.StatusConflict, "bikes stand at this station")
	default:
		b.stations = slices.DeleteFunc(b.stations, func(o *station) bool { return o == s })
		w.WriteHeader(http.StatusNoContent)
	}
}

func (b *bikes) listBikes(w http.ResponseWriter, r *http.Request) {
	s := b.station(r.PathValue("id"))
	if s == nil {
		b.refuse(w, http.StatusNotFound, "there is no such station")
		return
	}
	b.answer(w, http.StatusOK, map[string]any{"bikes": b.at(s.ID)})
}

func (b *bikes) getBike(w http.ResponseWriter, r *http.Request) {
	k := b.bike(r.PathValue("id"))
	if k == nil {
		b.refuse(w, http.StatusNotFound, "there is no such bike")
		return
	}
	b.answer(w, http.StatusOK, k)
}

func (b *bikes) startRide(w http.ResponseWriter, r *http.Request) {
	var body struct{ BikeID string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		b.refuse(w, http.StatusBadRequest, "a ride has a bikeId")
		return
	}
	k := b.bike(body.BikeID)
	switch {
	case k == nil:
		b.refuse(w, http.StatusNotFound, "there is no such bike")
	case k.StationID == "":
		b.refuse(w, http.StatusConflict, "somebody rides this bike")
	default:
		ride := &ride{ID: fmt.Sprintf("r%d", len(b.rides)+1), BikeID: k.ID, From: k.StationID}
		k.StationID = ""
		b.rides = append(b.rides, ride)
		b.answer(w, http.StatusCreated, ride)
	}
}

func (b *bikes) getRide(w http.ResponseWriter, r *http.Request) {
	ride := b.ride(r.PathValue("id"))
	if ride == nil {
		b.refuse(w, http.StatusNotFound, "there is no such ride")
		return
	}
	b.answer(w, http.StatusOK, ride)
}

func (b *bikes) endRide(w http.ResponseWriter, r *http.Request) {
	var body struct{ StationID string }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		b.refuse(w, http.StatusBadRequest, "the end of a ride has a stationId")
		return
	}
	ride := b.ride(r.PathValue("id"))
	switch {
	case ride == nil || b.station(body.StationID) == nil:
		b.refuse(w, http.StatusNotFound, "there is no such ride or station")
	case ride.To != "":
		b.refuse(w, http.StatusConflict, "the ride has ended")
	default:
		ride.To, b.bike(ride.BikeID).StationID = body.StationID, body.StationID
		b.answer(w, http.StatusOK, ride)
	}
}
