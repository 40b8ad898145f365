package main

import (
	"log/slog"
	"testing"
	"testing/fstest"

	"github.com/evenkeel/evenkeel/agent/procfs"
)

// Every network namespace has a loopback device, whose speed the kernel does
// not tell; here a file does.
func TestMigrationLink(t *testing.T) {
	proc := procfs.New(fstest.MapFS{"sys/class/net/lo/speed": &fstest.MapFile{Data: []byte("25000\n")}})
	log := slog.New(slog.DiscardHandler)
	if got := migrationLink(t.Context(), proc, "127.0.0.1", log); got != 3_125_000_000 {
		t.Errorf("%d bytes/s", got)
	}
	if got := migrationLink(t.Context(), procfs.New(fstest.MapFS{}), "127.0.0.1", log); got != 0 {
		t.Errorf("%d bytes/s of a device without a speed", got)
	}
	if device, err := deviceOf(t.Context(), "192.0.2.1"); err == nil {
		t.Errorf("%q has an address of the documentation's", device)
	}
}
