#!/usr/bin/env bash
# Installs the real programs that tests/e2e drives, where this machine can; says what is missing where it can't. With --short, those of
# `make e2e-short` alone.
set -euo pipefail
# Each command with Debian's packages that bring it. A command that is there already is left alone: Debian's package of it may not go
# beside another's (kubernetes-client beside kubectl).
programs=(
    "kamailio kamailio kamailio-extra-modules kamailio-json-modules kamailio-utils-modules"
    "sipp sip-tester"
    "prometheus prometheus"
    "promtool prometheus"
    "pgbouncer pgbouncer"
    "haproxy haproxy"
    "ip iproute2"
    "docker-compose docker-compose"
    "systemd-analyze systemd"
    "systemd-nspawn systemd-container dbus"
    "kubectl kubernetes-client"
)
if [ "${1-}" != --short ]; then
    programs+=(
        "docker docker.io"
        "dockerd docker.io containernetworking-plugins"
        "debootstrap debootstrap"
    )
fi

# What is not there: a line of a command and its packages each.
missing() {
    local program command packages
    for program in "${programs[@]}"; do
        read -r command packages <<<"$program"
        PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || echo "$command $packages"
    done
}

install() {
    apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 || { tail -n 20 "$log" >&2 && return 1; }
}

# Tools that check what is in deploy/, apart from the service's own packages.
tools=$(dirname "$0")/../../.e2e-tools
lock=$(dirname "$0")/tools.lock
if ! cmp -s "$lock" "$tools/installed.lock"; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"
    cp "$lock" "$tools/installed.lock"
fi

# Of the long form, and not Debian's: built from their sources, which Go checks against the log of checksums or this folder's.
if [ "${1-}" != --short ] && [ ! -x "$tools/bin/kubernetes" ]; then
    if command -v go >/dev/null; then
        echo "e2e: building Docker's Compose and Kubernetes, some eight minutes, once"
        sources=$(mktemp -d) && into=$(realpath "$tools/bin") && here=$(dirname "$0")
        export GOPATH=$sources/path GOCACHE=$sources/cache GOFLAGS="-modcacherw -trimpath"
        GOBIN=$into go install -ldflags "-s -w" github.com/docker/compose/v2/cmd@v2.33.1 2>"$sources/log" \
            && mv "$into/cmd" "$into/docker-compose" \
            && go build -C "$here/kubernetes" -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4" \
                -o "$into/kubernetes" . 2>>"$sources/log" \
            || tail -n 20 "$sources/log" >&2
        rm -r "$sources"
    else
        echo "e2e: Compose and Kubernetes are not built here, and their tests are skipped: Go 1.24 or newer is needed" >&2
    fi
fi

[ -n "$(missing)" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    # The packages start no service of their own: the tests start each program themselves.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$log" "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    apt-get update -qq
    # One that can't be installed takes all of its run with it: then each by itself, so that the others are there.
    mapfile -t wanted < <(missing | cut -d ' ' -f 2- | tr ' ' '\n' | sort -u)
    install "${wanted[@]}" || for package in "${wanted[@]}"; do install "$package" || true; done
fi
left=$(missing | cut -d ' ' -f 1 | xargs)
[ -z "$left" ] || echo "e2e: not installed here, and their tests are skipped: $left (Debian: apt-get install $(missing | cut -d ' ' -f 2- | xargs))" >&2
