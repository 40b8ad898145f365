package main

import (
	"context"
	"time"
)

// How often the certificate's time is looked at, and how long one attempt at
// another may take.
const (
	renewLook = time.Hour
	renewTime = time.Minute
)

// keepCertificate renews this member's certificate before it ends, for as long
// as the daemon runs. One that fails is tried again with the next look: there
// are months left.
func (h *host) keepCertificate(ctx context.Context) {
	for {
		wait := renewLook
		if due := time.Until(h.tls.RenewAt()); due > 0 {
			wait = min(wait, due)
		} else if err := h.renew(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("the certificate was not renewed; `evenkeel certs renew` tries at once", "expires", h.tls.NotAfter(), "err", err)
			wait = min(wait, max(time.Until(h.tls.NotAfter())/20, time.Second))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(wait, time.Second)):
		}
	}
}

func (h *host) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	until, err := h.tls.Renew(ctx, func(ctx context.Context, csr []byte, addresses []string) ([]byte, error) {
		return h.port.Client().Renew(ctx, csr, addresses, h.node.Meet())
	})
	if err == nil {
		h.log.Info("this member's certificate was renewed", "expires", until)
	}
	return err
}
