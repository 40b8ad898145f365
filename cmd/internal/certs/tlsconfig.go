package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
)

// ServerConfig returns the configuration of an end that listens, TLS 1.3 with
// a certificate from the caller. It speaks the given application protocols
// only; with none given, it does not negotiate any.
func (m *Material) ServerConfig(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: alpn,
		// The certificate is demanded here and verified below, by the same code
		// and in the same words as at the calling end.
		ClientAuth:     tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return m.fresh().pair, nil },
		// A resumed session would bring a certificate from before, perhaps of a
		// CA that has been replaced since.
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := checkProtocol(cs, alpn); err != nil {
				return err
			}
			return m.verifyPeer(cs, x509.ExtKeyUsageClientAuth)
		},
	}
}

// ClientConfig returns the configuration of an end that calls.
func (m *Material) ClientConfig(alpn ...string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		NextProtos:           alpn,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return m.fresh().pair, nil },
		// Turns off only the comparison with the host name, which is not the
		// identity; VerifyConnection verifies time, CA, cluster and usage.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := checkProtocol(cs, alpn); err != nil {
				return err
			}
			return m.verifyPeer(cs, x509.ExtKeyUsageServerAuth)
		},
	}
}

// checkProtocol refuses a peer that negotiates no protocol where one of ours
// is needed to tell what the connection is for. HTTP/1.1 is what a peer speaks
// that does not negotiate.
func checkProtocol(cs tls.ConnectionState, alpn []string) error {
	if cs.NegotiatedProtocol != "" || len(alpn) == 0 || slices.Contains(alpn, "http/1.1") {
		return nil
	}
	return &Error{"peer", fmt.Errorf("it negotiated no application protocol, expected one of %q", alpn), "check that the port is evenkeel's, and the one for this purpose"}
}
