#!/bin/sh
# Debian says "configure" and the version before, if there was one; rpm says how
# many versions will be installed.
set -e

upgraded=
case "$1" in
  configure) upgraded=$2 ;;
  1) ;;
  [2-9]*) upgraded=yes ;;
  *) exit 0 ;; # an upgrade that Debian takes back
esac

systemd-sysusers evenkeel.conf
systemd-tmpfiles --create evenkeel.conf

# In an image or a container nothing runs that could be reloaded.
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

# The relay carries migrations: it goes on with the old program until the host's
# next start. The daemon waits for its turn in the cluster.
if [ -n "$upgraded" ] && systemctl is-active --quiet evenkeeld.service; then
  systemctl start --no-block evenkeel-restart.service
  echo "evenkeel: evenkeeld restarts when no other member does: systemctl status evenkeel-restart"
elif [ -z "$upgraded" ]; then
  echo "evenkeel: nothing runs yet. Next: evenkeel doctor"
fi
