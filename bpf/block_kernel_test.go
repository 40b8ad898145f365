package bpf

import (
	"testing"
)

func TestBlockLoads(t *testing.T) {
	b, err := OpenBlock(BlockOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	t.Log(b.Features())
	if err := b.Track(BlockTarget{VM: "a", PID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := b.attach(b.issue); err != nil {
		t.Fatal(err)
	}
	r, err := b.Read()
	t.Logf("%+v %v", r.Cost, err)
}
