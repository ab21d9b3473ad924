# SPDX-License-Identifier: Apache-2.0
# tests/gateway/lib.sh - what the commands of this folder share; to be sourced by bash.
# It starts nothing by itself. Processes are ended by the id in their pid file, after a check that
# the id still is that process. KVM is used only when a probe boot reached the firmware.
set -euo pipefail
gw_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gw_top=$(cd "$gw_here/../.." && pwd)
gw_cache=${BP_CACHE:-$gw_top/out/cache}
# Debian keeps mkfs, e2fsck and debugfs here; a user's PATH does not name it.
PATH=$PATH:/usr/sbin:/sbin

gw_die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

gw_usage() {
    sed -n '/^# usage:/,/^# end of usage/{/^# end of usage/d;s/^# \{0,1\}//;p}' "$0" >&2
    exit 2
}

# gw_wait_for SECONDS COMMAND...: repeats COMMAND until it succeeds; 1 when the time is over.
gw_wait_for() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

# gw_pid FILE WORD: prints the id in FILE if that process lives and has WORD in its command line.
# A number that the system gave to somebody else in the meantime is thereby never signalled.
gw_pid() {
    local pid
    [ -s "$1" ] || return 1
    pid=$(<"$1")
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2" || return 1
    echo "$pid"
}

gw_is_gone() {
    ! gw_pid "$1" "$2" >/dev/null
}

# gw_kernel: prints the folder with vmlinuz and modules/ of Debian's cloud kernel. The kernel is
# taken from its package, unpacked and not installed. What the cache holds stays: a kernel that
# changed between two images of one test would change their measurements.
gw_kernel() {
    local dir=$gw_cache/kernel package tmp
    if [ ! -e "$dir/vmlinuz" ]; then
        mkdir -p "$gw_cache"
        exec 9>"$gw_cache/kernel.lock"
        flock 9
        if [ ! -e "$dir/vmlinuz" ]; then
            package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ {print $2; exit}')
            [ -n "$package" ] || gw_die "apt knows no linux-image-cloud-amd64: run apt-get update"
            tmp=$(mktemp -d "$gw_cache/kernel.XXXXXX")
            (cd "$tmp" && apt-get download "$package" >apt.log 2>&1) ||
                gw_die "cannot download $package, see $tmp/apt.log"
            dpkg-deb -x "$tmp"/*.deb "$tmp/x"
            mkdir "$tmp/k"
            cp "$tmp"/x/boot/vmlinuz-* "$tmp/k/vmlinuz"
            cp -r "$tmp"/x/lib/modules/*/kernel "$tmp/k/modules"
            echo "$package $(dpkg-deb -f "$tmp"/*.deb Version)" >"$tmp/k/version"
            mv -T "$tmp/k" "$dir"
            rm -rf "$tmp"
        fi
        exec 9>&-
    fi
    echo "$dir"
}

# gw_accel: prints the words for QEMU. A nested KVM often aborts on Secure Boot's SMM, and QEMU does
# not fall back, so the answer comes from a probe boot and is kept in the cache.
gw_accel() {
    local answer=$gw_cache/accel tmp pid
    if [ ! -s "$answer" ]; then
        mkdir -p "$gw_cache"
        tmp=$(mktemp -d)
        echo '-accel tcg -cpu max' >"$tmp/answer"
        if [ -w /dev/kvm ]; then
            cp /usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd "$tmp/vars.fd"
            # shellcheck disable=SC2046
            qemu-system-x86_64 $(gw_board) -accel kvm -cpu host -m 512 -display none -net none \
                -serial "file:$tmp/console" -no-reboot \
                -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd \
                -drive "if=pflash,format=raw,unit=1,file=$tmp/vars.fd" >/dev/null 2>&1 &
            pid=$!
            if gw_wait_for 20 gw_probe_ended "$tmp/console" "$pid" && [ -s "$tmp/console" ]; then
                echo '-accel kvm -cpu host' >"$tmp/answer"
            fi
            kill -9 "$pid" 2>/dev/null || :
            wait "$pid" 2>/dev/null || :
        fi
        mv "$tmp/answer" "$answer"
        rm -rf "$tmp"
    fi
    cat "$answer"
}

gw_probe_ended() {
    grep -qa BdsDxe "$1" 2>/dev/null || ! kill -0 "$2" 2>/dev/null
}

gw_board() {
    echo '-machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on' \
        '-global ICH9-LPC.disable_s3=1'
}
