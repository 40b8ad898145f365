package main

import (
	"net"
	"strings"
)

const apiPort = "7470"

func hasPort(addr string) bool {
	_, _, err := net.SplitHostPort(addr)
	return err == nil
}

func joinPort(host string) string {
	return net.JoinHostPort(strings.Trim(host, "[]"), apiPort)
}
