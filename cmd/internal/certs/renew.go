package certs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Signer has a certificate made for the key in a request (PKCS #10 in DER), for
// whom the certificate in use speaks; the answer is PEM. Addresses are IP
// addresses and names of the host.
type Signer func(ctx context.Context, csr []byte, addresses []string) ([]byte, error)

// next is what a file is called until it takes the place of the present one.
const next = ".next"

// RenewAt is when the certificate should be replaced: with a third of its time
// left there are months to notice that it fails.
func (m *Material) RenewAt() time.Time {
	leaf := m.fresh().pair.Leaf
	return leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 3)
}

// Renew makes a new key, has a certificate signed for it by the word of the
// present one, and replaces both files. Connections that are open go on; new
// ones use the new certificate. It returns when that expires.
func (m *Material) Renew(ctx context.Context, sign Signer) (time.Time, error) {
	unlock, err := lockDir(filepath.Dir(m.certFile))
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	now := m.fresh()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return time.Time{}, fmt.Errorf("make key: %w", err)
	}
	csr, err := NewCSR(key)
	if err != nil {
		return time.Time{}, err
	}
	data, err := sign(ctx, csr, addressesOf(now.pair.Leaf))
	if err != nil {
		return time.Time{}, err
	}
	pair, err := m.renewed(now, data, key)
	if err != nil {
		return time.Time{}, err
	}
	if err := pair.swap(m.certFile, m.keyFile); err != nil {
		return time.Time{}, fmt.Errorf("replace %s and %s: %w", m.certFile, m.keyFile, err)
	}
	if until := m.fresh().pair.Leaf.NotAfter; until.Equal(pair.Cert.NotAfter) {
		return until, nil
	}
	return time.Time{}, &Error{m.certFile, errors.New("the new certificate was written, and is not in use"), "look at the log of evenkeeld, which says why"}
}

// renewed checks what was signed before anything is replaced by it.
func (m *Material) renewed(now *loaded, data []byte, key *ecdsa.PrivateKey) (*Pair, error) {
	const given = "the new certificate"
	leaves, err := parseCertificates(given, data)
	if err != nil {
		return nil, err
	}
	leaf := leaves[0]
	id, err := ParseIdentity(leaf)
	switch {
	case err != nil:
	case len(leaves) != 1:
		err = fmt.Errorf("%w: %d certificates", ErrMalformed, len(leaves))
	case id != now.identity:
		err = fmt.Errorf("%w: %s, not %s", ErrWrongMember, id.URI(), now.identity.URI())
	case !key.PublicKey.Equal(leaf.PublicKey):
		err = ErrKeyMismatch
	case !leaf.NotAfter.After(now.pair.Leaf.NotAfter):
		err = fmt.Errorf("it ends on %s, the present one on %s: the CA ends", day(leaf.NotAfter), day(now.pair.Leaf.NotAfter))
	default:
		if err := verifyChain(given, leaf, now.roots, x509.ExtKeyUsageClientAuth, m.now()); err != nil {
			return nil, err
		}
		return &Pair{Identity: id, Cert: leaf, key: key}, nil
	}
	return nil, &Error{given, err, "the present one stays in use; issue one with `evenkeel certs host --id " + now.identity.MemberID + "`"}
}

// addressesOf are those that a certificate was made for.
func addressesOf(leaf *x509.Certificate) (out []string) {
	for _, ip := range leaf.IPAddresses {
		out = append(out, ip.String())
	}
	return append(out, leaf.DNSNames...)
}

// swap replaces two files so that a crash between the two can be mended: the
// new key takes its place only when the certificate lies beside the old one.
func (p *Pair) swap(certFile, keyFile string) error {
	keyPEM, err := encodeKey(p.key)
	if err != nil {
		return err
	}
	if err := replaceFile(keyFile+next, keyPEM, 0o600); err != nil {
		return err
	}
	if err := likeOwner(keyFile+next, keyFile); err != nil {
		return err
	}
	if err := replaceFile(certFile+next, encodeCert(p.Cert), 0o644); err != nil {
		return err
	}
	if err := os.Rename(keyFile+next, keyFile); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(keyFile)); err != nil {
		return err
	}
	if err := os.Rename(certFile+next, certFile); err != nil {
		return err
	}
	return syncDir(filepath.Dir(certFile))
}

// likeOwner gives a file the owner, group and mode of another.
func likeOwner(path, like string) error {
	var st unix.Stat_t
	if err := unix.Stat(like, &st); err != nil {
		return fileError(like, err)
	}
	if err := os.Chmod(path, fs.FileMode(st.Mode).Perm()); err != nil {
		return err
	}
	return os.Chown(path, int(st.Uid), int(st.Gid))
}

// mend completes a swap that a crash cut in two, and removes what is left of
// one that did not get so far.
func mend(certFile, keyFile string) error {
	if _, err := os.Stat(certFile + next); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	unlock, err := lockDir(filepath.Dir(certFile))
	if err != nil {
		return nil // no crash: somebody is at it
	}
	defer unlock()
	leaf, _, err := readLeaf(certFile + next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else has just done it
	}
	if err == nil {
		if key, bad := readKey(keyFile); bad == nil && key.PublicKey.Equal(leaf.PublicKey) {
			return errors.Join(os.Rename(certFile+next, certFile), syncDir(filepath.Dir(certFile)))
		}
	}
	return errors.Join(os.Remove(certFile+next), removeAny(keyFile+next))
}

func removeAny(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// lockDir keeps others out who would change a folder's certificate.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fileError(dir, err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, &Error{dir, fmt.Errorf("a certificate in it is being replaced: %w", err), "try again in a moment"}
	}
	return func() { d.Close() }, nil
}
