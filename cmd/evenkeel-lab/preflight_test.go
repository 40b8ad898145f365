package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/lab"
	"github.com/evenkeel/evenkeel/cmd/internal/lab/drill"
	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// TestPreflight has a VM in need whose network only its own host has. evenkeel
// names the network, to the operator and in its plans, and moves another VM.
// When the other host gets the network, too, the VM could go there.
func TestPreflight(t *testing.T) {
	d := fleet(t, lab.Scenario{
		Description: "three busy guests on hv1, one of them in a network that hv2 lacks",
		Hypervisors: []lab.Hypervisor{{Name: "hv1", Memory: lab.Bytes(cluster.GiB * 4)}, {Name: "hv2", Memory: lab.Bytes(cluster.GiB * 4)}},
		Witness:     true,
		Mode:        "off",
		Policy:      map[string]string{"profile": "fast", "warm_up": "2s", "settle": "5s", "allow_unlocked": "true", "per_hour": "100", "per_day": "100"},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	p := preflight{t: t, ctx: ctx, d: d, said: map[string]string{}}
	p.bridge("hv1")
	for _, g := range []lab.Guest{{Name: "db", Bridge: "br7"}, {Name: "web"}, {Name: "batch"}} {
		g.On, g.VCPUs, g.Memory, g.Load = "hv1", 1, lab.Bytes(128*cluster.MiB), "cpu:100"
		if err := d.Lab.StartGuest(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	// A guest that moves while it boots is another story.
	if err := d.Lab.WaitBooted(ctx, "db", "web", "batch"); err != nil {
		t.Fatal(err)
	}
	p.until("evenkeel to know what db needs", func() bool {
		out, _ := p.ask("hv2", "doctor", "--vm", "db")
		return strings.Contains(out, "NO_SUCH_NETWORK") && strings.Contains(out, "br7")
	})
	p.until("evenkeel to know what web needs, and what hv2 offers", func() bool {
		_, err := p.ask("witness", "doctor", "--vm", "web")
		return err == nil
	})
	p.until("all to be measured", func() bool {
		_, err := p.ask("witness", "migrate", "web", "hv2", "--dry-run")
		return err == nil
	})
	if _, err := p.ask("witness", "migrate", "db", "hv2", "--yes"); err == nil || !strings.Contains(err.Error(), "NO_SUCH_NETWORK") {
		t.Errorf("an operator may move db where its network is not: %v", err)
	}
	// A try goes all the way over both hosts' own checks, and moves nothing.
	out, err := p.ask("witness", "doctor", "--try", "web", "hv2")
	if err != nil || !strings.Contains(out, "nothing has moved") {
		t.Errorf("try web hv2: %v", err)
	}
	p.at(map[string]string{"db": "hv1", "web": "hv1", "batch": "hv1"})

	if _, err := p.ask("witness", "mode", "auto", "--yes"); err != nil {
		t.Fatal(err)
	}
	if err := drill.Until(ctx, "evenkeel to move another than db", func() (bool, error) {
		moves, err := d.Moves(ctx)
		if err != nil {
			return false, err
		}
		for _, m := range moves {
			if m.VM == "db" {
				t.Fatalf("%s moves db: %s", m.ID, m.Reason)
			}
		}
		web, batch := d.Lab.GuestHosts("web"), d.Lab.GuestHosts("batch")
		return len(web)+len(batch) == 2 && settled(moves) && (slices.Equal(web, []string{"hv2"}) || slices.Equal(batch, []string{"hv2"})),
			fmt.Errorf("web on %v, batch on %v; moves: %s", web, batch, words(moves))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ask("witness", "mode", "off"); err != nil {
		t.Fatal(err)
	}
	out, err = p.ask("witness", "explain", "db")
	if err != nil || !strings.Contains(out, "NO_SUCH_NETWORK") {
		t.Errorf("explain does not name what keeps db: %v", err)
	}

	// The network comes to hv2: seen with the host's next survey.
	p.bridge("hv2")
	p.until("evenkeel to see the network on hv2", func() bool {
		_, err := p.ask("witness", "doctor", "--vm", "db")
		return err == nil
	})
	p.until("db to be let go", func() bool {
		_, err := p.ask("witness", "migrate", "db", "hv2", "--yes", "--reason", "its network is there now")
		return err == nil
	})
	p.at(map[string]string{"db": "hv2"})
}

type preflight struct {
	t   *testing.T
	ctx context.Context
	d   *drill.Drill

	said map[string]string // what was answered last: it is logged when it changes
}

// bridge makes br7 on a host, with a port that is no guest's.
func (p preflight) bridge(host string) {
	p.t.Helper()
	for _, command := range []string{
		"link add br7 type bridge", "link add up7 type veth peer name far7", "link set up7 master br7", "link set up7 up", "link set far7 up", "link set br7 up",
	} {
		if _, err := p.d.Lab.Exec(p.ctx, host, append([]string{"ip"}, strings.Fields(command)...)...); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p preflight) ask(host string, args ...string) (string, error) {
	out, err := p.d.Lab.Exec(p.ctx, host, append([]string{"evenkeel"}, args...)...)
	command := host + "$ evenkeel " + strings.Join(args, " ")
	if answer := fmt.Sprint(out, err); p.said[command] != answer {
		p.said[command] = answer
		p.t.Logf("%s\n%s", command, answer)
	}
	return out, err
}

func (p preflight) until(what string, yes func() bool) {
	p.t.Helper()
	if err := drill.Until(p.ctx, what, func() (bool, error) { return yes(), nil }); err != nil {
		p.t.Fatal(err)
	}
}

func (p preflight) at(where map[string]string) {
	p.t.Helper()
	for name, host := range where {
		if on := p.d.Lab.GuestHosts(name); !slices.Equal(on, []string{host}) {
			p.t.Errorf("%s runs on %v, want %s", name, on, host)
		}
	}
}
