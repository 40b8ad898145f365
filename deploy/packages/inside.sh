#!/usr/bin/env bash
# Runs in a Debian that was booted for it, with systemd: installs a package,
# founds a cluster, upgrades it to a second one, removes it. See test.sh.
set -euo pipefail
cd /root/packages

say() { printf '== %s\n' "$*"; }
fail() {
  printf 'FAIL: %s\n' "$*"
  systemctl --no-pager status evenkeeld evenkeel-restart || true
  journalctl --no-pager -n 40 -u evenkeeld -u evenkeel-restart || true
  exit 1
}
# eventually COMMAND...: within half a minute.
eventually() {
  for _ in {1..150}; do
    "$@" >/dev/null 2>&1 && return
    sleep 0.2
  done
  fail "never: $*"
}
pid() { systemctl show -P MainPID evenkeeld; }

say "install $(ls ./old/*.deb)"
dpkg -i ./old/*.deb
for group in evenkeel evenkeel-admin; do getent group $group >/dev/null || fail "no group $group"; done
! systemctl is-enabled --quiet evenkeeld || fail "it is enabled before anything is configured"
! systemctl is-active --quiet evenkeeld || fail "it runs before anything is configured"
[[ -s /usr/share/man/man1/evenkeel-cluster-init.1 || -s /usr/share/man/man1/evenkeel-cluster-init.1.gz ]] || fail "no manual page"
bash -c '. /usr/share/bash-completion/completions/evenkeel && complete -p evenkeel' >/dev/null || fail "no completion"

say "units"
systemd-analyze verify --man=no evenkeeld.service evenkeel-relay.service evenkeel-restart.service
systemd-analyze --no-pager security evenkeeld.service evenkeel-relay.service | grep -i "overall exposure" || true

say "found a cluster"
evenkeel cluster init --name w1 --role witness --address 127.0.0.1
systemctl enable --now evenkeeld
eventually sh -c 'evenkeel status | grep -q "^leader *w1"'
evenkeel status
[[ $(stat -c %a:%G /run/evenkeel/agent.sock) == 660:evenkeel ]] || fail "the socket is $(stat -c %a:%U:%G /run/evenkeel/agent.sock)"

say "upgrade while another member has the cluster's lock"
lock=$(evenkeel cluster lock --for 10m --holder another --reason "its own upgrade")
before=$(pid)
dpkg -i ./new/*.deb
eventually sh -c 'journalctl -u evenkeel-restart | grep -q "waiting: LOCKED"'
sleep 5
[[ $(pid) == "$before" ]] || fail "it restarted while another member had the lock"
evenkeel status >/dev/null || fail "the old daemon does not answer meanwhile"
evenkeel cluster unlock "$lock"
eventually sh -c "[ \$(systemctl show -P MainPID evenkeeld) != $before ]"
eventually sh -c 'evenkeel status | grep -q "^leader *w1"'
# shellcheck disable=SC2016 # it is for the inner shell
eventually sh -c '! systemctl is-active -q evenkeel-restart && [ $(systemctl show -P Result evenkeel-restart) = success ]'
[[ $(readlink "/proc/$(pid)/exe") == /usr/bin/evenkeeld ]] || fail "the daemon that runs is not the new one"
evenkeel cluster lock --holder next -- true || fail "the lock was not given back"

say "the same again with nobody in the way"
before=$(pid)
dpkg -i ./new/*.deb
eventually sh -c "[ \$(systemctl show -P MainPID evenkeeld) != $before ]"
eventually evenkeel status

say "remove, then purge"
dpkg -r evenkeel
! systemctl is-active --quiet evenkeeld || fail "it runs on"
[[ -f /etc/evenkeel/agent.yaml && -d /var/lib/evenkeel ]] || fail "removal took what is the operator's"
dpkg -P evenkeel
[[ ! -e /etc/evenkeel && ! -e /var/lib/evenkeel ]] || fail "purge left something"
say "PASS"
