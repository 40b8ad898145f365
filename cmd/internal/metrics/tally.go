package metrics

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// tally counts what the State forgets in time: each move once when it is first
// seen to have ended and once when it is first seen verified, each evaluation
// once. Counting what the State holds would let counters fall. Which hosts a
// move was between is for `evenkeel history`: pairs of hosts as labels would
// grow with their square.
type tally struct {
	mu        sync.Mutex
	moves     map[uint64]stage // by sequence, of those that the State still holds
	decisions map[string]int   // evaluations counted, by decision that the State still holds
	registry  *prometheus.Registry

	ended, evaluations, decided, rejected *prometheus.CounterVec
	duration, downtime                    prometheus.Histogram
	bytes, returned                       prometheus.Counter
	errors                                *prometheus.HistogramVec
}

// stage is how much of a move was counted.
type stage struct{ ended, verified bool }

func newTally() *tally {
	t := &tally{
		moves: map[uint64]stage{}, decisions: map[string]int{}, registry: prometheus.NewPedanticRegistry(),
		ended: counterOf("evenkeel_migrations_total"), evaluations: counterOf("evenkeel_evaluations_total"),
		decided: counterOf("evenkeel_decisions_total"), rejected: counterOf("evenkeel_candidates_rejected_total"),
		duration: histogramOf("evenkeel_migration_duration_seconds").WithLabelValues().(prometheus.Histogram),
		downtime: histogramOf("evenkeel_migration_downtime_seconds").WithLabelValues().(prometheus.Histogram),
		bytes:    counterOf("evenkeel_migration_transferred_bytes_total").WithLabelValues(),
		returned: counterOf("evenkeel_migrations_returned_total").WithLabelValues(),
		errors:   histogramOf("evenkeel_prediction_error_ratio"),
	}
	t.registry.MustRegister(t.ended, t.evaluations, t.decided, t.rejected, t.duration, t.downtime, t.bytes, t.returned, t.errors)
	return t
}

// listed is a metric of the catalogue: another one is a mistake in this package.
func listed(name, kind string) Metric {
	m, ok := find(name)
	if !ok || m.Type != kind {
		panic(fmt.Sprintf("metrics: %s is no %s of the catalogue", name, kind))
	}
	return m
}

func counterOf(name string) *prometheus.CounterVec {
	m := listed(name, counter)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.Name, Help: m.Help}, m.Labels)
}

func histogramOf(name string) *prometheus.HistogramVec {
	m := listed(name, histogram)
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: m.Name, Help: m.Help, Buckets: m.Buckets}, m.Labels)
}

// count adds what has happened since the last call.
func (t *tally) count(s cluster.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moves, left := map[uint64]stage{}, departures{}
	for seq, m := range s.Moves() {
		if left.back(m) && !t.moves[seq].ended {
			t.returned.Inc()
		}
		moves[seq] = t.move(m, t.moves[seq])
	}
	decisions := map[string]int{}
	for _, d := range s.DecisionsBackward() {
		decisions[d.ID] = t.decision(d, t.decisions[d.ID])
	}
	t.moves, t.decisions = moves, decisions
}

// departures are when VMs last left hosts, as far as moves are remembered.
type departures map[[2]string]cluster.Time

// back notes a move, the older ones first, and says whether evenkeel itself
// brought a VM back to a host that it had left within the day before.
func (d departures) back(m cluster.Move) bool {
	if m.State != cluster.MoveDone {
		return false
	}
	d[[2]string{m.VM, m.Source}] = m.EndedAt
	at, was := d[[2]string{m.VM, m.Target}]
	return was && m.Trigger == cluster.TriggerAuto && m.EndedAt.Sub(at) < 24*time.Hour
}

func (t *tally) move(m cluster.Move, was stage) stage {
	if !m.State.Live() && !was.ended {
		was.ended = true
		t.ended.WithLabelValues(string(m.State)).Inc()
		t.travelled(m)
	}
	if m.Measured != nil && !was.verified {
		was.verified = true
		t.compare(m.Predicted, *m.Measured)
	}
	return was
}

// travelled notes what a migration took, as far as it is known.
func (t *tally) travelled(m cluster.Move) {
	t.bytes.Add(float64(max(m.Bytes, 0)))
	if m.State != cluster.MoveDone {
		return
	}
	if m.JobEndedAt > m.StartedAt && m.StartedAt > 0 {
		t.duration.Observe(m.JobEndedAt.Sub(m.StartedAt).Seconds())
	}
	if m.Downtime > 0 {
		t.downtime.Observe(m.Downtime.Seconds())
	}
}

// compare notes how far a prediction was off: of contention in shares of wall
// time, of the rest in parts of what was measured.
func (t *tally) compare(predicted, measured cluster.Effect) {
	contention := map[string][2]cluster.Ratio{
		"vm_contention":     {predicted.VMContentionAfter, measured.VMContentionAfter},
		"source_contention": {predicted.SourceContentionAfter, measured.SourceContentionAfter},
		"target_contention": {predicted.TargetContentionAfter, measured.TargetContentionAfter},
	}
	if predicted.Bystander != "" && predicted.Bystander == measured.Bystander {
		contention["bystander_contention"] = [2]cluster.Ratio{predicted.BystanderContentionAfter, measured.BystanderContentionAfter}
	}
	for figure, pair := range contention {
		t.errors.WithLabelValues(figure).Observe(math.Abs(pair[0].Float() - pair[1].Float()))
	}
	for figure, pair := range map[string][2]float64{
		"duration": {predicted.Duration.Seconds(), measured.Duration.Seconds()},
		"downtime": {predicted.Downtime.Seconds(), measured.Downtime.Seconds()},
		"bytes":    {float64(predicted.Bytes), float64(measured.Bytes)},

		"vm_run_queue_p99":     {predicted.VMP99After.Seconds(), measured.VMP99After.Seconds()},
		"source_run_queue_p99": {predicted.SourceP99After.Seconds(), measured.SourceP99After.Seconds()},
		"target_run_queue_p99": {predicted.TargetP99After.Seconds(), measured.TargetP99After.Seconds()},
		"source_memory":        {float64(predicted.SourceMemoryAfter), float64(measured.SourceMemoryAfter)},
		"target_memory":        {float64(predicted.TargetMemoryAfter), float64(measured.TargetMemoryAfter)},
	} {
		if pair[0] > 0 && pair[1] > 0 {
			t.errors.WithLabelValues(figure).Observe(math.Abs(pair[0]-pair[1]) / pair[1])
		}
	}
}

// decision counts a record's evaluations beyond those counted before, and
// returns how many there are.
func (t *tally) decision(d cluster.Decision, counted int) int {
	now := 1 + max(d.Repeated, 0)
	if counted == 0 {
		t.decided.WithLabelValues(string(d.Trigger)).Inc()
		for _, c := range d.Counts {
			t.rejected.WithLabelValues(string(c.Code)).Add(float64(max(c.N, 0)))
		}
	}
	if now > counted {
		t.evaluations.WithLabelValues(string(d.Result)).Add(float64(now - counted))
	}
	return max(now, counted)
}
