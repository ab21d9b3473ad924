# SPDX-License-Identifier: Apache-2.0
# scripts/demo/lib - telling, timing, expecting, and asking the server. Sourced by ./demo.

declare -A seconds=() job=() kept=()
passed=0 failed=0 server_pid=''

demo_open() { # DIR
    rm -rf "$1"
    mkdir -p "$1" || exit 3
    transcript=$1/transcript.txt
    : >"$transcript"
}

tell() { printf '%s\n' "$*" | tee -a "$transcript"; }
say() { tell "== $(awk -v b="$demo_begin" -v e="$(date +%s.%N)" 'BEGIN{printf "%5.1f s", e-b}')  $*"; }
demo_die() {
    tell "demo: $*"
    exit 1
}

took() { # NAME SINCE
    seconds[$1]=$(awk -v b="$2" -v e="$(date +%s.%N)" 'BEGIN{printf "%.1f", e-b}')
}
run_timed() { # NAME COMMAND...
    local name=$1 begin code=0
    begin=$(date +%s.%N)
    shift
    "$@" || code=$?
    took "$name" "$begin"
    return $code
}

# begin NAME COMMAND...: runs COMMAND beside this program; it has a process group of its own, so that it can be ended whole.
begin() {
    local name=$1
    shift
    set -m
    run_beside "$dir/$name.seconds" "$@" </dev/null &
    job[$name]=$!
    set +m
}
run_beside() { # FILE COMMAND...
    local file=$1 since code=0
    since=$(date +%s.%N)
    shift
    "$@" || code=$?
    took beside "$since"
    echo "${seconds[beside]}" >"$file"
    return $code
}
# ended NAME: waits for what was begun, and answers as it did.
ended() {
    local code=0
    wait "${job[$1]}" || code=$?
    unset "job[$1]"
    seconds[$1]=$(cat "$dir/$1.seconds" 2>/dev/null)
    return $code
}

# keep NAME COMMAND...: a program that stays, its log in NAME.log; drop NAME: it is told to end, and has ended.
keep() {
    local name=$1
    shift
    "$@" >>"$dir/$name.log" 2>&1 </dev/null &
    kept[$name]=$!
}
drop() {
    [ -n "${kept[$1]:-}" ] || return 0
    kill "${kept[$1]}" 2>/dev/null || :
    wait "${kept[$1]}" 2>/dev/null || :
    unset "kept[$1]"
}
# log_says NAME TEXT SECONDS: until the log of what is kept has TEXT.
log_says() {
    local end=$((SECONDS + $3))
    until grep -qF -- "$2" "$dir/$1.log" 2>/dev/null; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# expect TEXT COMMAND...: one line of the transcript, red or green.
expect() {
    local text=$1
    shift
    if "$@" >>"$dir/expect.log" 2>&1; then
        passed=$((passed + 1))
        tell "ok   $text"
    else
        failed=$((failed + 1))
        tell "FAIL $text"
    fi
}

# refusal TEXT WORD COMMAND...: expects that the command's answer is no (exit code 1) and that WORD is in what it says.
refusal() {
    local text=$1 word=$2 said code=0
    shift 2
    said=$("$@" 2>&1 </dev/null) || code=$?
    # Lines that begin with blanks are advice.
    expect "$text: $(grep -v '^ ' <<<"$said" | tail -n 1)" is_refusal "$code" "$word" "$said"
}
is_refusal() { # CODE WORD TEXT
    [ "$1" = 1 ] && grep -qF -- "$2" <<<"$3"
}

# member NAME: one member of the JSON on standard input, "a.b" for one inside; empty when there is none.
member() {
    python3 -c '
import json, sys
try:
    value = json.load(sys.stdin)
    for name in sys.argv[1].split("."):
        value = value[name]
    print("" if value is None else value)
except (ValueError, KeyError, TypeError):
    pass' "$1"
}

cli() { "$bin/bedplate" "$@" --config "$dir/operator"; }

# device NAME MEMBER: one member of a device as the server tells it; empty when there is none.
device() { cli device show "$1" --json 2>>"$dir/cli.log" | member "$2"; }

# wait_device NAME EXPRESSION SECONDS: until the Python expression over d, the device, is true.
wait_device() {
    local end=$((SECONDS + $3))
    while [ $SECONDS -lt $end ]; do
        if cli device show "$1" --json 2>>"$dir/cli.log" | python3 -c '
import json, sys
try:
    d = json.load(sys.stdin)
    sys.exit(0 if eval(sys.argv[1], {"d": d, "any": any, "str": str, "len": len}) else 1)
except (ValueError, KeyError, TypeError):
    sys.exit(1)' "$2"; then
            return 0
        fi
        sleep 0.3
    done
    return 1
}

# wait_event TYPE TEXT SECONDS: until an event of the type is in the log whose line has TEXT (from event number $mark on).
wait_event() {
    local end=$((SECONDS + $3))
    while [ $SECONDS -lt $end ]; do
        events_since "$1" | grep -qF -- "$2" && return 0
        sleep 0.3
    done
    return 1
}
events_since() { # TYPE
    cli event ls --json --type "$1" --after "${mark:--1}" --limit 200 2>>"$dir/cli.log" | python3 -c '
import json, sys
try:
    for e in json.load(sys.stdin)["events"]:
        print(e["number"], e.get("text", ""), json.dumps(e.get("details", {}), sort_keys=True))
except (ValueError, KeyError):
    pass'
}
set_mark() { # from here on wait_event looks
    mark=$(cli event ls --json --limit 1 2>>"$dir/cli.log" | python3 -c '
import json, sys
try:
    print(json.load(sys.stdin)["events"][0]["number"])
except (ValueError, KeyError, IndexError):
    print(-1)')
}

summary() {
    tell ""
    tell "seconds: $(for name in install agent build npm images page server release first_attested all_attested; do
        [ -z "${seconds[$name]:-}" ] || printf '%s %s  ' "$name" "${seconds[$name]}"
    done)"
    tell "    (npm and images ran beside agent and build; first_attested and all_attested count from the start)"
    tell "$passed passed, $failed failed"
}

demo_close() {
    local name
    for name in "${!job[@]}"; do
        kill -- "-${job[$name]}" 2>/dev/null || :
        wait "${job[$name]}" 2>/dev/null || :
    done
    for name in "${!kept[@]}"; do
        drop "$name"
    done
    for name in "$dir"/*/pid; do
        [ ! -e "$name" ] || tests/lib/swtpm.sh kill "${name%/pid}" >/dev/null 2>&1 || :
    done
    for name in "$dir"/*/tpm; do
        [ ! -d "$name" ] || "$gateway" cut "${name%/tpm}" >/dev/null 2>&1 || :
    done
    if [ -n "$server_pid" ]; then
        kill "$server_pid" 2>/dev/null || :
        wait "$server_pid" 2>/dev/null || :
    fi
}
