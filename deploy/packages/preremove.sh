#!/bin/sh
# Debian says "remove", or "upgrade"; rpm says how many versions remain.
set -e

case "$1" in
  remove | 0) ;;
  *) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
# VMs and migrations between libvirtds go on without evenkeel; those that the
# relay carries do not, so wait for none of them here: say what is lost.
systemctl disable --now --quiet evenkeeld.service evenkeel-relay.service || true
echo "evenkeel: the other members still count this host: evenkeel cluster remove $(hostname), on one of them"
