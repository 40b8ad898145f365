package libvirt

import (
	"log/slog"
	"sync"
)

// notices logs what is wrong with a VM once, not at every listing: again only
// when the reason changes or the VM was gone in between.
type notices struct {
	mu   sync.Mutex
	said map[string]map[string]string // VM -> message -> reason
}

func (n *notices) warn(log *slog.Logger, vm, message string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[vm][message] == err.Error() {
		return
	}
	if n.said == nil {
		n.said = make(map[string]map[string]string)
	}
	if n.said[vm] == nil {
		n.said[vm] = make(map[string]string)
	}
	n.said[vm][message] = err.Error()
	log.Warn(message, "vm", vm, "err", err)
}

// keep forgets the VMs that are not listed any more.
func (n *notices) keep(listed map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for vm := range n.said {
		if !listed[vm] {
			delete(n.said, vm)
		}
	}
}
