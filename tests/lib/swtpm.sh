#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/lib/swtpm.sh - a software TPM 2.0 of a test's own, manufactured with EK certificates by a local authority.
#   swtpm.sh make DIR    manufactures a TPM in DIR (authority in DIR/ca, shared when BP_SWTPM_CA names a folder)
#   swtpm.sh start DIR   starts it (after TPM2_Startup) and prints its TCTI string once it answers
#   swtpm.sh stop DIR    ends it by its pid and waits until it is gone
#   swtpm.sh kill DIR    the same by SIGKILL: a power cut
# State is DIR/state, sockets DIR/s and DIR/s.ctrl, process id DIR/pid. DIR must be short (a socket path has 107 bytes).
set -eu

usage() { sed -n '3,8p' "$0" >&2; exit 2; }
[ $# -eq 2 ] || usage
dir=$2

# A process that has ended but that nobody reaped counts as gone.
alive() { case $(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) in ''|Z|X) return 1 ;; esac; }

make_one() {
    local ca=${BP_SWTPM_CA:-$dir/ca}
    mkdir -p "$dir/state" "$ca"
    chmod 700 "$dir" "$dir/state" "$ca"
    cat >"$dir/localca.conf" <<END
statedir = $ca
signingkey = $ca/signkey.pem
issuercert = $ca/issuercert.pem
certserial = $ca/certserial
END
    printf -- '--platform-manufacturer Bedplate\n--platform-version 1\n--platform-model test\n' >"$dir/localca.options"
    printf 'create_certs_tool = /usr/bin/swtpm_localca\ncreate_certs_tool_config = %s\ncreate_certs_tool_options = %s\nactive_pcr_banks = sha256\n' \
        "$dir/localca.conf" "$dir/localca.options" >"$dir/setup.conf"
    swtpm_setup --tpm2 --tpmstate "dir://$dir/state" --config "$dir/setup.conf" --create-ek-cert \
        --create-platform-cert --lock-nvram --pcr-banks sha256 >"$dir/setup.log" 2>&1 ||
        { cat "$dir/setup.log" >&2; return 1; }
}

start_one() {
    rm -f "$dir/s" "$dir/s.ctrl"
    setsid swtpm socket --tpm2 --tpmstate "dir=$dir/state" --server "type=unixio,path=$dir/s" \
        --ctrl "type=unixio,path=$dir/s.ctrl" --flags not-need-init,startup-clear >"$dir/log" 2>&1 </dev/null &
    echo $! >"$dir/pid"
    local i
    for i in $(seq 200); do
        [ -S "$dir/s" ] && { echo "swtpm:path=$dir/s"; return 0; }
        alive "$(cat "$dir/pid")" || break
        sleep 0.02
    done
    cat "$dir/log" >&2
    return 1
}

end_one() {
    [ -f "$dir/pid" ] || return 0
    local pid i
    pid=$(cat "$dir/pid")
    kill "-$1" "$pid" 2>/dev/null || true
    for i in $(seq 200); do
        alive "$pid" || { rm -f "$dir/pid"; return 0; }
        sleep 0.02
    done
    echo "swtpm $pid does not end" >&2
    return 1
}

case $1 in
make) make_one ;;
start) start_one ;;
stop) end_one TERM ;;
kill) end_one KILL ;;
*) usage ;;
esac
