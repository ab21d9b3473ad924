# SPDX-License-Identifier: Apache-2.0
# scripts/demo/plant - the server, the releases and the gateways of the demo. Sourced by ./demo.

gateway=tests/gateway/gateway
preset=${BP_PRESET:-release} # ./check brings what it has built already
bin=$PWD/build/$preset/bin

# The page is bundled last: npm, which brings its packages, is fetched while the rest is compiled.
npm_there() { scripts/npm --get >"$dir/npm.log" 2>&1; }
build() { # TARGET...
    cmake --build --preset "$preset" --target "$@" >>"$dir/build.log" 2>&1
}
build_agent() { cmake --preset "$preset" >>"$dir/build.log" 2>&1 && build bedplate-agent; }
build_rest() { build bp_fleet_proc bedplate bedplate-broker attacker; }
build_page() { build bedplated; }

# The root's key stays beside the server here, which --evaluation allows and the page shows in red.
server_up() {
    local line
    "$bin/bedplated" init --dir "$dir/server" --name localhost --org "Demo plant" --evaluation --json \
        >"$dir/init.json" 2>"$dir/server.log" || return 1
    first_code=$(member code <"$dir/init.json")
    anchor=$(member root <"$dir/init.json")
    "$bin/bedplated" run --dir "$dir/server" --listen 127.0.0.1 --device-port 0 --enrol-port 0 --operate-port 0 \
        --status-port 0 --attest-interval 6000 >"$dir/server.out" 2>>"$dir/server.log" &
    server_pid=$!
    wait_for 30 grep -q '^ready' "$dir/server.out" || return 1
    while read -r _ line; do
        case $line in
        "device "*) device_port=${line##*:} ;;
        "enrol "*) enrol_port=${line##*:} ;;
        "operate "*) operate_port=${line##*:} ;;
        "status "*) status_port=${line##*:} ;;
        esac
    done < <(grep '^listening ' "$dir/server.out")
    cli login --server "https://localhost:$operate_port" --code "$first_code" --anchor "$anchor" >>"$dir/server.log" 2>&1
}

wait_for() { # SECONDS COMMAND...
    local end=$((SECONDS + $1))
    shift
    until "$@" 2>/dev/null; do
        [ $SECONDS -lt $end ] && kill -0 "$server_pid" 2>/dev/null || return 1
        sleep 0.1
    done
}

# image_made FILE VERSION [--add FILE=PATH]: signed by the key that Secure Boot trusts.
image_made() {
    local out=$1 version=$2
    shift 2
    printf 'ID=demo-gateway\nVERSION_ID=%s\nPRETTY_NAME="Demo gateway %s"\n' "$version" "$version" >"$dir/osrel"
    tests/gateway/gateway-root "$dir/root" --agent "$bin/bedplate-agent" "$@" &&
        tests/gateway/gateway-image "$dir/$out" --root "$dir/root" --osrel "$dir/osrel"
}

# Release 1, and the machines: the lab's, which runs no agent but writes down what its firmware measured, for the
# releases' platform part, and meanwhile those of the plant, each with a TPM of its own.
images_made() { # NAME...
    local name
    {
        cat >"$dir/lab.hook" <<'HOOK'
cat /sys/kernel/security/tpm0/binary_bios_measurements >/var/lib/bedplate/boot.log
sync
poweroff
HOOK
        image_made release-1.efi 1 &&
            "$gateway" new "$dir/lab" --image "$dir/release-1.efi" --ek-ca "$dir/ek-ca" >"$dir/anchors" &&
            "$gateway" put "$dir/lab" "$dir/lab.hook" hook &&
            "$gateway" start "$dir/lab" || return 1
        for name in "$@"; do
            "$gateway" new "$dir/$name" --image "$dir/release-1.efi" --ek-ca "$dir/ek-ca" || return 1
        done
        "$gateway" ended "$dir/lab" 600 && "$gateway" get "$dir/lab" boot.log "$dir/lab.log"
    } >"$dir/images.log" 2>&1
}

# Release 2, and one that nobody released.
more_images_made() {
    {
        image_made release-2.efi 2 --add "$(command -v openssl)=/usr/bin/openssl" &&
            image_made unreleased.efi 1 --add "$(command -v xxd)=/usr/bin/implant"
    } >"$dir/more-images.log" 2>&1
}

# release_accepted N: the maker creates and signs release N, the plant imports and accepts it.
release_accepted() {
    {
        [ -e "$dir/maker.pem" ] || cli release keygen --out "$dir/maker.pem" || return 1
        cli release create --product gateway --model demo-gateway --version "$1.0" --counter "$1" \
            --uki "$dir/release-$1.efi" --from-log "$dir/lab.log" --out "$dir/release-$1.cbor" &&
            cli release sign --key "$dir/maker.pem" --in "$dir/release-$1.cbor" --out "$dir/release-$1.signed" &&
            cli release publish "$dir/release-$1.signed" --maker "$dir/maker.pem.pub" --json >"$dir/release-$1.json" &&
            cli release accept "$(release_id "$1")" --zone demo --reason "tested in the lab" --json
    } >>"$dir/release.log" 2>&1
}
release_id() { member id <"$dir/release-$1.json"; }

put_text() { # MACHINE NAME TEXT
    printf '%s\n' "$3" >"$dir/put.tmp" && "$gateway" put "$dir/$1" "$dir/put.tmp" "$2"
}

# gateway_invited NAME [ZONE]: by name; what differs from other gateways is on its state disk.
gateway_invited() {
    {
        local invitation
        cp "$(cat "$dir/anchors")" "$dir/server/anchors/virtual-swtpm.pem" &&
            invitation=$(cli device invite --zone "${2:-demo}" --site plant --model demo-gateway --name "$1" --json |
                member code) &&
            put_text "$1" server "https://localhost:$enrol_port" &&
            put_text "$1" connect 10.0.2.2 &&
            put_text "$1" device-port "$device_port" &&
            put_text "$1" anchor "$anchor" &&
            put_text "$1" invitation "$invitation"
    } >>"$dir/gateways.log" 2>&1
}
gateway_on() { "$gateway" start "$dir/$1" >>"$dir/gateways.log" 2>&1; }
gateway_off() { "$gateway" stop "$dir/$1" >>"$dir/gateways.log" 2>&1; }
console_says() { # NAME PATTERN SECONDS
    "$gateway" wait "$dir/$1" "$2" "$3" >>"$dir/gateways.log" 2>&1
}

# back_to_green NAME: after an attack; an operator lifts a quarantine that the policy put there.
back_to_green() {
    wait_device "$1" 'd["tier"] == "affirming"' 600 || return 1
    if [ "$(device "$1" state)" = quarantined ]; then
        cli device release "$1" --reason "looked at, cause removed" >>"$dir/cli.log" 2>&1
    fi
    wait_device "$1" 'd["state"] == "active" and d["tier"] == "affirming"' 60
}

one_time_code() {
    cli operator code --role admin --json 2>>"$dir/cli.log" | member code
}

show_link() {
    tell ""
    tell "    The page:  https://localhost:$operate_port/     one-time code: $(one_time_code)"
    tell "    (its certificate is of this demo's own authority: $anchor)"
    tell ""
}
