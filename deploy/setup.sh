#!/usr/bin/env bash
# Checks for Go and installs the Debian packages that are missing, and nothing
# else: with all there it touches neither apt nor the network.
#
#   deploy/setup.sh GROUP...      build | lab | shared | monitoring | terminal | pacemaker | vagrant | generate | vm | bench | planner | packages | lint
set -euo pipefail

declare -A packages=(
  # The race detector needs cgo, so gcc and the C library's headers.
  [build]="gcc libc6-dev make git ca-certificates"
  # What a fleet on one machine runs on.
  [lab]="libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils iproute2 nftables util-linux mount e2fsprogs"
  # A file system that the hosts of a fleet share, with locks that hold between them.
  [shared]="glusterfs-client"
  # Plays the alerts, and scrapes a fleet.
  [monitoring]="prometheus"
  # Another owner of VMs, whom the tests have start one.
  [pacemaker]="pacemaker pacemaker-cli-utils"
  # Where the test of `evenkeel top` looks at a screen.
  [terminal]="tmux"
  [vagrant]="vagrant vagrant-libvirt"
  # Objects are committed; only who changes a BPF program needs the compiler.
  [generate]="clang-19 llvm-19 libbpf-dev"
  # Kernels of Debian's in QEMU, with the tests of bpf/ in their initramfs.
  [vm]="qemu-system-x86 busybox-static cpio xz-utils debian-archive-keyring"
  # What the probes are measured against.
  [bench]="bpftrace libbpf-tools"
  # The peer that the planner is measured against, its generator and judge.
  [planner]="ganeti-htools python3"
  # A Debian of its own to install packages in.
  [packages]="debootstrap systemd-container"
  [lint]="shellcheck clang-format-19"
)

go_wanted=1.26

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

check_go() {
  local have
  command -v go >/dev/null ||
    fail "Go $go_wanted or newer is needed and no go is on PATH. Unpack one from https://go.dev/dl/ to /usr/local and add /usr/local/go/bin to PATH."
  # Outside the module, or an old go would refuse to answer because of go.mod.
  have=$(cd / && go env GOVERSION) || fail "'go env GOVERSION' does not work: repair the installation of $(command -v go)."
  have=${have#go}
  [[ $(printf '%s\n' "$go_wanted" "$have" | sort -V | head -n 1) == "$go_wanted" ]] ||
    fail "Go $go_wanted or newer is needed, $(command -v go) is $have (Debian 12's is 1.19). Unpack a newer one from https://go.dev/dl/ to /usr/local and put /usr/local/go/bin first on PATH."
}

installed() {
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing() {
  local group package
  for group in "$@"; do
    [[ -v packages[$group] ]] || fail "no group '$group'; there are: ${!packages[*]}"
    for package in ${packages[$group]}; do
      installed "$package" || printf '%s\n' "$package"
    done
  done
}

install_missing() {
  local names list
  names=$(missing "$@")
  [[ $names ]] || return 0
  mapfile -t list <<<"$names"
  command -v apt-get >/dev/null ||
    fail "this is not Debian; install what these of its packages hold: ${list[*]}"
  ((EUID == 0)) ||
    fail "packages are missing; run as root: apt-get install --no-install-recommends ${list[*]}"
  printf 'setup: installing %s\n' "${list[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -qq -y --no-install-recommends "${list[@]}" >&2
}

check_go
install_missing "$@"
