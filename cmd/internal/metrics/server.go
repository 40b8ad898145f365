package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/evenkeel/evenkeel/cmd/internal/api"
	"github.com/evenkeel/evenkeel/consensus"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Replica is what can be read of a replica.
type Replica interface {
	State() (cluster.State, uint64)
	Health() consensus.Health
}

// Config is what a Server needs. Nothing in it can change anything.
type Config struct {
	Listen      string // host:port
	Replica     Replica
	Local       api.Local            // live counters of this host's VMs; nil on a witness
	Libvirt     func() bool          // whether libvirt answers here; nil on a witness
	Probes      func() []Probe       // of this host; nil: none are told of
	CertExpires func() time.Time     // of this member's certificate; nil: not told
	Webhooks    func() []api.Webhook // deliveries of events; nil: none
	Member      string               // id of this member
	Version     string               // of the binary
	Now         func() time.Time     // nil: time.Now
	Logger      *slog.Logger
}

// Probe is what a probe has used since it was loaded.
type Probe struct {
	Name         string
	Runs, Missed uint64        // missed ones the kernel left out
	Time         time.Duration // that its runs took
	Lost         uint64        // events that it saw and could not use
}

// Bounds of the port: strangers may reach it where an operator opened it.
const (
	maxConnections        = 64
	maxConnectionsPerHost = 16
	maxScrapes            = 2 // at once; a scrape costs more than it takes to ask for one
	maxHeader             = 8 << 10

	headerTime = 5 * time.Second
	answerTime = 10 * time.Second
	localTime  = 3 * time.Second // for this host's counters
	idleTime   = time.Minute
	stopTime   = 2 * time.Second

	// stallTolerated is how long entries may wait for a majority: shorter waits
	// are a slow disk or a member that has just gone.
	stallTolerated = 3 * time.Second
)

// Server answers on the read-only port.
type Server struct {
	cfg     Config
	lis     net.Listener
	http    *http.Server
	scrapes chan struct{}
	tally   *tally
	process *prometheus.Registry // of this process and its runtime
}

// Listen opens the port; Run serves it.
func Listen(cfg Config) (*Server, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	lis, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w; another evenkeeld, or listen.metrics is not an address of this host", err)
	}
	s := &Server{cfg: cfg, lis: api.CapConnections(lis, maxConnections, maxConnectionsPerHost), scrapes: make(chan struct{}, maxScrapes), tally: newTally()}
	s.process = prometheus.NewRegistry()
	s.process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.http = &http.Server{
		Handler:           readOnly(s.paths()),
		ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug), // strangers must not fill the log
	}
	return s, nil
}

// paths is all that there is.
func (s *Server) paths() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{"/metrics": s.metrics, "/healthz": s.healthz}
}

// readOnly answers GET and HEAD of the paths, as they are written, and takes
// no body.
func readOnly(paths map[string]http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		h, ok := paths[r.URL.Path]
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this port only reads: GET or HEAD", http.StatusMethodNotAllowed)
		case !ok:
			http.Error(w, "here are /metrics and /healthz", http.StatusNotFound)
		case r.ContentLength != 0:
			http.Error(w, "send no body", http.StatusBadRequest)
		default:
			h(w, r)
		}
	})
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	select {
	case s.scrapes <- struct{}{}:
		defer func() { <-s.scrapes }()
	default:
		http.Error(w, fmt.Sprintf("%d scrapes are under way", maxScrapes), http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), localTime)
	defer cancel()
	scrape := prometheus.NewPedanticRegistry()
	if err := scrape.Register(s.gather(ctx)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	promhttp.HandlerFor(prometheus.Gatherers{scrape, s.tally.registry, s.process}, promhttp.HandlerOpts{
		ErrorLog: s.http.ErrorLog, ErrorHandling: promhttp.ContinueOnError, DisableCompression: true,
	}).ServeHTTP(w, r)
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if why := unhealthy(s.cfg.Replica.Health()); why != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, why)
		return
	}
	fmt.Fprintln(w, "ok")
}

// unhealthy says why a replica is not healthy, "" if it is.
func unhealthy(h consensus.Health) string {
	switch {
	case h.Halted != "":
		return "stopped applying: " + h.Halted
	case h.Unfit != "":
		return h.Unfit
	case h.Waiting != "":
		return h.Waiting
	case h.Leader == "":
		return "no leader is known"
	case h.Stalled > stallTolerated:
		return fmt.Sprintf("no majority has stored this leader's entries for %s", h.Stalled.Round(time.Second))
	}
	return ""
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// Run serves until ctx ends, and closes. It returns nil when ctx ended.
func (s *Server) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.lis) }()
	select {
	case err := <-done:
		return errors.Join(fmt.Errorf("metrics at %v: %w", s.lis.Addr(), err), s.Close())
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if s.http.Shutdown(last) != nil {
		s.http.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics at %v: %w", s.lis.Addr(), err)
	}
	return nil
}

// Close closes a server that was never run.
func (s *Server) Close() error {
	if err := s.lis.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return s.http.Close()
}
