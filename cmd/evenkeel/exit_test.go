package main

import (
	"errors"
	"os/exec"
	"strconv"
)

func exitText(err error) string {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err.Error()
	}
	return strconv.Itoa(exit.ExitCode())
}
