package search

import "math"

// One cycle has coolingSteps levels, each coolingFactor as hot as the one
// before: from first to last the temperature falls by 300. A product of two
// numbers is the same on every machine, which a power is not.
const (
	coolingSteps  = 512
	coolingFactor = 0.98892
)

// firstCycle is how many iterations an item the first cycle has where nobody
// knows the horizon; probes is how many shifts are weighed to learn what a
// step up costs.
const (
	firstCycle = 200
	probes     = 1000
)

// A cycle starts at hottest times what a lawful shift that costs more costs on
// average, if it is long enough to weigh each item in each bin hotPairs times.
// At that heat four in five lawful shifts are accepted, on every instance of
// the challenge; what is settled later depends on cooling slowly through the
// two decades below. Shorter cycles start colder: 20,000 processes on 100
// machines, cooled over 75 times each pair, end far above plain descent if they
// start hot.
const (
	hottest  = 3.0
	hotPairs = 300.0
)

// cooling says how much worse a candidate may be: simulated annealing in
// cycles.
type cooling struct {
	heat   float64 // temperature, in units of cost
	toll   float64 // of an average item that leaves home, see newTolls
	cycle  int64   // iterations of this cycle
	left   int64   // iterations of this level
	level  int
	cycles int  // begun
	fresh  bool // one has begun since the last barrier
}

func newCooling(horizon int64, items int) cooling {
	c := cooling{cycle: horizon, level: coolingSteps}
	if c.cycle == 0 {
		c.cycle = max(int64(items)*firstCycle, 4*epoch)
	}
	return c
}

// begin starts a cycle, from what a step up costs and how many pairs of item
// and bin there are.
func (c *cooling) begin(slope float64, pairs int64) {
	share := min(float64(c.cycle)/(hotPairs*float64(pairs)), 1)
	c.heat = slope * hottest * (share * share * math.Sqrt(share))
	c.toll = slope * dearest
	c.level, c.left = 0, c.length()
	c.cycles++
	c.fresh = true
}

// length is how many iterations a level has.
func (c *cooling) length() int64 { return max(c.cycle/coolingSteps, 1) }

// spend counts iterations, and cools when a level is over.
func (c *cooling) spend(iterations int64) {
	if c.left -= iterations; c.left <= 0 {
		c.level++
		c.heat *= coolingFactor
		c.toll *= tollFactor
		c.left = c.length()
	}
}

func (c *cooling) over() bool { return c.level >= coolingSteps }

// allowance throws how much worse the next candidate may be.
func (c *cooling) allowance(d *dice) int64 {
	return int64(c.heat * patience[d.next()>>54])
}

// patience has the quantiles of the exponential distribution, -ln((i+½)/1024),
// rounded so far that no machine's logarithm makes a difference.
var patience = func() (q [1024]float64) {
	for i := range q {
		q[i] = math.Round(-math.Log((float64(i)+0.5)/1024)*65536) / 65536
	}
	return q
}()
