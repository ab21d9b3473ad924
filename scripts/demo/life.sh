# SPDX-License-Identifier: Apache-2.0
# scripts/demo/life - a device from the maker's line to the scrapyard. Sourced by ./demo.
#
# Units are process-level devices: our agent on this machine with a TPM of its own (swtpm) and logs that this TPM was
# extended by; server and page mark them as such. So the maker's station, two owners and a broker cost seconds and not
# boots. The replacement is between gateways that boot. Other owners have servers of their own; each is a whole one.

units=(unit-1 unit-2 unit-3 unit-4)
declare -A tcti=() port=() id=()
unit_model=pump-gw

# ---- units and owners ----

# Their chips are of the authority that made the gateways' chips, so one anchor at a server is for both.
units_made() {
    local name
    for name in "${units[@]}"; do
        mkdir -p "$dir/$name" && chmod 700 "$dir/$name" &&
            BP_SWTPM_CA=$dir/ek-ca flock "$dir/ek-ca.lock" tests/lib/swtpm.sh make "$dir/$name" &&
            tests/lib/make-logs "$dir/$name" --program "$bin/bedplate-agent" || return 1
    done >"$dir/units.log" 2>&1
}
units_on() {
    local name
    port[server.enrol]=$enrol_port
    for name in "${units[@]}"; do
        tcti[$name]=$(tests/lib/swtpm.sh start "$dir/$name" 2>>"$dir/units.log") &&
            xargs tpm2_pcrextend -T "${tcti[$name]}" <"$dir/$name/extends" >>"$dir/units.log" 2>&1 || return 1
    done
}

# The agent's folder is UNIT/agent; one that comes back with an empty disk has another.
agent() { # UNIT COMMAND...
    TSS2_LOG=all+NONE "$bin/bedplate-agent" "${@:2}" --state "$dir/$1/${state:-agent}"
}
agent_runs() { # UNIT: and stays
    keep "agent-$1" env TSS2_LOG=all+NONE "$bin/bedplate-agent" run --state "$dir/$1/agent"
    log_says "agent-$1" affirming 60
}
first_contact() { # UNIT SERVER OPTION...
    agent "$1" enroll --server "https://localhost:${port[$2.enrol]}" --root "tpm2:${tcti[$1]}" \
        --boot-log "$dir/$1/boot.log" --ima-log "$dir/$1/ima.log" --wait 0 "${@:3}"
}
is_affirming() { # UNIT
    test "$(agent "$1" attest --json 2>>"$dir/units.log" | member tier)" = affirming
}

# owner NAME COMMAND...: the command line at an owner's server.
owner() {
    if [ "$1" = server ]; then cli "${@:2}"; else "$bin/bedplate" "${@:2}" --config "$dir/$1-operator"; fi
}
owner_up() { # NAME
    local what where
    "$bin/bedplated" init --dir "$dir/$1" --name localhost --org "$1" --evaluation --json >"$dir/$1.json" 2>>"$dir/$1.log" &&
        cp "$(cat "$dir/anchors")" "$dir/$1/anchors/virtual-swtpm.pem" || return 1
    keep "$1" "$bin/bedplated" run --dir "$dir/$1" --listen 127.0.0.1 --workers 1 --readers 1 --device-port 0 --enrol-port 0 \
        --operate-port 0 --status-port 0 --attest-interval 6000
    log_says "$1" ready 30 || return 1
    while read -r _ what where; do
        port[$1.$what]=${where##*:}
    done < <(grep '^listening ' "$dir/$1.log")
    owner "$1" login --server "https://localhost:${port[$1.operate]}" --code "$(member code <"$dir/$1.json")" \
        --anchor "$(member root <"$dir/$1.json")" >>"$dir/$1.log" 2>&1
}

# What the units run is a release of their maker; each owner accepts it for a zone of its own.
unit_release_made() {
    cli release create --product pump --model "$unit_model" --version 1.0 --counter 1 --from-log "$dir/unit-1/boot.log" \
        --ima-log "$dir/unit-1/ima.log" --out "$dir/unit-release.cbor" &&
        cli release sign --key "$dir/maker.pem" --in "$dir/unit-release.cbor" --out "$dir/unit-release.signed"
}
unit_release_accepted() { # OWNER ZONE
    local release
    release=$(owner "$1" release publish "$dir/unit-release.signed" --maker "$dir/maker.pem.pub" --json | member id) &&
        owner "$1" release accept "$release" --zone "$2" --reason "tested" --json
}

# ---- made ----

factory() { PATH=$bin:$PATH "$bin/bedplate" factory "$1" --dir "$dir/maker" "${@:2}"; }
# station UNIT SERIAL: as a scanner types it.
station() {
    factory station --order PO-1 --model "$unit_model" --root "tpm2:${tcti[$1]}" --labels "$dir/labels" --json <<<"$2"
}
changed() { # FILE TEXT OUT: one letter of TEXT in FILE is another one
    python3 - "$@" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[data.index(sys.argv[2].encode())] ^= 1
open(sys.argv[3], "wb").write(data)
PY
}

factory_batch() {
    local n name said short
    say "At a maker's station an order of three units is entered, with no network"
    mkdir -p "$dir/labels"
    if ! "$bin/bedplate" factory init --dir "$dir/maker" --name Acme --mark "$dir/maker.mark" --json >"$dir/maker.json" \
        2>>"$dir/units.log"; then
        expect "the maker's keys are made" false
        return 1
    fi
    maker_key=$(member maker <"$dir/maker.json")
    maker_word=$(member passphrase <"$dir/maker.json")
    expect "the maker opens an order of three" factory order PO-1 --quota 3 --json
    for n in 1 2 3; do
        name=unit-$n
        said=$(station "$name" "SN-$n" 2>>"$dir/units.log")
        id[$name]=$(member device <<<"$said") short=$(member short <<<"$said")
        expect "unit SN-$n is entered, and has its label: $short, in $(member took_ms <<<"$said") ms" \
            test -s "$dir/labels/$short.svg" -a -s "$dir/labels/$short.pdf"
    done
    said=$(station unit-1 SN-1 2>>"$dir/units.log")
    expect "after a power cut SN-1 is read again: it is not counted twice, $(member units <<<"$said") of 3" \
        test "$(member units <<<"$said")" = 3
    refusal "a chip under a second serial number" SN-2 station unit-2 SN-9
    refusal "a fourth unit of an order of three" "all its 3 units" station unit-4 SN-4
    expect "the maker signs the batch: $(find "$dir/labels" -name '*.pdf' | wc -l) units" \
        factory batch --order PO-1 --out "$dir/PO-1.manifest" --json <<<"$maker_word"
}

plant_imports() {
    say "The plant imports the batch, and its units come in without a person"
    changed "$dir/PO-1.manifest" SN-2 "$dir/changed.manifest"
    refusal "a maker that nobody has named" maker cli device import "$dir/PO-1.manifest" --zone workshop
    refusal "a batch with one letter changed" bad-signature \
        cli device import "$dir/changed.manifest" --zone workshop --maker "$maker_key"
    expect "the batch of the maker whose key was named is taken" \
        cli device import "$dir/PO-1.manifest" --zone workshop --maker "$maker_key"
    refusal "the same batch once more" batch cli device import "$dir/PO-1.manifest" --zone workshop
    unit_release_made >>"$dir/units.log" 2>&1
    expect "what the units run is accepted in the workshop" unit_release_accepted server workshop
    comes_in unit-1 SN-1
    comes_in unit-2 SN-2
    refusal "a unit of no batch, unit-4" "waits for approval" first_contact unit-4 server --anchor "$anchor"
}
comes_in() { # UNIT SERIAL
    expect "$2 enrols with no invitation and nobody approving" first_contact "$1" server --anchor "$anchor"
    expect "the plant knows $2: $(device "${id[$1]}" name), $(device "${id[$1]}" model), zone $(device "${id[$1]}" zone), process-level" \
        test "$(device "${id[$1]}" name) $(device "${id[$1]}" zone)" = "$2 workshop"
}

# ---- owned ----

owner_refused() {
    local card=$dir/server/certs/owner.cose anchor_file=$dir/acme.anchor
    say "A server that is not its owner's asks for unit SN-3"
    {
        "$bin/bedplate" factory anchor "$dir/maker/maker.pub" --name Acme --out "$anchor_file" &&
            "$bin/bedplate" factory assign "${id[unit-3]}" --to "$card" --maker "$anchor_file" --key "$dir/maker/keys/maker.pem" \
                --out "$dir/first.chain" <<<"$maker_word"
    } >>"$dir/units.log" 2>&1
    expect "the maker assigns SN-3 to the plant: $("$bin/bedplate" ownership show "$dir/first.chain" 2>&1 | grep -o 'assign .*')" \
        cli device claim "$dir/first.chain" --zone workshop --name SN-3
    expect "a stranger has a server too" owner_up stranger
    refusal "which shows no chain of ownership" no-ownership \
        first_contact unit-3 stranger --maker "$anchor_file"
    # The stranger plays the maker as well: chain and server agree with each other, and not with the device.
    {
        cli release keygen --out "$dir/forger" &&
            "$bin/bedplate" factory anchor "$dir/forger.pub" --name Acme --out "$dir/forged.anchor" &&
            "$bin/bedplate" factory assign "${id[unit-3]}" --to "$dir/stranger/certs/owner.cose" --maker "$dir/forged.anchor" \
                --key "$dir/forger" --out "$dir/forged.chain"
    } >>"$dir/units.log" 2>&1
    expect "it forges a chain under the maker's name, which its own server believes" \
        owner stranger device claim "$dir/forged.chain" --zone den
    refusal "the device does not, offline" ownership-maker first_contact unit-3 stranger --maker "$anchor_file"
    expect "and has told that server nothing: devices there: $(owner stranger device ls --json 2>>"$dir/stranger.log" | member devices)" \
        test "$(owner stranger device ls --json 2>>"$dir/stranger.log" | member devices)" = "[]"
    drop stranger
    expect "at its owner's server it enrols by the chain alone" first_contact unit-3 server --maker "$anchor_file"
    expect "it attests at the plant: epoch $(agent unit-3 status --json 2>>"$dir/units.log" | member epoch)" is_affirming unit-3
}

owner_changes() {
    local word before
    say "Unit SN-3 is handed over to a second owner, who has a server of his own"
    word=$(member passphrase <"$dir/init.json")
    expect "the second owner's server is up" owner_up second
    expect "the first owner signs the transfer with a key that no server has" \
        cli device transfer "${id[unit-3]}" --to "$dir/second/certs/owner.cose" --key "$dir/server/owner-key.pem" \
        --out "$dir/second.chain" --json <<<"$word"
    before=$(keys_of "$dir/unit-3/agent")
    expect "the device learns of it, erases the first owner's keys, and ends" erases_and_ends unit-3
    expect "no key of the first owner's is left: gone is $before" test -n "$before" -a -z "$(keys_of "$dir/unit-3/agent")"
    expect "the first owner has the proof: $(device "${id[unit-3]}" state_reason)" \
        test "$(device "${id[unit-3]}" state) $(cli device ownership "${id[unit-3]}" --json | member left)" = "retired True"
    refusal "the first owner's server is nothing to it any more" ownership-owner first_contact unit-3 server
    expect "the second owner claims it" owner second device claim "$dir/second.chain" --zone hall --name pump-7
    expect "and accepts what it runs" unit_release_accepted second hall
    expect "it enrols there, by the longer chain" first_contact unit-3 second
    expect "it attests at the second owner's: epoch $(agent unit-3 status --json 2>>"$dir/units.log" | member epoch)" is_affirming unit-3
}
erases_and_ends() { # UNIT
    keep "agent-$1" env TSS2_LOG=all+NONE "$bin/bedplate-agent" run --state "$dir/$1/agent"
    log_says "agent-$1" 'handed over' 60 && ended_well "agent-$1"
}
ended_well() { # NAME of what was kept
    local code=0
    wait "${kept[$1]}" || code=$?
    unset "kept[$1]"
    return $code
}
keys_of() { # FOLDER: an owner's keys in it, and what the owner's server told it
    find "$1" -name 'slot-*.cbor' -printf '%f ' -o -name lockout.cbor -printf '%f ' -o -name head -printf '%f '
}

# ---- replaced ----

# The spare boots while other things are shown.
spare_begins() {
    "$gateway" new "$dir/spare" --image "$dir/release-1.efi" --ek-ca "$dir/ek-ca" >>"$dir/gateways.log" 2>&1 &&
        cli release accept "$(release_id 1)" --zone spares --reason "spares come with it" --json >>"$dir/release.log" 2>&1 &&
        gateway_invited spare spares && gateway_on spare
}

# What a live process holds open, and an act that ends it: cut_by PID PORT COMMAND... sets cut_ms (empty: it was not cut) and
# command_ms.
cut_by() {
    read -r cut_ms command_ms < <(scripts/demo/until-cut --pid "$1" --port "$2" "${@:3}" 2>>"$dir/cut.log") || :
}
cut_expected() { # WHAT
    expect "$1: ${cut_ms:-NOT CUT} ms after the operator's command began (the command itself took ${command_ms:--} ms)" \
        test -n "$cut_ms"
}

# dry FILE ID: would this policy, tried and not published, stop the device?
dry() {
    cli policy check "$1" --json 2>>"$dir/cli.log" | python3 -c '
import json, sys
print("yes" if any(c["id"] == sys.argv[1] for c in json.load(sys.stdin)["changes"]) else "no")' "$2"
}

# place_taken TAG OLD PID SPARE FROM: the process PID holds the session of OLD, which fills TAG; SPARE is in zone FROM.
place_taken() {
    local tag=$1 old=$2 pid=$3 spare=$4 from=$5 old_id spare_id zone name site before
    zone=$(cli position show "$tag" --json | member zone) name=$(cli position show "$tag" --json | member name)
    site=$(cli position show "$tag" --json | member site)
    old_id=$(device "$old" id) spare_id=$(device "$spare" id)
    expect "the place is filled: its device is $(device "$old_id" state)" \
        test "$(cli position show "$tag" --json | member device.id)" = "$old_id"
    cli release deprecate "$(release_id 1)" --zone "$from" --reason "new ones come with 2.0" --json >>"$dir/release.log" 2>&1
    wait_device "$spare_id" 'd["tier"] == "warning"' 60
    expect "the spare is judged by the rules of zone $from, where release 1.0 is deprecated: $(device "$spare_id" reason)" \
        test "$(device "$spare_id" tier) $(device "$spare_id" claims.zone)" = "warning $from"
    sed -e "s/^version: .*/version: 2/" -e "s/^rules:/rules:\n  - {name: halt, when: zone = '$zone', verdict: forbid, reason: A rule of the place}/" \
        -e '/^tests:/,$d' packaging/default-policy.yaml >"$dir/place.yaml"
    before=$(dry "$dir/place.yaml" "$spare_id")
    cut_by "$pid" "$device_port" "$bin/bedplate" device replace "$tag" --with "$spare_id" --reason "in doubt" --config "$dir/operator"
    cut_expected "the spare takes the place over, and the session of the old one is cut"
    expect "the spare has name, zone and site of the place: $(device "$spare_id" name), $(device "$spare_id" zone), $(device "$spare_id" site)" \
        test "$(device "$spare_id" name) $(device "$spare_id" zone) $(device "$spare_id" site)" = "$name $zone $site"
    wait_device "$spare_id" "d[\"tier\"] == \"affirming\" and d[\"claims\"][\"zone\"] == \"$zone\"" 60
    expect "its next evidence is judged by the releases of zone $zone: $(device "$spare_id" reason)" \
        test "$(device "$spare_id" tier)" = affirming
    expect "a rule for zone $zone, tried and not published, would stop it now and would not before" \
        test "$before $(dry "$dir/place.yaml" "$spare_id")" = "no yes"
    expect "the old one is off for good: $(device "$old_id" state), its certificate $(device "$old_id" certificate.state)" \
        test "$(device "$old_id" state) $(device "$old_id" certificate.state)" = "retired revoked"
}

# press-3 is in quarantine since its chip was cleared, and still attests.
gateway_replaced() {
    say "A spare takes over the place of press-3, which is in doubt; both are gateways that booted"
    expect "the spare is attested" wait_device spare 'd["state"] == "active" and d["tier"] == "affirming"' 300
    expect "the plant has a place, and press-3 fills it" filled PRESS-3 press-3
    place_taken PRESS-3 press-3 "$(cat "$dir/press-3/qemu.pid")" spare spares
    console_says press-3 'bedplate-agent: .*revoked' 120
    expect "the old gateway is refused: $(grep -ao 'bedplate-agent: .*revoked.*' "$dir/press-3/console.log" | tail -n 1 | tr -d '\r')" \
        grep -qa 'bedplate-agent: .*revoked' "$dir/press-3/console.log"
}
filled() { # TAG DEVICE
    cli position add "$1" --zone demo --site plant --name press-3 --model demo-gateway && cli position assign "$1" "$2"
}

# The same where one gateway is all: it takes the place of a unit.
unit_replaced() {
    say "A gateway takes over the place of unit-4, a process-level device that waits for approval"
    expect "an operator compares the letters, and approves it into a place of the plant" approved_into PUMP-4
    expect "unit-4 enrols" first_contact unit-4 server --anchor "$anchor"
    cli release accept "$(release_id 1)" --zone workshop --reason "tested in the lab" --json >>"$dir/release.log" 2>&1
    expect "and attests" agent_runs unit-4
    place_taken PUMP-4 "${id[unit-4]}" "${kept[agent-unit-4]}" press-1 demo
    drop agent-unit-4
}
approved_into() { # TAG
    id[unit-4]=$(agent unit-4 status --json | member device)
    cli position add "$1" --zone workshop --site plant --name pump-4 && cli device approve "${id[unit-4]}" --position "$1"
}

# ---- revoked ----

# A real broker with the fleet's certificates, as docs/guide/mosquitto.md sets it up, in a folder of the demo.
broker_up() {
    local machine=$dir/broker words user='' free
    free=$(python3 -c '
import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*(x.getsockname()[1] for x in s))')
    broker_port=${free% *}
    # Ed25519, which TPMs do not have: see the guide.
    mkdir -p "$machine/etc/mosquitto/bedplate"
    openssl req -x509 -newkey ed25519 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout "$machine/etc/mosquitto/bedplate/broker.key" -out "$machine/etc/mosquitto/bedplate/broker.pem" || return 1
    packaging/mosquitto-setup --name localhost --root "$dir/server/certs/root.der" --status "http://localhost:$status_port" \
        --prefix "$machine" --listen 127.0.0.1 --port "$broker_port" --control-port "${free#* }" || return 1
    [ "$(id -u)" != 0 ] || user='user root'
    mkdir -p "$machine/run/mosquitto"
    printf '%s\npid_file %s\ninclude_dir %s\n' "$user" "$machine/run/mosquitto/mosquitto.pid" "$machine/etc/mosquitto/conf.d" \
        >"$machine/broker.conf"
    # The line of the unit that was written, with the program that was built.
    read -ra words < <(sed -n 's/^ExecStart=//p' "$machine/etc/systemd/system/bedplate-broker.service")
    keep broker-helper "$bin/bedplate-broker" "${words[@]:1}"
    wait_for 30 test -s "$machine/var/lib/bedplate-broker/crl.pem" || return 1
    keep mosquitto mosquitto -v -c "$machine/broker.conf"
    log_says mosquitto running 20
}

# A service's key is in the unit's TPM; Mosquitto's clients reach it through OpenSSL's provider.
service_added() { # UNIT
    agent "$1" service add telemetry --out "$dir/$1/telemetry"
}
client_of() { # UNIT PROGRAM...: sets client, the words to begin with
    client=(env OPENSSL_CONF="$dir/tpm.cnf" TPM2OPENSSL_TCTI="${tcti[$1]}" TSS2_LOG=all+NONE "${@:2}" -h localhost -p "$broker_port"
        --cafile "$dir/broker/etc/mosquitto/bedplate/broker.pem" --cert "$dir/$1/telemetry/cert.pem"
        --key "$dir/$1/telemetry/key.pem")
}
listens() { # UNIT
    client_of "$1" stdbuf -oL mosquitto_sub
    keep "mqtt-$1" "${client[@]}" -d -t "plant/$(device "${id[$1]}" pseudonym)/#"
    log_says "mqtt-$1" SUBACK 30
}

revoked_live() {
    say "Two units are clients of a Mosquitto broker, with keys in their TPMs; one is revoked"
    cat >"$dir/tpm.cnf" <<'CONF'
openssl_conf = begin
[begin]
providers = providers
alg_section = prefer
[prefer]
default_properties = ?provider=tpm2,tpm2.digest!=yes
[providers]
default = on
tpm2 = on
[on]
activate = 1
CONF
    expect "units may have certificates for telemetry" cli service add telemetry --profile app-client --zone workshop
    expect "SN-1 and SN-2 have theirs" all_of service_added unit-1 unit-2
    expect "a Mosquitto broker takes them, and bedplate-broker keeps its list" broker_up
    expect "both are connected: a client of Mosquitto's own each" all_of listens unit-1 unit-2
    cut_by "${kept[mqtt-unit-2]:-0}" "$broker_port" "$bin/bedplate" device revoke "${id[unit-2]}" --reason "stolen" --config "$dir/operator"
    cut_expected "the Mosquitto session of revoked SN-2 is cut"
    drop mqtt-unit-2
    refused_by_broker unit-2
    expect "SN-1 goes on: its session was never interrupted" \
        test "$(grep -cE 'sending CONNECT|received SUBACK' "$dir/mqtt-unit-1.log")" = 2 -a -d "/proc/${kept[mqtt-unit-1]:-0}"
    drop mqtt-unit-1
    expect "SN-1 attests over a session that stays open" agent_runs unit-1
    cut_by "${kept[agent-unit-1]:-0}" "$device_port" "$bin/bedplate" device revoke "${id[unit-1]}" --reason "stolen" --config "$dir/operator"
    cut_expected "the live session of revoked SN-1 is cut"
    drop agent-unit-1
    state=again refusal "it has no way back, with an empty disk either" revoked first_contact unit-1 server --anchor "$anchor"
}
all_of() { # COMMAND ARGUMENT...
    local one
    for one in "${@:2}"; do
        "$1" "$one" || return 1
    done
}
refused_by_broker() { # UNIT: the client hears an alert; why, the broker's log says
    local word='certificate verify failed' before code=0
    before=$(grep -c "$word" "$dir/mosquitto.log")
    client_of "$1" mosquitto_pub
    timeout 20 "${client[@]}" -t plant/x -m on >>"$dir/units.log" 2>&1 </dev/null || code=$?
    expect "it is refused when it connects anew: $(grep -o "$word" "$dir/mosquitto.log" | tail -n 1)" \
        test $code != 0 -a $code != 124 -a "$(grep -c "$word" "$dir/mosquitto.log")" -gt "$before"
}

# ---- scrapped ----

retired_for_good() {
    local root=$dir/second/certs/root.der
    say "The second owner scraps unit SN-3, and somebody brings it back"
    expect "it is retired" owner second device retire "${id[unit-3]}" --reason "worn out"
    owner second device decommission "${id[unit-3]}" --out "$dir/scrapped" >>"$dir/units.log" 2>&1
    expect "a signed certificate says so, checked with no server: $("$bin/bedplate" verify "$dir/scrapped" --anchor "$root" --json 2>&1 |
        member reason)" "$bin/bedplate" verify "$dir/scrapped" --anchor "$root"
    # Its TPM has two certified endorsement keys; an intruder's agent may show either alone.
    state=back-1 refusal "it comes back with an empty disk, showing its RSA endorsement key" revoked \
        first_contact unit-3 second --anchor "$root" --ek rsa-2048
    state=back-2 refusal "or its other one, on P-384, which was never its name" revoked \
        first_contact unit-3 second --anchor "$root" --ek p-384
    state=back-3 refusal "or both" revoked first_contact unit-3 second --anchor "$root"
}
