package voters

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Case 11: a host is installed anew: same name, same address, empty disk. First
// with the certificate that it had, as an image or a configuration manager may
// bring it: it founds nothing, what was acknowledged stays, and it has no voice,
// for what it once acknowledged it has no more; it says so, and how it comes
// back. Then as it is meant: it joins anew with a token, under a new id.
func TestFault11HostReimaged(t *testing.T) {
	s := prepare(t, Plain, Plain, Plain)
	for _, m := range s.Members {
		s.must(m.giveCA())
	}
	s.must(s.Start())
	s.ack("at first", s.Members[0])
	leader := s.agree("at first", s.Members...)
	m := s.but(leader)[0]
	s.introduced("at first", leader, m)
	s.must(m.Kill())
	s.must(m.Wipe())
	s.must(m.Start())
	s.until("the empty disk is told from the one that was there", func(context.Context) error {
		for _, says := range []string{"installed anew", "--replace"} {
			if !strings.Contains(m.Log(), says) {
				return fmt.Errorf("its log lacks %q", says)
			}
		}
		return nil
	})
	s.ack("empty disk, old certificate", leader)
	s.agree("empty disk, old certificate", s.but(m)...)
	// It still has the seat, by the others' configuration, and nobody counts on it.
	if p, err := s.peer(s.Context(), leader, m); err != nil || p.Healthy || p.Part == "leader" {
		s.Errorf("the member without a memory takes part: %+v, %v", p, err)
	}
	s.must(m.Kill())
	s.rejoin("new certificate", leader, m)
	s.ack("new certificate", m)
	s.agree("new certificate", s.Members...)
}

// Case 12: a disk was cloned, with certificate and all, and both machines run.
// The clone gets no part in the cluster beside its original, nothing that was
// acknowledged is lost, and somebody says what is wrong.
func TestFault12OneIDOnTwoMachines(t *testing.T) {
	s := start(t, Plain, Plain, Plain)
	leader := s.agree("before", s.Members...)
	m := s.but(leader)[0]
	s.must(m.Stop())
	clone, err := s.Add("w9", Plain)
	s.must(err)
	s.must(command("cp", "-a", m.File(".")+"/.", clone.File(".")))
	s.must(command("cp", "-a", filepath.Join(m.dir, "tls")+"/.", filepath.Join(clone.dir, "tls")))
	clone.ID = m.ID
	var peers []string
	for _, o := range s.Members[:3] {
		peers = append(peers, o.Address+":"+clusterPort)
	}
	s.must(clone.Configure(peers, 3))
	s.must(m.Start())
	s.agree("the original", s.Members[:3]...)
	s.must(clone.Start())
	originals := s.Members[:3]
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		s.ack("both run", leader)
	}
	s.until("both run: the clone says it", func(context.Context) error {
		if !strings.Contains(clone.Log(), "two machines use one id") {
			return errors.New("it does not")
		}
		return nil
	})
	p, err := s.peer(s.Context(), leader, m)
	s.must(err)
	if want := m.Address + ":" + clusterPort; !p.Voter || !slices.Contains(p.Voters, m.ID) || p.Address != want {
		s.Errorf("the seat is at %s, votes %v; want the original's, %s", p.Address, p.Voter, want)
	}
	if strings.Contains(leader.Log(), "a member has moved") {
		s.Error("the leader gave the seat to the clone")
	}
	s.must(clone.Kill())
	s.agree("the clone is gone", originals...)
	s.ack("the clone is gone", m)
	s.agree("the clone is gone", originals...)
}
