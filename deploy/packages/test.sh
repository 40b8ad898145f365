#!/usr/bin/env bash
# Installs, upgrades and removes the Debian package in a Debian of its own, which
# systemd-nspawn boots: a real systemd, without network, and gone afterwards. root.
#
#   deploy/packages/test.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
((EUID == 0)) || {
  echo "packages: must be root" >&2
  exit 1
}

base=.cache/debian-bookworm
if [[ ! -f $base/.complete ]]; then
  rm -rf "$base"
  mkdir -p "$base"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,iproute2,procps,man-db,bash-completion bookworm "$base"
  touch "$base/.complete"
fi

rm -f bin/packages/*.deb bin/packages/*.rpm
for version in 0.1.0-old 0.1.0-p.new; do
  deploy/packages/build.sh "$version" amd64
  rm -rf ".cache/packages/$version"
  mkdir -p ".cache/packages/$version"
  mv bin/packages/*.deb bin/packages/*.rpm ".cache/packages/$version/"
done

tree=$(mktemp -d /tmp/evenkeel-packages.XXXXXX)
trap 'rm -rf "$tree"' EXIT
cp -a "$base/." "$tree"
mkdir -p "$tree/root/packages/old" "$tree/root/packages/new"
cp .cache/packages/0.1.0-old/*.deb "$tree/root/packages/old/"
cp .cache/packages/0.1.0-p.new/*.deb "$tree/root/packages/new/"
cp deploy/packages/inside.sh "$tree/root/packages/"
cat >"$tree/etc/systemd/system/packages-test.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c '/root/packages/inside.sh >/root/packages/said 2>&1; systemctl poweroff'
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
ln -s ../packages-test.service "$tree/etc/systemd/system/multi-user.target.wants/"
rm -f "$tree/etc/machine-id"
timeout --kill-after=10s 10m systemd-nspawn --quiet --directory="$tree" --boot --register=no --keep-unit --private-network \
  --machine="evenkeel-packages-$$" </dev/null >"$tree/console" 2>&1 || true
cat "$tree/root/packages/said" || tail -30 "$tree/console"
[[ $(tail -n 1 "$tree/root/packages/said") == "== PASS" ]]
