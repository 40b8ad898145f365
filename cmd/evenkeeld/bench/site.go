package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/cmd/internal/certs"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// voters is the size of the Raft group.
const voters = 3

// site is a cluster: a CA and three voters' processes.
type site struct {
	dir     string
	cluster string
	ca      string
	issuer  *certs.CA
	members [voters]*process
}

// process is one voter.
type process struct {
	job voterJob

	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}

	mu      sync.Mutex
	reports []report
	news    chan struct{} // closed by the next report
}

// newSite makes certificates and addresses; raft is the voters' data directory
// below their folders.
func newSite(dir string, tune func(i int, job *voterJob)) (*site, error) {
	s := &site{dir: dir, cluster: uuid.NewString(), ca: filepath.Join(dir, "ca", certs.CACertFile)}
	var err error
	if s.issuer, err = certs.NewCA(s.cluster, time.Now(), 24*time.Hour); err != nil {
		return nil, err
	}
	if err := s.issuer.Save(filepath.Join(dir, "ca")); err != nil {
		return nil, err
	}
	var peers []string
	for range voters {
		addr, err := freeAddress()
		if err != nil {
			return nil, err
		}
		peers = append(peers, addr)
	}
	for i := range voters {
		home := filepath.Join(dir, fmt.Sprint("voter", i))
		if err := s.certify(home, cluster.KindWitness, fmt.Sprint("w", i), uuid.NewString()); err != nil {
			return nil, err
		}
		job := voterJob{Dir: home, Raft: filepath.Join(home, "raft"), Cluster: s.cluster, CA: s.ca, Listen: peers[i], Peers: peers}
		if tune != nil {
			tune(i, &job)
		}
		s.members[i] = &process{job: job, news: make(chan struct{})}
	}
	return s, nil
}

func (s *site) certify(dir string, kind cluster.Kind, name, id string) error {
	pair, err := s.issuer.Issue(certs.Request{Kind: kind, Name: name, MemberID: id}, time.Now(), time.Hour)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return pair.Save(filepath.Join(dir, "host.pem"), filepath.Join(dir, "host.key"))
}

// freeAddress is a loopback port that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *site) addresses() []string { return s.members[0].job.Peers }

func (s *site) start() error {
	for _, p := range s.members {
		if err := p.start(); err != nil {
			return errors.Join(err, s.stop())
		}
	}
	return nil
}

func (s *site) stop() error {
	var errs []error
	for _, p := range s.members {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

func (p *process) start() error {
	job, err := json.Marshal(p.job)
	if err != nil {
		return err
	}
	p.cmd = exec.Command("/proc/self/exe", "-voter", string(job))
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		p.listen(out)
	}()
	return nil
}

// listen keeps what the voter reports until it ends.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, "bench: a voter's report:", err)
			continue
		}
		p.mu.Lock()
		p.reports = append(p.reports, r)
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// last is the newest report, and a channel that closes with the next.
func (p *process) last() (r report, next <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.reports) > 0 {
		r = p.reports[len(p.reports)-1]
	}
	return r, p.news
}

// since yields the reports after a moment.
func (p *process) since(t time.Time) (out []report) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.reports {
		if r.At.After(t) {
			out = append(out, r)
		}
	}
	return out
}

// stop ends the voter in good order.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	err := p.stdin.Close()
	return errors.Join(err, p.reap())
}

// kill ends it without a word.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	_ = p.reap() // "signal: killed"
	return err
}

func (p *process) reap() error {
	<-p.ended
	err := p.cmd.Wait()
	_ = p.stdin.Close()
	p.cmd = nil
	return err
}

// leader waits for a voter that began to lead after a moment, other than one.
func (s *site) leader(ctx context.Context, after time.Time, not *process) (*process, time.Time, error) {
	limit := time.Now().Add(time.Minute)
	for time.Now().Before(limit) {
		var found *process
		var at time.Time
		for _, p := range s.members {
			if p == not || p.cmd == nil {
				continue
			}
			for _, r := range p.since(after) {
				if r.Leads && found == nil {
					found, at = p, r.At
				}
			}
		}
		if found != nil {
			return found, at, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, time.Time{}, ctx.Err()
		}
	}
	return nil, time.Time{}, errors.New("no leader within a minute")
}
