package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestFault32Snapshots spoils one figure at a time: the snapshot is refused
// with its code, its host remembers why, and the others of the batch are taken.
func TestFault32Snapshots(t *testing.T) {
	for name, c := range map[string]struct {
		code  Code
		spoil func(s *Snapshot)
	}{
		"host is no UUID":          {CodeAbsurdFigure, func(s *Snapshot) { s.Host = "hv2" }},
		"unknown host":             {CodeUnknownHost, func(s *Snapshot) { s.Host = testMember }},
		"earlier start":            {CodeStaleIncarnation, func(s *Snapshot) { s.Incarnation = 0 }},
		"start not announced":      {CodeStaleIncarnation, func(s *Snapshot) { s.Incarnation = 2 }},
		"repeated":                 {CodeStaleSequence, func(s *Snapshot) { s.Sequence-- }},
		"sequence zero":            {CodeStaleSequence, func(s *Snapshot) { s.Sequence = 0 }},
		"from the future":          {CodeClockSkew, func(s *Snapshot) { s.Load.TakenAt = s.Load.TakenAt.Add(MaxAhead + 1) }},
		"from before 2000":         {CodeAbsurdFigure, func(s *Snapshot) { s.Load.TakenAt = 1 }},
		"taken at minus infinity":  {CodeAbsurdFigure, func(s *Snapshot) { s.Load.TakenAt = -1 << 63 }},
		"taken at infinity":        {CodeAbsurdFigure, func(s *Snapshot) { s.Load.TakenAt = 1<<63 - 1 }},
		"no window":                {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Window = 0 }},
		"endless window":           {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Window = time.Hour }},
		"no promise":               {CodeAbsurdFigure, func(s *Snapshot) { s.Load.NextIn = 0 }},
		"a promise too far off":    {CodeAbsurdFigure, func(s *Snapshot) { s.Load.NextIn = MaxSilence + 1 }},
		"no source":                {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Source = "" }},
		"no CPUs":                  {CodeAbsurdFigure, func(s *Snapshot) { s.Load.CPUs = 0 }},
		"CPUs without end":         {CodeAbsurdFigure, func(s *Snapshot) { s.Load.CPUs = 1e18 }},
		"negative use":             {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Use = -1 }},
		"use without end":          {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Use = 1e18 }},
		"negative overhead":        {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Overhead = -1 }},
		"negative memory":          {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Memory = -1 }},
		"memory without end":       {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Memory = 1 << 62 }},
		"negative steal":           {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Steal = -1 }},
		"steal beyond the whole":   {CodeAbsurdFigure, func(s *Snapshot) { s.Load.StealMax = Percent(102) }},
		"negative book error":      {CodeAbsurdFigure, func(s *Snapshot) { s.Load.BookError = -1 }},
		"negative run":             {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Run = -1 }},
		"wait without end":         {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Wait = 1 << 62 }},
		"negative demand":          {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Demand = -1 }},
		"negative others":          {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Others = -1 }},
		"a VM's steal":             {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Steal = Percent(150) }},
		"a VM's worst steal":       {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].StealMax = -1 }},
		"negative latency":         {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].P99 = -1 }},
		"latency without end":      {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].P999 = 1 << 62 }},
		"negative contention":      {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Contention = -1 }},
		"endless worst contention": {CodeAbsurdFigure, func(s *Snapshot) { s.Load.ContentionMax = Percent(102) }},
		"more contention than steal": {CodeAbsurdFigure, func(s *Snapshot) {
			s.Load.VMs[0].Contention = s.Load.VMs[0].Steal + Percent(2)
		}},
		"a vCPU's contention above its steal": {CodeAbsurdFigure, func(s *Snapshot) {
			s.Load.VMs[0].ContentionMax = s.Load.VMs[0].StealMax + Percent(2)
		}},
		"negative interrupts":       {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Interrupts = -1 }},
		"cost without end":          {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Cost = 1e18 }},
		"pressure beyond the whole": {CodeAbsurdFigure, func(s *Snapshot) { s.Load.Pressure = &Pressure{IOFull: Percent(200)} }},
		"slots out of order":        {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs = append(s.Load.VMs, s.Load.VMs[0]) }},
		"slot too large":            {CodeAbsurdFigure, func(s *Snapshot) { s.Load.VMs[0].Slot = MaxSlot }},
		"too many figures":          {CodeTooMany, func(s *Snapshot) { s.Load.VMs = make([]VMLoad, MaxVMsPerHost+1) }},
		"figures of another set":    {CodeUnknownInventory, func(s *Snapshot) { s.Load.Inventory = 9 }},
		"figures of a set unsent":   {CodeUnknownInventory, func(s *Snapshot) { s.Inventory, s.Load.Inventory = nil, 9 }},
		"inventory without number": {CodeAbsurdFigure, func(s *Snapshot) {
			s.Inventory.Revision, s.Load.Inventory = 0, 0
		}},
		"too many VMs":      {CodeTooMany, func(s *Snapshot) { s.Inventory.VMs = make([]VM, MaxVMsPerHost+1) }},
		"VM is no UUID":     {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].UUID = strings.ToUpper(vmA) }},
		"VM listed twice":   {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[1].UUID = vmA }},
		"slot listed twice": {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[1].Slot = s.Inventory.VMs[0].Slot }},
		"VM's slot":         {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[1].Slot = MaxSlot }},
		"VM without name":   {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].Name = "" }},
		"VM's name too long": {CodeAbsurdFigure, func(s *Snapshot) {
			s.Inventory.VMs[0].Name = strings.Repeat("n", maxName+1)
		}},
		"VM's name is no text": {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].Name = "a\xff" }},
		"negative vCPUs":       {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].VCPUs = -1 }},
		"vCPUs without end":    {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].VCPUs = 1 << 40 }},
		"VM's negative memory": {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].MaxMemory = -1 }},
		"VM's endless memory":  {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].MaxMemory = 1 << 62 }},
		"VM's run state":       {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].Run = "flying" }},
		"VM's disk lock":       {CodeAbsurdFigure, func(s *Snapshot) { s.Inventory.VMs[0].Lock = "perhaps" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.wait(time.Second)
			bad, good := w.snapshot(hv1), w.snapshot(hv2)
			bad.Load.VMs = []VMLoad{{Slot: testVM(vmA).Slot, Run: 500}}
			c.spoil(&bad)
			before, _ := w.s.Host(hv1)
			w.must(byLeader, Snapshots{[]Snapshot{bad, good}})
			if w.s.Rejected != 1 {
				t.Fatalf("%d snapshots were refused, want 1", w.s.Rejected)
			}
			if r := RefusalOf(w.s.take(&bad)); r == nil || r.Code != c.code {
				t.Errorf("refused with %v, want %s", r, c.code)
			}
			h, _ := w.s.Host(hv1)
			if h.Seq != before.Seq || len(h.Beats) != len(before.Beats) || bad.Host == hv1 && (h.Refused == nil || h.Refused.Code != c.code || h.RefusedAt != w.s.Now) {
				t.Errorf("after the refusal the host is at %d with %v", h.Seq, h.Refused)
			}
			if other, _ := w.s.Host(hv2); other.Seq != good.Sequence {
				t.Error("the other snapshot of the batch was not taken")
			}
		})
	}
}

func TestSkewIsTolerated(t *testing.T) {
	w := newWorld(t)
	w.wait(time.Second)
	snap := w.snapshot(hv1)
	snap.Load.TakenAt = w.s.Now.Add(MaxAhead)
	w.must(byLeader, Snapshots{[]Snapshot{snap}})
	if h, _ := w.s.Host(hv1); h.Seq != snap.Sequence || !h.Fresh(w.s.Now) {
		t.Error("a clock that is ahead by the bound makes a host silent")
	}
}

// A host is fresh until it has missed three promises, at most MaxSilence.
func TestFreshness(t *testing.T) {
	for _, c := range []struct{ promise, fresh time.Duration }{
		{time.Second, 3 * time.Second}, {5 * time.Second, MaxSilence}, {10 * time.Second, MaxSilence},
	} {
		w := newWorld(t)
		snap := w.snapshot(hv1)
		snap.Load.NextIn = c.promise
		w.must(byLeader, Snapshots{[]Snapshot{snap}})
		h, _ := w.s.Host(hv1)
		if !h.Fresh(w.s.Now.Add(c.fresh)) || h.Fresh(w.s.Now.Add(c.fresh+1)) {
			t.Errorf("promise of %v: not fresh for exactly %v", c.promise, c.fresh)
		}
	}
}

func TestRestartForgetsFiguresNotVMs(t *testing.T) {
	w := newWorld(t)
	m := testHost(hv1)
	m.Incarnation = 2
	w.must(byHost(hv1), Announce{testCluster, m})
	h, _ := w.s.Host(hv1)
	if h.Fresh(w.s.Now) || h.Seq != 0 || len(h.Inventory.VMs) != 2 {
		t.Errorf("after a restart: sequence %d, %d beats, %d VMs", h.Seq, len(h.Beats), len(h.Inventory.VMs))
	}
	w.refuses(CodeStaleIncarnation, byHost(hv1), Announce{testCluster, testHost(hv1)})
}

func TestAnnounceRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		code  Code
		spoil func(a *Announce)
	}{
		"another cluster":    {CodeWrongCluster, func(a *Announce) { a.Cluster = testMember }},
		"another member":     {CodeNotYours, func(a *Announce) { a.Member.ID = hv2 }},
		"a name in use":      {CodeDuplicateName, func(a *Announce) { a.Member.Name = "hv2" }},
		"no name":            {CodeAbsurdFigure, func(a *Announce) { a.Member.Name = "" }},
		"name not for eyes":  {CodeAbsurdFigure, func(a *Announce) { a.Member.Name = "hv\x1b[2J" }},
		"no role":            {CodeAbsurdFigure, func(a *Announce) { a.Member.Role = "king" }},
		"never started":      {CodeAbsurdFigure, func(a *Announce) { a.Member.Incarnation = 0 }},
		"knows no level":     {CodeAbsurdFigure, func(a *Announce) { a.Member.Level = 0 }},
		"no CPUs":            {CodeAbsurdFigure, func(a *Announce) { a.Member.CPUs = 0 }},
		"negative memory":    {CodeAbsurdFigure, func(a *Announce) { a.Member.Memory = -1 }},
		"a negative core":    {CodeAbsurdFigure, func(a *Announce) { a.Member.Processor = &Processor{Cores: -1} }},
		"beyond light":       {CodeAbsurdFigure, func(a *Announce) { a.Member.Processor = &Processor{Cores: 1, MHz: 1 << 40} }},
		"model not for eyes": {CodeAbsurdFigure, func(a *Announce) { a.Member.Processor = &Processor{Model: "\x1b[2J", Cores: 1} }},
		"address too long":   {CodeAbsurdFigure, func(a *Announce) { a.Member.MigrationURI = strings.Repeat("x", maxName+1) }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := Announce{testCluster, testHost(hv1)}
			c.spoil(&a)
			w.refuses(c.code, byHost(hv1), a)
		})
	}
	w := newWorld(t)
	a := Announce{testCluster, testHost(hv1)}
	a.Member.ID = "hv9"
	w.refuses(CodeAbsurdFigure, Actor{KindAgent, "hv9", ""}, a)
}

func TestMembersAreBounded(t *testing.T) {
	w := newWorld(t)
	for i := w.s.members.len(); i < MaxMembers; i++ {
		m := testHost(hv1)
		m.ID = "ffffffff" + hv1[8:32] + hex4(i)
		m.Name = m.ID
		w.s.members = w.s.members.set(m.ID, m)
	}
	m := testHost(hv1)
	m.ID, m.Name = testMember, "one more"
	w.refuses(CodeTooMany, byHost(testMember), Announce{testCluster, m})
	w.must(byHost(hv1), Announce{testCluster, testHost(hv1)})
}

func hex4(i int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[i>>12&15], digits[i>>8&15], digits[i>>4&15], digits[i&15]})
}

func TestRaiseLevel(t *testing.T) {
	w := newWorld(t)
	w.refuses(CodeNotYours, byHost(hv1), RaiseLevel{2})
	w.refuses(CodeWrongState, byOperator, RaiseLevel{1})
	w.refuses(CodeNotReady, byOperator, RaiseLevel{2})
	w.index++
	c := Command{Level: 2, Actor: byOperator, At: w.s.Now, Body: Resume{}}
	before := encoded(t, w.s)
	after, err := w.s.Apply(Meta{Index: w.index, Term: 1}, c)
	if !errors.Is(err, ErrFeatureLevel) || string(encoded(t, after)) != string(before) {
		t.Errorf("a command of a higher level: %v, and the State must stay as it is", err)
	}
}

// An order that crossed a change of leader is made anew under the same ID, and
// taken then, once.
func TestLateCommandIsTakenWhenMadeAnew(t *testing.T) {
	w := newWorld(t)
	try := func(term uint64, body Body) error {
		w.index++
		next, err := w.s.Apply(Meta{Index: w.index, Term: term}, Command{Level: 1, ID: "mine", Actor: byLeader, At: w.s.Now, Body: body})
		w.s = next
		return err
	}
	late := w.decide(w.orderOf(vmA, hv1, hv2, TriggerOperator))
	if r := RefusalOf(try(w.term+1, late)); r == nil || r.Code != CodeStaleTerm {
		t.Fatalf("an order of the last term: %v", r)
	}
	w.term++
	anew := w.decide(w.orderOf(vmA, hv1, hv2, TriggerOperator))
	for range 2 {
		if err := try(w.term, anew); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.s.moves.len(); n != 1 {
		t.Errorf("%d moves were ordered", n)
	}
}

func TestRepeatedCommandIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	c := Command{Level: 1, ID: "once", Actor: byOperator, At: w.s.Now, Body: SetMode{Mode: ModeOff}}
	bad := Command{Level: 1, ID: "never", Actor: byOperator, At: w.s.Now, Body: SetMode{Mode: "loud"}}
	for range 2 {
		for _, c := range []Command{c, bad} {
			w.index++
			next, err := w.s.Apply(Meta{Index: w.index, Term: 1}, c)
			if r := RefusalOf(err); (r != nil) != (c.ID == "never") {
				t.Fatalf("%s: %v", c.ID, err)
			}
			w.s = next
		}
		w.must(byOperator, SetMode{Mode: ModeAuto})
	}
	w.index++
	if next, _ := w.s.Apply(Meta{Index: w.index, Term: 1}, c); next.Mode != ModeAuto {
		t.Error("a repeated command was carried out again")
	}
	for range maxReceipts {
		w.index++
		w.s, _ = w.s.Apply(Meta{Index: w.index, Term: 1}, Command{Level: 1, ID: hex4(int(w.index)), Actor: byOperator, At: w.s.Now, Body: Resume{}})
	}
	if w.s.recent.len() > maxReceipts || w.s.receipts.len() != w.s.recent.len() {
		t.Errorf("%d receipts are kept", w.s.recent.len())
	}
}
