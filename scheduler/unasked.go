package scheduler

import "github.com/evenkeel/evenkeel/scheduler/cluster"

// ownMode keeps evenkeel from VMs that an operator wants left alone. Moves of
// a VM in mode recommend may be looked for where they are only to be
// recommended.
func ownMode(f *fleet, _ *host, v *vm) *cluster.Refusal {
	rule, _ := f.state.VMRule(v.uuid)
	class, _ := f.book.ClassOf(v.uuid, v.facts.Name)
	if f.advise && (rule.Mode == cluster.ModeRecommend || rule.Mode == "" && class == cluster.ClassLatency) {
		return nil
	}
	return f.state.OwnMode(v.uuid, v.name)
}

// spent keeps a VM where it is that moves have disturbed enough for a day.
func spent(f *fleet, _ *host, v *vm) *cluster.Refusal {
	return f.state.Spent(v.uuid, v.name, f.borne[v.uuid])
}
