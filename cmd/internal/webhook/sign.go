package webhook

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// Names of the headers.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp" // seconds since 1970
	headerSignature = "Webhook-Signature" // "v1," and base64
)

// secretPrefix begins a secret that is written in base64.
const secretPrefix = "whsec_"

// Bounds of a secret in bytes. The lower one makes guessing hopeless, the
// upper one catches a path to the wrong file.
const (
	minSecret = 16
	maxSecret = 4096
)

// readSecret reads the key that signs. It is read for each delivery, so a new
// one is taken without a restart.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("secret: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("secret %s is no regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("secret %s may be read by others than its owner; chmod 0600 it", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	key, err := parseSecret(data)
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", path, err)
	}
	return key, nil
}

// parseSecret is the key in a file: all of it but the end of the line, or what
// is written in base64 after whsec_. Its errors never quote it.
func parseSecret(data []byte) ([]byte, error) {
	if len(data) > maxSecret {
		return nil, fmt.Errorf("longer than %d bytes", maxSecret)
	}
	key := bytes.TrimRight(data, "\r\n")
	if text, coded := bytes.CutPrefix(key, []byte(secretPrefix)); coded {
		var err error
		if key, err = base64.StdEncoding.DecodeString(string(text)); err != nil {
			return nil, errors.New("what follows " + secretPrefix + " is not base64")
		}
	}
	if len(key) < minSecret {
		return nil, fmt.Errorf("a key of %d bytes, at least %d; `openssl rand -hex 32` makes one", len(key), minSecret)
	}
	return key, nil
}

// sign makes the signature of a message.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func stamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
