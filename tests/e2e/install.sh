#!/usr/bin/env bash
# Installs the real programs that tests/e2e drives, where this machine can; says what is missing where it can't. With --short, those of
# `make e2e-short` alone.
set -euo pipefail
# Each program, or a file's path, with Debian's package that brings it. What is there already is left alone: Debian's package of it may
# not go beside another's (kubernetes-client beside kubectl).
modules=/usr/lib/$(uname -m)-linux-gnu/kamailio/modules
programs=(
    "kamailio kamailio"
    "kamcmd kamailio"
    "$modules/jansson.so kamailio-extra-modules"
    "$modules/http_client.so kamailio-utils-modules"
    "sipp sip-tester"
    "prometheus prometheus"
    "promtool prometheus"
    "pgbouncer pgbouncer"
    "haproxy haproxy"
    "ip iproute2"
    "pgrep procps"
    "docker-compose docker-compose"
    "systemd-analyze systemd"
    "systemd-nspawn systemd-container"
    "dbus-daemon dbus"
    "kubectl kubernetes-client"
)
if [ "${1-}" != --short ]; then
    programs+=(
        "docker docker.io"
        "dockerd docker.io"
        "containerd containerd"
        "iptables iptables"
        "/usr/lib/cni/bridge containernetworking-plugins"
        "debootstrap debootstrap"
    )
fi

# What is not there: a line of a program and its package each.
missing() {
    local program command package
    for program in "${programs[@]}"; do
        read -r command package <<<"$program"
        PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || [ -e "$command" ] || echo "$command $package"
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
compose=v2.33.1
kubernetes=$(sed -n 's/.*k8s.io\/kubernetes //p' "$(dirname "$0")/kubernetes/go.mod" | head -n 1)
wanted=$(cat "$(dirname "$0")"/kubernetes/{go.mod,go.sum,main.go} | cksum | xargs echo "$compose")
if [ "${1-}" != --short ] && [ "$(cat "$tools/built" 2>/dev/null)" != "$wanted" ]; then
    if ! command -v go >/dev/null || ! printf '1.24\n%s\n' "$(go env GOVERSION | sed 's/^go//')" | sort --version-sort --check=quiet; then
        echo "e2e: Compose and Kubernetes can't be built here without Go 1.24 or newer; their tests are skipped" >&2
    else
        echo "e2e: building Docker's Compose and Kubernetes, some eight minutes, once"
        sources=$(mktemp -d)
        trap 'rm -rf "$sources"' EXIT
        into=$(realpath "$tools/bin")
        export GOPATH=$sources/path GOCACHE=$sources/cache GOFLAGS="-modcacherw -trimpath"
        if GOBIN=$into go install -ldflags "-s -w" "github.com/docker/compose/v2/cmd@$compose" 2>"$sources/log" \
            && mv "$into/cmd" "$into/docker-compose" \
            && go build -C "$(dirname "$0")/kubernetes" -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$kubernetes" \
                -o "$into/kubernetes" . 2>>"$sources/log"; then
            echo "$wanted" >"$tools/built"
        else
            tail -n 20 "$sources/log" >&2
            rm -f "$into/docker-compose" "$into/kubernetes"
            echo "e2e: Compose and Kubernetes could not be built; their tests are skipped" >&2
        fi
        rm -rf "$sources"
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
