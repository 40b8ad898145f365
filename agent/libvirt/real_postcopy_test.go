package libvirt

import "testing"

// postCopy: a migration that was begun so is told to go on at the target while
// its memory stands before the gate; one that was not refuses.
func (m mover) postCopy(t *testing.T) {
	for _, allowed := range []bool{true, false} {
		t.Run(map[bool]string{true: "allowed", false: "not allowed"}[allowed], func(t *testing.T) {
			m.start(t, "one", vmOne, 1)
			g := openGate(t, m.root)
			r := m.request(vmOne)
			r.PostCopy = allowed
			result := m.migrate(m.ctx, r)
			m.untilHeld(t, g, vmOne)
			if err := m.h.PostCopy(m.ctx, vmOne); (err == nil) != allowed {
				t.Errorf("switched to post-copy: %v", err)
			}
			g.release()
			if err := <-result; err != nil {
				t.Fatal(err)
			}
			m.sees(t, vmOne, absent)
			m.peerSees(t, vmOne, running)
			m.destroyAtPeer(t, vmOne)
		})
	}
}
