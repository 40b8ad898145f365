package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxFile bounds what is read of a PEM file, in bytes: some dozens of CAs.
const maxFile = 64 << 10

const (
	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"
)

// readFile reads a whole small file.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(data) > maxFile {
		return nil, malformed(path, "it is larger than %d bytes", maxFile)
	}
	return data, nil
}

// fileError takes the path out of a system error, which Error names itself.
func fileError(path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = fmt.Errorf("%s: %w", pathErr.Op, pathErr.Err)
	}
	remedy := "check the path and that evenkeeld's user may read it"
	if errors.Is(err, fs.ErrNotExist) {
		remedy = "make it with `evenkeel certs`, or correct the path"
	}
	return &Error{path, err, remedy}
}

func malformed(path, format string, args ...any) error {
	return &Error{path, fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...)), "replace it by what `evenkeel certs` wrote"}
}

// readCertificates reads a file of PEM certificates and nothing else.
func readCertificates(path string) ([]*x509.Certificate, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseCertificates(path, data)
}

// parseCertificates reads PEM certificates that are or will be in a file.
func parseCertificates(path string, data []byte) ([]*x509.Certificate, error) {
	if len(data) > maxFile {
		return nil, malformed(path, "it is larger than %d bytes", maxFile)
	}
	var certs []*x509.Certificate
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != typeCertificate {
			return nil, malformed(path, "it holds a PEM block of type %q, expected only %s", block.Type, typeCertificate)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, malformed(path, "certificate %d: %v", len(certs)+1, err)
		}
		certs, data = append(certs, cert), rest
	}
	if len(certs) == 0 || len(bytes.TrimSpace(data)) > 0 {
		return nil, malformed(path, "after %d PEM certificates there are %d bytes that are none", len(certs), len(data))
	}
	return certs, nil
}

// readKey reads a PEM file with one ECDSA key in PKCS #8.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, &Error{path, fmt.Errorf("%w (mode %04o)", ErrOpenKey, info.Mode().Perm()), "issue a new certificate if others use this machine, and: chmod 600 " + path}
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parseKey(path, data)
}

// parseKey reads a key that is or was in a file.
func parseKey(path string, data []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != typeKey || len(bytes.TrimSpace(rest)) > 0 {
		return nil, malformed(path, "it does not hold exactly one PEM block of type %s", typeKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, malformed(path, "%v", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, malformed(path, "it holds a key of type %T, expected ECDSA", parsed)
	}
	return key, nil
}

// createFile writes a file that must not exist yet.
func createFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return &Error{path, ErrExists, "move it away first if you mean to make a new one"}
	}
	if err != nil {
		return err
	}
	if err := fill(f, data, mode); err != nil {
		os.Remove(path)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceFile writes a file as a whole or not at all: a daemon that re-reads
// it never sees half of it.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	if err := fill(f, data, mode); err != nil {
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncDir(filepath.Dir(path))
}

// fill writes, syncs and closes f. The mode is set again because the umask
// takes bits from the one given at creation.
func fill(f *os.File, data []byte, mode fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
