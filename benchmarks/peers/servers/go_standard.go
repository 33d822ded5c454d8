// A fan-out in Go's standard library.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

type offer struct {
	Name    string            `json:"offer"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

type call struct {
	CallID       string         `json:"call_id"`
	DialedNumber string         `json:"dialed_number"`
	CallerID     string         `json:"caller_id"`
	Fields       map[string]any `json:"fields"`
	TimeoutMS    int            `json:"timeout_ms"`
}

type caller struct {
	AreaCode string  `json:"area_code"`
	State    *string `json:"state"`
	Country  string  `json:"country"`
}

type ping struct {
	PingID     string         `json:"ping_id"`
	Campaign   string         `json:"campaign"`
	Offer      string         `json:"offer"`
	Caller     caller         `json:"caller"`
	Fields     map[string]any `json:"fields"`
	MinimumBid string         `json:"minimum_bid"`
	TimeoutMS  int            `json:"timeout_ms"`
}

type bid struct {
	Accepted bool        `json:"accepted"`
	Amount   json.Number `json:"bid"`
	offer    string
	value    float64
}

type decision struct {
	CallID   string `json:"call_id"`
	Action   string `json:"action"`
	RoutedBy string `json:"routed_by,omitempty"`
	Offer    string `json:"offer,omitempty"`
	Price    string `json:"price,omitempty"`
	Currency string `json:"currency,omitempty"`
}

type server struct {
	offers    []offer
	timeout   time.Duration
	timeoutMS int
	client    *http.Client
}

func (s *server) decide(w http.ResponseWriter, r *http.Request) {
	var c call
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		http.Error(w, "not JSON", http.StatusBadRequest)
		return
	}
	var random [16]byte
	rand.Read(random[:])
	token := hex.EncodeToString(random[:])
	bids := make(chan *bid, len(s.offers))
	for n, o := range s.offers {
		go func() { bids <- s.ping(r.Context(), &c, o, fmt.Sprintf("%s-%d", token, n)) }()
	}
	var best *bid
	for range s.offers {
		if b := <-bids; b != nil && (best == nil || b.value > best.value) {
			best = b
		}
	}
	d := decision{CallID: c.CallID, Action: "no_route"}
	if best != nil {
		d = decision{c.CallID, "route", "auction", best.offer, best.Amount.String(), "USD"}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(d)
}

// ping returns one buyer's bid, nil where it has none or does not answer in time.
func (s *server) ping(ctx context.Context, c *call, o offer, id string) *bid {
	area := ""
	if len(c.CallerID) >= 5 {
		area = c.CallerID[2:5]
	}
	body, err := json.Marshal(ping{
		id, "bench", o.Name, caller{AreaCode: area, Country: "US"}, c.Fields, "1.00", s.timeoutMS,
	})
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range o.Headers {
		request.Header.Set(name, value)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return nil
	}
	b := bid{offer: o.Name}
	if json.Unmarshal(answer, &b) != nil || !b.Accepted {
		return nil
	}
	if b.value, err = b.Amount.Float64(); err != nil {
		return nil
	}
	return &b
}

func main() {
	var s server
	if err := json.Unmarshal([]byte(os.Getenv("OFFERS")), &s.offers); err != nil {
		log.Fatal("OFFERS: ", err)
	}
	timeoutMS, err := strconv.Atoi(os.Getenv("TIMEOUT_MS"))
	if err != nil {
		log.Fatal("TIMEOUT_MS: ", err)
	}
	s.timeoutMS = timeoutMS
	s.timeout = time.Duration(timeoutMS) * time.Millisecond
	s.client = &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 512,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}}
	http.HandleFunc("POST /v1/calls", s.decide)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
