#!/bin/sh
# What an operator wrote and what the cluster entrusted to this host (keys,
# journal, Raft's log) stays, unless Debian is told to purge.
set -e

if [ "$1" = purge ]; then
  rm -rf /etc/evenkeel /var/lib/evenkeel
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
