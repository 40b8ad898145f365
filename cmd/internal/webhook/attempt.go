package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/config"
)

// Bounds of what a receiver may cost.
const (
	maxAnswer  = 16 << 10 // bytes of an answer that are read, so that the connection can be used again
	maxHeaders = 16 << 10
	dialTime   = 5 * time.Second
	idleTime   = 90 * time.Second
	maxCA      = 1 << 20
)

// errRefused is an answer other than 2xx.
type errRefused struct {
	status int
	after  time.Duration // the receiver wants to be left alone for so long, 0 if it does not say
}

func (e *errRefused) Error() string {
	if e.status >= 300 && e.status < 400 {
		return fmt.Sprintf("the receiver answers HTTP %d; redirects are not followed, write the URL that it leads to", e.status)
	}
	return fmt.Sprintf("the receiver answers HTTP %d", e.status)
}

// newClient makes a client for one receiver.
func newClient(w config.Webhook, timeout time.Duration) (*http.Client, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if w.CA != "" {
		pool, err := readCA(w.CA)
		if err != nil {
			return nil, err
		}
		tlsConfig.RootCAs = pool
	}
	dialer := &net.Dialer{Timeout: dialTime}
	if strings.HasPrefix(w.URL, "http:") && !w.AllowPlainHTTP {
		dialer.Control = onlyLoopback
	}
	return &http.Client{
		Timeout: timeout,
		// A redirect would take the signed message to whoever the receiver names.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: tlsConfig, TLSHandshakeTimeout: dialTime, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, MaxConnsPerHost: 1, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
		},
	}, nil
}

func readCA(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCA))
	if err != nil {
		return nil, fmt.Errorf("ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("ca %s: no certificate in PEM", path)
	}
	return pool, nil
}

// onlyLoopback holds a plain connection to this host, whatever was configured.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("http to %s would leave this host", address)
	}
	return nil
}

// post sends one signed message. Its errors name neither URL nor secret.
func post(ctx context.Context, client *http.Client, w config.Webhook, agent, id string, body []byte, now time.Time) error {
	key, err := readSecret(w.SecretFile)
	if err != nil {
		return err
	}
	signed := http.Header{}
	signed.Set(headerID, id)
	signed.Set(headerTimestamp, stamp(now))
	signed.Set(headerSignature, sign(key, id, now, body))
	resp, err := send(ctx, client, w.URL, agent, body, signed)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // what it says has no meaning
	return refused(resp, now)
}

// send posts JSON, with further headers.
func send(ctx context.Context, client *http.Client, address, agent string, body []byte, more http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its URL cannot be used")
	}
	maps.Copy(req.Header, more)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", agent)
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutURL(err)
	}
	return resp, nil
}

// refused is the error that an answer is, nil for 2xx.
func refused(resp *http.Response, now time.Time) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &errRefused{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"), now)}
}

// withoutURL is an error of http.Client's without the URL that it quotes, which
// may have a token in its path.
func withoutURL(err error) error {
	var quoted *url.Error
	if !errors.As(err, &quoted) {
		return err
	}
	if quoted.Timeout() {
		return errors.New("no answer in time")
	}
	return quoted.Err
}

// retryAfter reads how long a receiver wants to be left alone: seconds or a
// date. What is not to be understood, or lies behind, is 0; at most maxPause.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, maxPause)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxPause)
	}
	return 0
}
