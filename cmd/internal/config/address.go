package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

func (s *source) checkAddresses(c *Config) {
	s.checkListen("listen.api", c.Listen.API)
	s.checkListen("listen.cluster", c.Listen.Cluster)
	if c.Listen.API == c.Listen.Cluster && !s.bad("listen") {
		s.blame("listen.cluster", "use another port, such as :7471", "listen.api has the same address")
	}
	s.checkMetrics(c)
	for _, a := range []struct{ key, own, from, example string }{
		{"advertise.api", c.Advertise.API, c.Listen.API, "10.0.0.1:7470"},
		{"advertise.cluster", c.Advertise.Cluster, c.Listen.Cluster, "10.0.0.1:7471"},
	} {
		if a.own == "" && !s.has(a.key) {
			if !s.bad("listen") {
				s.blame(a.key, "write the address by which others reach this host, such as "+a.example, "missing, and others cannot dial the %q that it listens on", a.from)
			}
			continue
		}
		s.checkDialable(a.key, a.own, a.example)
	}
}

// checkMetrics accepts an empty address as well: no listener.
func (s *source) checkMetrics(c *Config) {
	if c.Metrics == "" {
		return
	}
	s.checkListen("listen.metrics", c.Metrics)
	if (c.Metrics == c.Listen.API || c.Metrics == c.Listen.Cluster) && !s.bad("listen") {
		s.blame("listen.metrics", "use another port, such as 127.0.0.1:7472", "another listener has the same address")
	}
}

// checkListen accepts host:port, where an empty host means all addresses.
func (s *source) checkListen(key, address string) {
	host, err := splitAddress(address)
	if err == nil && host != "" {
		err = checkHostPart(host)
	}
	if err != nil {
		s.blame(key, "write :7470 or an address of this host with a port", "%v", err)
	}
}

// checkDialable accepts host:port with a host that others can reach.
func (s *source) checkDialable(key, address, example string) {
	host, err := splitAddress(address)
	if err == nil {
		err = checkHostPart(host)
	}
	if err == nil && !concrete(address) {
		err = fmt.Errorf("%q means every address of a host, nobody can dial it", address)
	}
	if err != nil {
		s.blame(key, "write host:port, such as "+example, "%v", err)
	}
}

// splitAddress returns the host of host:port after looking at the port.
func splitAddress(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%.120q is not host:port", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%.120q has no port between 1 and 65535", address)
	}
	return host, nil
}

// checkHostPart accepts an IP address without zone or a host name.
func checkHostPart(host string) error {
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.Zone() != "":
		return fmt.Errorf("%.80q has a zone, which means something on this host only", host)
	case err == nil || hostName.MatchString(host):
		return nil
	}
	return fmt.Errorf("%.80q is neither an IP address nor a host name", host)
}
