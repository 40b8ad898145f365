package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// mountDisk puts a file system of its own, in a file, at a folder.
func mountDisk(dir string) (unmount func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	image := dir + ".ext4"
	f, err := os.OpenFile(image, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(64<<20), f.Close()); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return func() error {
		_ = thaw(dir) // if a trial ended between the two
		return unix.Unmount(dir, 0)
	}, nil
}

// FIFREEZE and FITHAW of linux/fs.h.
const (
	fifreeze = 0xC0045877
	fithaw   = 0xC0045878
)

func freeze(dir string) error { return freezing(dir, fifreeze) }

func thaw(dir string) error { return freezing(dir, fithaw) }

func freezing(dir string, request uint) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetInt(int(f.Fd()), request, 0)
}
