package worlds

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	oneSeed  = flag.Uint64("seed", 0, "play this seed only")
	playTime = flag.Duration("play", 20*time.Minute, "virtual time under faults, for each seed")
)

// seeds are those to play: -seed, or as many as EVENKEEL_SEEDS says.
func seeds(t *testing.T, usual int) []uint64 {
	if *oneSeed != 0 {
		return []uint64{*oneSeed}
	}
	n := usual
	if text := os.Getenv("EVENKEEL_SEEDS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("EVENKEEL_SEEDS is %q, must be a number of seeds", text)
		}
	}
	var out []uint64
	for i := range n {
		out = append(out, uint64(i+1))
	}
	return out
}

// TestWorlds plays fleets through faults at random. A seed fixes the faults,
// their order and their lengths; the library draws its election timeouts and
// the runtime its order of goroutines by themselves, so a seed that failed may
// have to be played a few times (-count) until it fails again.
func TestWorlds(t *testing.T) {
	var waits []time.Duration
	worlds, counts := 0, map[string]int{}
	for _, seed := range seeds(t, 3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := realTime()
				f := newFleet(t, seed)
				defer f.close()
				f.start()
				f.chaos(*playTime)
				f.rest()
				t.Logf("seed %d: %v in %v: %s", seed, f.age().Round(time.Second), realTime().Sub(began).Round(time.Second/10), f.report())
				waits = append(waits, f.waits...)
				worlds++
				for _, what := range []string{"order", "move done", "leader found", "answer lost"} {
					counts[what] += f.counted(what)
				}
				counts["acknowledged"] += f.laws.acknowledgements()
				counts["migrations"] += f.truth.begun()
			})
		})
	}
	failovers(t, waits)
	happened(t, worlds, counts)
}

// failovers holds the waits for a leader against what is promised of them.
func failovers(t *testing.T, waits []time.Duration) {
	if len(waits) == 0 {
		t.Error("no healthy majority ever missed its leader: nothing was proven")
		return
	}
	slices.Sort(waits)
	late := len(waits) - sort.Search(len(waits), func(i int) bool { return waits[i] > promised })
	t.Logf("%d times a healthy majority missed a leader: p50 %v, p99 %v, longest %v, %d times more than %v",
		len(waits), waits[len(waits)/2], waits[(len(waits)-1)*99/100], waits[len(waits)-1], late, promised)
	// One in a hundred is promised; the margin keeps luck from deciding.
	if late > 3+len(waits)/50 {
		t.Errorf("%d of %d times it took more than %v", late, len(waits), promised)
	}
}

// rest: after all is healed the fleet comes to rest by itself, with every move
// explained and every VM where the State believes it.
func (f *fleet) rest() {
	f.t.Helper()
	f.trace("all is healed")
	healed := time.Now()
	if f.leader() == nil {
		f.t.Fatalf("seed %d: no leader after all was healed", f.seed)
	}
	if took := time.Since(healed); took > latest {
		f.broken("a leader was found %v after all was healed", took)
	}
	f.must(cluster.SetMode{Mode: cluster.ModeRecommend})
	for end := time.Now().Add(6 * time.Minute); ; f.sleep(time.Second) {
		left := f.unsettled()
		if left == "" {
			break
		}
		if time.Now().After(end) {
			f.broken("not at rest after %v: %s", time.Since(healed), left)
			break
		}
	}
	f.same()
}

// unsettled says what is not at rest yet.
func (f *fleet) unsettled() string {
	if !f.truth.quiet() {
		return "a migration runs"
	}
	s := f.state()
	for m := range s.Live() {
		return fmt.Sprintf("%s is %s: %s", m.ID, m.State, m.Why)
	}
	for _, v := range f.truth.vms {
		p, _ := s.Place(v.id)
		if home := f.daemons[f.truth.home(v.id)].id; len(p.Hosts) != 1 || p.Hosts[0] != home {
			return fmt.Sprintf("VM %d runs on %s, the State says %v", v.slot, home, p.Hosts)
		}
	}
	return ""
}

// happened fails a run that proves nothing.
func happened(t *testing.T, worlds int, counts map[string]int) {
	for what, each := range map[string]int{"acknowledged": 150, "order": 3, "move done": 1, "leader found": 5, "answer lost": 3, "migrations": 3} {
		if n := counts[what]; n < each*worlds {
			t.Errorf("%q happened %d times in %d worlds, at least %d are needed to prove anything", what, n, worlds, each*worlds)
		}
	}
}
