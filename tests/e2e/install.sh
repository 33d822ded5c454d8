#!/usr/bin/env bash
# Installs the real programs that tests/e2e drives, where this machine can; says what is missing where it can't.
set -euo pipefail
packages=(kamailio kamailio-extra-modules kamailio-json-modules kamailio-utils-modules sip-tester prometheus
    pgbouncer haproxy iproute2 docker-compose buildah debootstrap systemd kubernetes-client)
commands=(kamailio kamcmd sipp prometheus promtool pgbouncer haproxy ip docker-compose buildah
    debootstrap systemd-analyze kubectl)

missing() {
    local command
    for command in "${commands[@]}"; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || echo "$command"
    done
}

# Tools that check what is in deploy/, apart from the service's own packages.
tools=$(dirname "$0")/../../.e2e-tools
lock=$(dirname "$0")/tools.lock
if ! cmp -s "$lock" "$tools/installed.lock"; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"
    cp "$lock" "$tools/installed.lock"
fi

[ -n "$(missing)" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # The packages start no service of their own: the tests start each program themselves.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
left=$(missing | xargs)
[ -z "$left" ] || echo "e2e: not installed here, and their tests are skipped: $left (Debian: apt-get install ${packages[*]})" >&2
