package api

import (
	"time"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// part finds the host or VM that a pause is about, and the beginning of a
// sentence about it; both are "" if it is about all.
func part(s cluster.State, host, vm string) (what, hostID, vmID string, err error) {
	switch {
	case host != "" && vm != "":
		return "", "", "", invalid("say a host or a VM, not both")
	case host != "":
		m, _, err := findHypervisor(s, host)
		return m.Name + " is ", m.ID, "", err
	case vm != "":
		uuid, err := findVM(s, vm)
		return vmNames(s).of(uuid) + " is ", "", uuid, err
	}
	return "", "", "", nil
}

func resumePart(v view, req *ResumeRequest) (order, error) {
	what, host, vm, err := part(v.state, req.Host, req.VM)
	if err != nil {
		return order{}, err
	}
	text := what + "not paused"
	if v.state.PausedPart(host, vm, "") != nil {
		text = what + "paused no more"
	}
	return order{body: cluster.Resume{Text: req.Reason, Host: host, VM: vm}, text: text}, nil
}

// warnPauses names the hosts and VMs that are paused.
func (out *Status) warnPauses(s cluster.State, vms names) {
	for _, p := range s.PartPauses() {
		name, flag := hostName(s, p.Host), "--host "
		if p.VM != "" {
			name, flag = vms.of(p.VM), "--vm "
		}
		text := name + " is paused by " + p.By + " until " + p.Until.Std().Format(time.RFC3339)
		if p.Text != "" {
			text += ": " + p.Text
		}
		out.warning(Remark, "evenkeel resume "+flag+name, "%s", text)
	}
}

// warnForeign names the VMs that other hands moved within a day.
func (out *Status) warnForeign(s cluster.State, vms names, now cluster.Time) {
	n, last := 0, cluster.Foreign{}
	for _, f := range s.Foreigns {
		if now.Sub(f.SeenAt) < 24*time.Hour {
			n, last = n+1, f
		}
	}
	if n > 0 {
		out.warning(Caution, "evenkeel events --since 24h", "%d moves within a day by other hands than evenkeel's, the last of %s from %s to %s", n, vms.of(last.VM), s.HostName(last.Source), s.HostName(last.Target))
	}
}
