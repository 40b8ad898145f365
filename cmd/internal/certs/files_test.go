package certs

import (
	"testing"
)

// FuzzFiles: whatever is in a file or comes from another member is refused in
// words, or is certificates and a key that can be written again.
func FuzzFiles(f *testing.F) {
	ca, err := NewCA("c0000000-0000-4000-8000-000000000000", noon, year)
	if err != nil {
		f.Fatal(err)
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		f.Fatal(err)
	}
	cert := encodeCert(ca.Cert)
	for _, seed := range [][]byte{nil, cert, key, append(cert[:len(cert):len(cert)], cert...), append(key[:len(key):len(key)], cert...), cert[:len(cert)/2], []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if certs, err := parseCertificates("f.pem", data); err == nil {
			for _, c := range certs {
				if _, err := parseCertificates("again", encodeCert(c)); err != nil {
					t.Errorf("a certificate that was read cannot be read again: %v", err)
				}
				_, _ = ParseIdentity(c)
				_, _ = caCluster("f.pem", c)
				_, _ = RoleOf(c)
			}
		}
		if k, err := parseKey("f.key", data); err == nil {
			again, err := encodeKey(k)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := parseKey("again", again); err != nil {
				t.Errorf("a key that was read cannot be read again: %v", err)
			}
		}
	})
}
