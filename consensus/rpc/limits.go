package rpc

import "time"

// Limits bound what the port takes.
type Limits struct {
	Handshake   time.Duration // from accepting to a finished handshake; default 5 s
	Handshakes  int           // under way at once; default 256
	PerHost     int           // handshakes under way from one address; default 32
	Connections int           // open at once, of each protocol; default 4096
	PerPeer     int           // of those, of one member or operator; default 16
	Silence     time.Duration // an attached agent that says nothing for so long is cut off; default 20 s
	Stall       time.Duration // a Raft stream that pauses for so long within a request is cut off; default 10 s
	KeyPause    time.Duration // between attempts of a voter to get the CA's key; default 10 s
	Tick        time.Duration // load snapshots that arrive within it become one entry; default 200 ms
}

func (l Limits) withDefaults() Limits {
	set := func(at *int, value int) {
		if *at == 0 {
			*at = value
		}
	}
	setTime := func(at *time.Duration, value time.Duration) {
		if *at == 0 {
			*at = value
		}
	}
	setTime(&l.Handshake, 5*time.Second)
	set(&l.Handshakes, 256)
	set(&l.PerHost, 32)
	set(&l.Connections, 4096)
	set(&l.PerPeer, 16)
	setTime(&l.Silence, 20*time.Second)
	setTime(&l.Stall, 10*time.Second)
	setTime(&l.KeyPause, 10*time.Second)
	setTime(&l.Tick, 200*time.Millisecond)
	return l
}
