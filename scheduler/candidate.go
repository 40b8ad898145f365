package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// candidate is a move with its prediction.
type candidate struct {
	vm             *vm
	source, target *host
	sourceAfter    outlook
	targetAfter    outlook
	before, after  cluster.Ratio // pain of the VM that suffers most on either end, by its class
	past           *pastView     // nil: too little is known, or it was not asked for
	bent           int           // rules that it bends or breaks more than now, less those that it mends
	returns        bool          // to a host that it left within a day
	tail           time.Duration // see tailChange
	score          int64         // see objective; the less the better
}

// weigh predicts a move; what the source is like without the VM is given,
// since it is the same for all targets.
func (f *fleet) weigh(source *host, v *vm, without outlook, target *host) candidate {
	f.weighed++
	c := candidate{vm: v, source: source, target: target, sourceAfter: without}
	c.targetAfter = target.outlook(v, nil, source.brings(v, target)+f.lessons.of(target.id))
	c.before = ppm(max(source.now.worstWeighed, target.now.worstWeighed))
	c.after = ppm(max(c.sourceAfter.worstWeighed, c.targetAfter.worstWeighed))
	c.bent = f.rules.Bent(v.uuid, source.id, target.id)
	c.returns = f.left[departure{v.uuid, target.id}]
	c.tail = f.tailChange(&c)
	c.score = score(&c)
	return c
}

// better orders candidates by score, then by what is to be copied, then by ids,
// so that the order never depends on chance.
func (c *candidate) better(o *candidate) bool { return c.order(o) < 0 }

func (c *candidate) order(o *candidate) int {
	return cmp.Or(cmp.Compare(c.score, o.score), cmp.Compare(c.vm.facts.MaxMemory, o.vm.facts.MaxMemory), cmp.Compare(c.vm.uuid, o.vm.uuid), cmp.Compare(c.target.id, o.target.id))
}

// own is how much less the VM itself would suffer, by its class.
func (c *candidate) own() cluster.Ratio {
	return weighed(c.vm.measured-ppm(c.targetAfter.guest), c.vm.weight.worst)
}

func weighed(r cluster.Ratio, weight float64) cluster.Ratio {
	return cluster.Ratio(math.Round(float64(weight * float64(r))))
}

// lowers says why a move's gain does not carry it, or nil. The worst pain must
// fall. By how much is asked of the worst or of the moved VM, whichever gains
// more: on a large host one VM of many changes the worst by little, yet it
// alone may gain enough to pay for its move.
func lowers(f *fleet, c *candidate) *cluster.Refusal {
	gain := c.before - c.after
	switch {
	case gain <= 0:
		return no(cluster.CodeWouldNotHelp, "%s to %s: %s", c.vm.name, c.target.name, c.worst())
	case max(gain, c.own()) < f.set.MinGain:
		return no(cluster.CodeGainBelowCost, "%s to %s: %s, gains less than %v", c.vm.name, c.target.name, c.worst(), f.set.MinGain)
	}
	return nil
}

// worst is what comes of the worst contention; what it counts by classes is told
// as well where that is not the same.
func (c *candidate) worst() string {
	before := ppm(max(c.source.now.worst, c.target.now.worst))
	after := ppm(max(c.sourceAfter.worst, c.targetAfter.worst))
	text := fmt.Sprintf("worst predicted contention %v -> %v", before, after)
	if before != c.before || after != c.after {
		text += fmt.Sprintf(", which counts %v -> %v by class", c.before, c.after)
	}
	return text
}

// effect is the prediction in the record's figures. What is called before is
// measured, so that verifying compares measurements.
func (f *fleet) effect(c candidate) cluster.Effect {
	copied := f.copying(c.source, c.vm, c.target)
	return cluster.Effect{
		VMContentionBefore: c.vm.measured, VMContentionAfter: ppm(c.targetAfter.guest),
		SourceContentionBefore: c.source.pain, SourceContentionAfter: c.sourceAfter.hostPain(),
		TargetContentionBefore: c.target.pain, TargetContentionAfter: c.targetAfter.hostPain(),
		Duration: copied.takes, Downtime: f.downtime(c.vm, c.target), Bytes: copied.bytes,
	}
}

// reason says why now, why this VM, why this target.
func (f *fleet) reason(c candidate) string {
	copied := f.copying(c.source, c.vm, c.target)
	now := fmt.Sprintf("contention on %s %v > %v, held %v", c.source.name, c.source.pain, f.set.Enter, c.source.state.Excess.Round(time.Second))
	switch f.policy {
	case "half-difference":
		now = fmt.Sprintf("%s; the %s of %s are nearest half the difference", isLoaded(f, c.source), percent(c.vm.at(c.target)), c.vm.name)
	case "pairwise-random":
		now = fmt.Sprintf("%s; the %s of %s are nearest half the difference", meets(f, c.source), percent(c.vm.on(c.target, c.target)), c.vm.name)
	case "threshold":
		now = fmt.Sprintf("%s; %s has the least, %s", isBusy(f, c.source), c.target.name, percent(c.target.relative()))
	}
	return fmt.Sprintf("%s; moving %s (demand %.1f CPUs) to %s: %s, its own %v -> %v; copies %v in about %v (%s)",
		now, c.vm.name, c.vm.demand, c.target.name, c.worst(), c.vm.measured, ppm(c.targetAfter.guest),
		copied.bytes, copied.takes.Round(time.Second), copied.words())
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", share*100) }
