package rpc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/evenkeel/evenkeel/scheduler/cluster"
)

// Token is what a host needs to join, in one line: the secret, and how to find
// the cluster and know it. Who holds it can join as that host until it expires
// or is used.
type Token struct {
	Secret      [16]byte
	Cluster     string   // UUID
	Fingerprint [32]byte // SHA-256 of the CA's certificate
	Name        string   // of the host that it is bound to
	Role        cluster.Role
	Expires     time.Time // for people: the State's time counts
	Addresses   []string  // host:port of members
}

// Bounds of a token.
const (
	tokenPrefix    = "ek1_" // kind and version
	maxTokenText   = 2048
	maxTokenAddrs  = 8
	maxTokenString = 255
	tokenSum       = 4 // bytes of SHA-256 behind the rest, to tell a slip in copying
)

// NewSecret is 128 random bits.
func NewSecret() (s [16]byte) {
	_, _ = rand.Read(s[:]) // never fails
	return s
}

// HashSecret is what the State keeps of a token's secret.
func HashSecret(secret []byte) string {
	sum := sha256.Sum256(secret)
	return hex.EncodeToString(sum[:])
}

// ID names the token without its secret.
func (t Token) ID() string { return cluster.TokenID(HashSecret(t.Secret[:])) }

// String writes the token as one word of letters, digits, - and _.
func (t Token) String() string {
	id, _ := uuid.Parse(t.Cluster)
	var b bytes.Buffer
	b.Write(t.Secret[:])
	b.Write(id[:])
	b.Write(t.Fingerprint[:])
	witness := byte(0)
	if t.Role == cluster.RoleWitness {
		witness = 1
	}
	b.WriteByte(witness)
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(t.Expires.Unix())))
	word := func(s string) { b.WriteByte(byte(len(s))); b.WriteString(s) }
	word(t.Name)
	b.WriteByte(byte(len(t.Addresses)))
	for _, a := range t.Addresses {
		word(a)
	}
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:tokenSum])
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b.Bytes())
}

// Check finds what String could not write, or ParseToken would refuse.
func (t Token) Check() error {
	id, err := uuid.Parse(t.Cluster)
	switch {
	case err != nil || id.String() != t.Cluster:
		return fmt.Errorf("token: cluster id %.40q is no UUID in lower case", t.Cluster)
	case !isText(t.Name) || len(t.Name) > 64:
		return fmt.Errorf("token: host name %.80q must be printable and of 1 to 64 bytes", t.Name)
	case t.Role != cluster.RoleHypervisor && t.Role != cluster.RoleWitness:
		return fmt.Errorf("token: role %.20q", t.Role)
	case t.Expires.Unix() < 0 || t.Expires.Unix() > 1<<40:
		return errors.New("token: it expires beyond all calendars")
	case len(t.Addresses) == 0 || len(t.Addresses) > maxTokenAddrs:
		return fmt.Errorf("token: %d addresses, must be 1 to %d", len(t.Addresses), maxTokenAddrs)
	}
	for _, a := range t.Addresses {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" || len(a) > maxTokenString || !printable(a) {
			return fmt.Errorf("token: %.80q is not host:port", a)
		}
	}
	return nil
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// ParseToken reads what String wrote. There is one way to write a token.
func ParseToken(text string) (t Token, err error) {
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case len(text) > maxTokenText:
		return t, fmt.Errorf("token: %d bytes, at most %d", len(text), maxTokenText)
	case !ok:
		return t, fmt.Errorf("token: it does not begin with %s; copy the whole line that `evenkeel cluster add` printed", tokenPrefix)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	if err != nil || len(data) < tokenSum {
		return t, errors.New("token: cut short, or a letter is wrong; copy the whole line that `evenkeel cluster add` printed")
	}
	body, sum := data[:len(data)-tokenSum], sha256.Sum256(data[:len(data)-tokenSum])
	if !bytes.Equal(sum[:tokenSum], data[len(body):]) {
		return t, errors.New("token: cut short, or a letter is wrong; copy the whole line that `evenkeel cluster add` printed")
	}
	if err := t.read(bytes.NewReader(body)); err != nil {
		return Token{}, err
	}
	if err := t.Check(); err != nil {
		return Token{}, err
	}
	if t.String() != text {
		return Token{}, errors.New("token: written by nobody's rules; make another with `evenkeel cluster add`")
	}
	return t, nil
}

func (t *Token) read(r *bytes.Reader) error {
	var id uuid.UUID
	var fixed struct {
		Witness byte
		Expires uint64
	}
	for _, into := range []any{&t.Secret, &id, &t.Fingerprint, &fixed} {
		if err := binary.Read(r, binary.BigEndian, into); err != nil {
			return errors.New("token: too short")
		}
	}
	t.Cluster, t.Role, t.Expires = id.String(), cluster.RoleHypervisor, time.Unix(int64(min(fixed.Expires, 1<<41)), 0).UTC()
	if fixed.Witness == 1 {
		t.Role = cluster.RoleWitness
	}
	name, err := word(r)
	if err != nil {
		return err
	}
	t.Name = name
	n, err := r.ReadByte()
	if err != nil {
		return errors.New("token: too short")
	}
	for range n {
		a, err := word(r)
		if err != nil {
			return err
		}
		t.Addresses = append(t.Addresses, a)
	}
	if r.Len() > 0 {
		return fmt.Errorf("token: %d bytes too many", r.Len())
	}
	return nil
}

func word(r *bytes.Reader) (string, error) {
	n, err := r.ReadByte()
	if err != nil {
		return "", errors.New("token: too short")
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", errors.New("token: too short")
	}
	return string(b), nil
}
