// Package certs makes and reads the certificates by which evenkeel's parts
// know each other:
//
//	ca, err := certs.NewCA(clusterID, time.Now(), 10*365*24*time.Hour)
//	err = ca.Save("/etc/evenkeel/tls")
//	pair, err := ca.Issue(certs.Request{Kind: cluster.KindAgent, Name: "hv1", MemberID: id}, time.Now(), 365*24*time.Hour)
//	err = pair.Save("/etc/evenkeel/tls/host.pem", "/etc/evenkeel/tls/host.key")
//
//	m, err := certs.LoadTLS("ca.pem", "host.pem", "host.key")
//	listener = tls.NewListener(listener, m.ServerConfig("ek-raft/1", "ek-agent/1"))
//
// Every cluster has a CA of its own. Who a certificate speaks for stands in its
// only URI SAN ([cluster.Identity]); host names and addresses in it are there
// for browsers and curl and decide nothing. Both ends of a connection show a
// certificate, TLS 1.3 only. Keys are ECDSA P-256: browsers do not accept
// Ed25519.
package certs
