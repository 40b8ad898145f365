package rpc

import (
	"net"
	"sync"
	"time"
)

// quiet keeps a flood of bad connections from becoming a flood of log lines:
// each minute the first few are told in full, the others are counted.
type quiet struct {
	mu    sync.Mutex
	since time.Time
	said  int
	kept  int
}

const saidPerMinute = 20

// may says whether to speak now, and how many were swallowed before.
func (q *quiet) may(now time.Time) (speak bool, swallowed int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Sub(q.since) >= time.Minute {
		q.since, q.said = now, 0
	}
	if q.said >= saidPerMinute {
		q.kept++
		return false, 0
	}
	q.said++
	swallowed, q.kept = q.kept, 0
	return true, swallowed
}

// refuse counts and reports a connection that is turned away.
func (s *Server) refuse(conn net.Conn, name string, err error) {
	s.refused.Add(1)
	if s.ctx.Err() != nil {
		return
	}
	if speak, swallowed := s.grumble.may(time.Now()); speak {
		s.log.Warn("connection refused", "from", conn.RemoteAddr().String(), "certificate", name, "err", err, "unreported", swallowed)
	}
}
