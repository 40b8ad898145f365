package consensus

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
)

// maxMeet bounds the addresses that are handed to a host which joins, and that
// a member remembers.
const maxMeet = 16

// meetFile remembers where members were: the addresses in agent.yaml may be
// those of members that are long gone.
const meetFile = "peers.json"

// Meet lists addresses at which members are to be found: this member's voters
// and itself first, then whom it remembers, then its peers.
func (n *Node) Meet() []string {
	var out []string
	add := func(addr string) {
		if addr != "" && !slices.Contains(out, addr) && len(out) < maxMeet {
			out = append(out, addr)
		}
	}
	for _, v := range n.groupNow() {
		add(v.Address)
	}
	add(n.cfg.Address)
	state, _ := n.State()
	for _, m := range state.Members() {
		add(m.Address)
	}
	for _, addr := range n.group.remembered() {
		add(addr)
	}
	for _, addr := range n.cfg.Peers {
		add(addr)
	}
	return out
}

// groupNow is who votes, by the newest word that this member has.
func (n *Node) groupNow() []Voter {
	if t := n.group.held(); t != nil && !n.named() {
		return t.Voters
	}
	return n.voters()
}

func (g *group) remembered() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.met
}

// remember writes the voters' addresses down when they have changed.
func (n *Node) remember() {
	var met []string
	for _, v := range n.groupNow() {
		met = append(met, v.Address)
	}
	n.group.mu.Lock()
	same := len(met) == 0 || slices.Equal(met, n.group.met)
	if !same {
		n.group.met = met
	}
	n.group.mu.Unlock()
	if same || n.cfg.Dir == "" {
		return
	}
	data, err := json.Marshal(met)
	if err == nil {
		err = replaceFile(n.cfg.Dir, meetFile, data)
	}
	if err != nil {
		n.log.Warn("the voters' addresses were not written down", "err", err)
	}
}

// readMet is what remember wrote. It is a hint: what is damaged is not used.
func readMet(dir string) (met []string) {
	if dir == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(dir, meetFile))
	if err != nil || len(data) > 1<<16 || json.Unmarshal(data, &met) != nil || len(met) > maxMeet {
		return nil
	}
	return met
}

// replaceFile writes a file of a directory so that after a crash either the
// old or the new one is there, whole.
func replaceFile(dir, name string, data []byte) error {
	tmp, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // a no-op once it is renamed
	_, err = tmp.Write(append(bytes.TrimRight(data, "\n"), '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}
