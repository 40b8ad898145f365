#!/usr/bin/env bash
# Makes a deb and an rpm for each architecture. The same source and version give
# the same programs and pages.
#
#   deploy/packages/build.sh [VERSION [ARCH...]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

commit=$(git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
VERSION=${1:-0.1.0-dev+${commit//-/.}}
shift || true
architectures=("$@")
(($#)) || architectures=(amd64 arm64)
out=bin/packages
export VERSION ARCH
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH CGO_ENABLED=0

STAGE=$out/stage
rm -rf "$STAGE"
mkdir -p "$STAGE/completion"
nfpm() { go tool -modfile=deploy/packages/tools.mod nfpm "$@"; }

compile() {
  go build -trimpath -ldflags="-s -w -buildid= -X main.version=$VERSION" -o "$1/" ./cmd/evenkeeld ./cmd/evenkeel
}

# Pages and completions come from a program that runs here.
compile "$STAGE/here"
"$STAGE/here/evenkeel" man "$STAGE/man"
"$STAGE/here/evenkeel" completion bash >"$STAGE/completion/evenkeel.bash"
"$STAGE/here/evenkeel" completion zsh >"$STAGE/completion/_evenkeel"
"$STAGE/here/evenkeel" completion fish >"$STAGE/completion/evenkeel.fish"

for ARCH in "${architectures[@]}"; do
  GOARCH=$ARCH compile "$STAGE"
  for packager in deb rpm; do
    nfpm package --config deploy/packages/nfpm.yaml --packager "$packager" --target "$out"
  done
done
rm -rf "$STAGE"
