package webhook

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/evenkeel/evenkeel/cmd/internal/config"
)

// maxSaid bounds what is read of what a called URL says.
const maxSaid = 4 << 10

// Call posts JSON to a URL that has a say in something, within ctx's time. 2xx
// agrees, and is not listened to any further; of any other answer it returns the
// beginning. What holds for receivers of events holds here, but for the
// signature: certificates are the system's, http stays on this host, and no
// redirect is followed. Errors do not name the URL.
func Call(ctx context.Context, address, agent string, body []byte) (said []byte, err error) {
	to := config.Webhook{URL: address}
	if fault := to.URLFault(); fault != "" {
		return nil, fmt.Errorf("its URL: %s; write https://HOST/PATH; http is for this host's loopback addresses", fault)
	}
	client, err := newClient(to, 0)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	resp, err := send(ctx, client, address, agent, body, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := refused(resp, time.Now()); err != nil {
		said, _ = io.ReadAll(io.LimitReader(resp.Body, maxSaid)) // its status stands, whatever becomes of its words
		return said, err
	}
	return nil, nil
}
