# SPDX-License-Identifier: Apache-2.0
# scripts/demo/attacks - what is done to the gateways, and what the server says to it. Sourced by ./demo.
#
# An attack is expected to be refused or shown red, with a reason of one line that is printed beside it. An attacker here
# has what an intruder with root on the gateway, or a thief with its disk, has: never a key of ours, never the server.

# red NAME ATTACK CODE SECONDS: the device turns red with a finding whose code begins so; its line is printed.
red() {
    local begin=$SECONDS
    if wait_device "$1" "d[\"tier\"] == \"contraindicated\" and any(f[\"code\"].startswith(\"$3\") for f in d[\"findings\"])" "$4"; then
        expect "$2: red after $((SECONDS - begin)) s: $(finding_says "$1" "$3")" true
    else
        expect "$2: NOT SEEN; the server says: $(device "$1" tier), $(device "$1" reason)" false
    fi
}
finding_says() { # NAME CODE
    cli device show "$1" --json 2>>"$dir/cli.log" | python3 -c '
import json, sys
print(next((f["text"] for f in json.load(sys.stdin)["findings"] if f["code"].startswith(sys.argv[1])), ""))' "$2"
}
finding_text() { echo "any($(python3 -c 'import json,sys; print(json.dumps(sys.argv[1]))' "$1") in f[\"text\"] for f in d[\"findings\"])"; }

# An intruder with root on a running gateway: its keys, its TPM, its place in the network. The program is ours
# (tests/attack), lies on the state disk and speaks the protocol, only not honestly.
attack_inside() {
    local verb status code reason
    say "An intruder with root on $1 lies to the server"
    gateway_off "$1"
    cat >"$dir/attack.hook" <<'HOOK'
cd /var/lib/bedplate
chmod 755 attacker
for verb in replay early relabel edit-log unvouched-key; do
    ./attacker $verb --state agent
done >attack.log 2>attack.err
HOOK
    "$gateway" put "$dir/$1" "$bin/attacker" attacker >>"$dir/gateways.log" 2>&1
    "$gateway" put "$dir/$1" "$dir/attack.hook" hook >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    console_says "$1" 'gateway: hook ended' 600 || expect "the intruder's program ended on $1" false
    red "$1" "edits the boot log" boot- 30
    gateway_off "$1"
    "$gateway" get "$dir/$1" attack.log "$dir/attack.log" >>"$dir/gateways.log" 2>&1
    "$gateway" get "$dir/$1" attack.err "$dir/attack.err" >>"$dir/gateways.log" 2>&1
    while IFS=$'\t' read -r verb status code reason; do
        case $verb in
        replay) said "$verb" "replays earlier evidence" "$status" "$code" "$reason" replayed ;;
        early) said "$verb" "prepares a quote early, sends it late" "$status" "$code" "$reason" evidence-refused ;;
        relabel) said "$verb" "relabels PCRs" "$status" "$code" "$reason" evidence-refused ;;
        unvouched-key) said "$verb" "asks for a certificate with a key that no evidence vouched for" "$status" "$code" "$reason" not-preapproved ;;
        edit-log) : ;;
        esac
    done <"$dir/attack.log"
    for verb in replay early relabel edit-log unvouched-key; do
        grep -q "^$verb	" "$dir/attack.log" || expect "the intruder tried: $verb" false
    done
    : >"$dir/empty"
    "$gateway" put "$dir/$1" "$dir/empty" hook >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is green again once the intruder is gone" back_to_green "$1"
}
said() { # VERB WHAT STATUS CODE REASON WANTED
    expect "$2: refused ($3 $4): $5" test "$4" = "$6"
}

# A program that no release contains, from three places.
attack_foreign() {
    local place
    say "A program that no release contains runs on $1"
    gateway_off "$1"
    for place in rootfs tmpfs state; do
        { cat "$(command -v busybox)" && echo "foreign $place"; } >"$dir/foreign-$place"
        "$gateway" put "$dir/$1" "$dir/foreign-$place" "foreign-$place" >>"$dir/gateways.log" 2>&1
    done
    cat >"$dir/foreign.hook" <<'HOOK'
cd /var/lib/bedplate
chmod 755 foreign-*
cp foreign-rootfs /usr/bin/ && /usr/bin/foreign-rootfs true
mkdir /run/fresh && mount -t tmpfs tmpfs /run/fresh
cp foreign-tmpfs /run/fresh/ && /run/fresh/foreign-tmpfs true
./foreign-state true
HOOK
    "$gateway" put "$dir/$1" "$dir/foreign.hook" hook >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    red "$1" "runs a program that no release contains" ima-program 600
    for place in rootfs tmpfs state; do
        expect "the program started from $place is named" \
            wait_device "$1" "$(finding_text "foreign-$place")" 30
    done
    gateway_off "$1"
    "$gateway" put "$dir/$1" "$dir/empty" hook >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is green again after a clean start" back_to_green "$1"
}

attack_unaccepted_image() {
    say "$1 boots a changed image: well signed, but never accepted"
    gateway_off "$1"
    "$gateway" image "$dir/$1" "$dir/unreleased.efi" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    red "$1" "boots a signed but unaccepted image" boot- 600
    gateway_off "$1"
    "$gateway" image "$dir/$1" "$dir/release-1.efi" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is green again with the accepted image" back_to_green "$1"
}

# The same attack, while a person's browser has the page open: it turns red there without a reload, is quarantined and released.
browser_watches() {
    say "A browser looks at the page while $1 boots a changed image"
    cat >"$dir/browser-attack.sh" <<ATTACK
"$gateway" stop "$dir/$1" && "$gateway" image "$dir/$1" "$dir/unreleased.efi" && "$gateway" start "$dir/$1"
ATTACK
    node tests/e2e/browser/run.mjs --url "https://localhost:$operate_port" --code "$(one_time_code)" --devices ${#names[@]} \
        --red "$1" --attack "sh $dir/browser-attack.sh" --root "$dir/server/certs/root.der" --shots "$dir/shots" --wait 600 \
        >"$dir/browser.log" 2>&1
    local code=$?
    grep -E '^(ok|not ok) ' "$dir/browser.log" | tee -a "$transcript"
    expect "the page in Chromium: every step of it" test $code = 0
    gateway_off "$1"
    "$gateway" image "$dir/$1" "$dir/release-1.efi" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is green again with the accepted image" back_to_green "$1"
}

attack_secure_boot_off() {
    say "Secure Boot is switched off on $1"
    gateway_off "$1"
    cp "$dir/$1/vars.fd" "$dir/vars.kept"
    "$gateway" secure-boot "$dir/$1" off >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    red "$1" "turns Secure Boot off" secure-boot-off 600
    gateway_off "$1"
    cp "$dir/vars.kept" "$dir/$1/vars.fd"
    gateway_on "$1"
    expect "$1 is green again with Secure Boot on" back_to_green "$1"
}

# The disk is all that a thief has: its keys are wrapped by a chip that he has not.
attack_disk_theft() {
    say "The disk of $1 is moved to a machine with a different TPM"
    gateway_off "$1"
    "$gateway" new "$dir/thief" --image "$dir/release-1.efi" --ek-ca "$dir/ek-ca" >>"$dir/gateways.log" 2>&1
    "$gateway" swap state "$dir/$1" "$dir/thief" >>"$dir/gateways.log" 2>&1
    gateway_on thief
    if console_says thief 'bedplate-agent: .*(TPM|chip)' 600; then
        expect "moves the disk to another machine: refused there: $(grep -ao 'bedplate-agent: .*' "$dir/thief/console.log" | head -n 1 | tr -d '\r')" true
    else
        expect "moves the disk to another machine: the other chip refuses the keys" false
    fi
    expect "nothing was heard as $1 meanwhile: it is silent" wait_device "$1" 'd["trust"] == "silent"' 300
    "$gateway" cut "$dir/thief" >>"$dir/gateways.log" 2>&1
    "$gateway" swap state "$dir/$1" "$dir/thief" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is green again with its own disk" back_to_green "$1"
}

# Clearing takes the attestation key away, because it hangs under the endorsement key; old counters do not bring it back.
attack_tpm_clear() {
    say "The TPM of $1 is cleared and its clock advanced"
    gateway_off "$1"
    # As root on the gateway would: clearing is disabled since it enrolled, and the value that it asks for is the owner's.
    if "$gateway" tpm "$dir/$1" tpm2 clear >>"$dir/gateways.log" 2>&1; then
        expect "clears the TPM by software: it is refused" false
    else
        expect "clears the TPM by software: it is refused" true
    fi
    # As somebody at the machine does, in the firmware's setup: the platform's authorisation stands above the owner's.
    "$gateway" tpm "$dir/$1" tpm2 clearcontrol -C p c >>"$dir/gateways.log" 2>&1
    "$gateway" tpm "$dir/$1" tpm2 clear -c p >>"$dir/gateways.log" 2>&1
    "$gateway" tpm "$dir/$1" tpm2 setclock 100000000000 >>"$dir/gateways.log" 2>&1
    set_mark
    gateway_on "$1"
    if console_says "$1" 'bedplate-agent: .*(TPM|chip)' 600; then
        expect "clears the TPM: its keys are gone: $(grep -ao 'bedplate-agent: .*' "$dir/$1/console.log" | head -n 1 | tr -d '\r')" true
    else
        expect "clears the TPM: the agent tells that its keys are gone" false
    fi
    expect "$1 turns silent by itself" wait_device "$1" 'd["trust"] == "silent"' 300
    # It may come back only by a fresh invitation.
    gateway_off "$1"
    "$gateway" fresh state "$dir/$1" >>"$dir/gateways.log" 2>&1
    put_text "$1" server "https://localhost:$enrol_port" && put_text "$1" connect 10.0.2.2 &&
        put_text "$1" device-port "$device_port" && put_text "$1" anchor "$anchor" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "enrolling the cleared chip again, uninvited, puts it into quarantine" \
        wait_device "$1" 'd["state"] == "quarantined"' 600
    tell "     $(device "$1" state_reason)"
}

update_proper() {
    say "Release 2 is published, accepted and installed on $1"
    run_timed release2 release_accepted 2 || expect "release 2 is accepted" false
    set_mark
    gateway_off "$1"
    "$gateway" image "$dir/$1" "$dir/release-2.efi" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 runs release 2 and is green" \
        wait_device "$1" 'd["tier"] == "affirming" and d["claims"].get("release_name", "").find("2.0") >= 0' 600
    expect "no alarm in between" test -z "$(events_since trust-lost)$(events_since evidence-refused)"
}

power_cut() {
    say "The power of $1 is cut, machine and TPM"
    set_mark
    "$gateway" cut "$dir/$1" >>"$dir/gateways.log" 2>&1
    gateway_on "$1"
    expect "$1 is heard again and green" \
        wait_device "$1" 'd["tier"] == "affirming" and d["claims"].get("clock_safe", 1) in (0, 1)' 600
    wait_event verdict '' 60
    expect "no alarm: a power cut is a state that is explained" test -z "$(events_since trust-lost)$(events_since evidence-refused)"
}

# A verdict leaves the server and is checked by two programs that share no code; a changed byte is found by both.
verdict_offline() {
    local root=$dir/server/certs/root.der
    say "The verdict on $1 is exported and checked with no server"
    expect "bedplate verify: $("$bin/bedplate" verify "$dir/$1.bundle" --anchor "$root" 2>&1 | sed -n 's/^verdict *//p')" \
        "$bin/bedplate" verify "$dir/$1.bundle" --anchor "$root"
    expect "a Python script without our code agrees" /usr/bin/python3 tests/interop/verify_bundle.py "$dir/$1.bundle" --anchor "$anchor"
    python3 - "$dir/$1.bundle" "$dir/changed.bundle" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[len(data) // 2] ^= 1
open(sys.argv[2], "wb").write(data)
PY
    expect "one changed bit is refused: $("$bin/bedplate" verify "$dir/changed.bundle" --anchor "$root" 2>&1 | sed -n 's/^FAIL *//p' | tail -n 1)" \
        is_refused "$bin/bedplate" verify "$dir/changed.bundle" --anchor "$root"
}
is_refused() { # COMMAND...: ends with 1, a negative answer
    "$@"
    [ $? = 1 ]
}

# The list of measured programs of a healthy gateway names the agent, its libraries and every module: what the gateway's
# image holds is looked for in the list as the exported evidence has it.
check_ima_names() {
    local said
    cli device bundle "$1" --out "$dir/$1.bundle" >>"$dir/cli.log" 2>&1
    if said=$(ima_names "$1"); then
        expect "the kernel's list of programs on $1: $said" true
    else
        expect "the kernel's list of programs on $1: $(tr '\n' ' ' <<<"$said")" false
    fi
}
ima_names() { # NAME [--also PATH]
    tests/gateway/ima-names --image "$dir/$1/image.efi" --bundle "$dir/$1.bundle" "${@:2}" 2>&1
}
# The same question with a name that cannot be there: that one alone is missed.
check_ima_misses() {
    local absent=/usr/bin/never-started said code=0
    said=$(ima_names "$1" --also $absent) || code=$?
    expect "a program that never ran is missed in that list: ${said%%,*}" \
        test "$code ${said%%,*}" = "1 missing: $absent"
}
