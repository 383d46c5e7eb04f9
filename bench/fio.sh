#!/bin/bash
# The same fio job in the same guest: vmm beside QEMU (TCG) with intel-iommu and nvme.
# usage: bench/fio.sh KERNEL BUSYBOX_DEB [OUTPUT]
# Needs fio and qemu-system-x86_64 on the host. CPU time of the whole process between two lines on the console.
set -e
kernel=$1 busybox=$2 output=${3:-/dev/stdout}
here=$(cd "$(dirname "$0")/.." && pwd)
vmm=$here/src/Vmm/bin/Release/net10.0/vmm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/usr/bin"
cp /usr/bin/fio "$work/root/usr/bin/"
for library in $(ldd /usr/bin/fio | grep -o '/[^ ]*'); do
    mkdir -p "$work/root$(dirname "$library")"
    cp -L "$library" "$work/root$library"
done
cat > "$work/init" <<'INIT'
#!/bin/sh
export PATH=/bin:/usr/bin:/sbin:/usr/sbin
mkdir -p /proc /sys /dev /tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
job() {
    echo "BEGIN $1"
    fio --name=j --filename=/dev/nvme0n1 --size=32m --bs=4k --iodepth=32 --ioengine=libaio --direct=1 --thread --randseed=7 --rw=$1 --output-format=terse > /tmp/fio 2>&1
    echo "END $1 status $?"; [ -s /tmp/fio ] && head -c 300 /tmp/fio
}
job randread > /dev/null
job randread
job randwrite
echo GUEST-DONE $(dmesg | grep -c 'DMAR: Intel(R) Virtualization')
poweroff -f
INIT
chmod +x "$work/init"
"$vmm" initrd --busybox "$busybox" --init "$work/init" --folder "$work/root" --out "$work/initrd"
truncate -s 64M "$work/disk"
append="console=ttyS0 quiet cryptomgr.notests iommu.strict=1 intel_iommu=on panic=-1"

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

measure() {
    local name=$1
    shift
    "$@" > "$work/$name.out" 2> "$work/$name.err" < /dev/null &
    local pid=$! seen=0 line
    declare -A begun
    while kill -0 $pid 2> /dev/null; do
        mapfile -t lines < <(tr -d '\r' < "$work/$name.out" | grep -aoE '(BEGIN|END) [a-z]+( status [0-9]+)?|GUEST-DONE.*')
        while [ $seen -lt ${#lines[@]} ]; do
            line=${lines[$seen]}
            seen=$((seen + 1))
            set -- $line
            case $1 in
                BEGIN) begun[$2]=$(ticks $pid) ;;
                END) echo "| $name | $2 | $(awk "BEGIN { t = ($(ticks $pid) - ${begun[$2]}) / 100; printf \"%.2f | %.0f\", t, 8192 / t }") | $4 |" ;;
                GUEST-DONE) echo "<!-- $name: remapping lines in dmesg: $2 -->" ; kill $pid 2> /dev/null || true ;;
            esac
        done
        sleep 0.02
    done
    wait $pid 2> /dev/null || true
}

{
    echo "# The same fio job beside QEMU"
    echo
    echo "Written by \`bench/fio.sh\`: 8,192 random 4 KiB requests at depth 32 on the raw disk, Debian's cloud kernel $(basename "$kernel"), strict mode, one vCPU, 512 MiB."
    echo "$(qemu-system-x86_64 --version | head -1), TCG, q35, intel-iommu, nvme. CPU time of the process; one job was run before to warm up."
    echo
    echo "| engine | job | CPU s | requests per CPU second | fio status |"
    echo "| --- | --- | ---: | ---: | ---: |"
    measure vmm "$vmm" run --kernel "$kernel" --initrd "$work/initrd" --append "$append" --memory 512M --iommu vtd --disk "path=$work/disk" --exit-on poweroff
    measure qemu qemu-system-x86_64 -accel tcg -M q35 -m 512 -nodefaults -display none -no-reboot -serial stdio -kernel "$kernel" -initrd "$work/initrd" -append "$append" \
        -device intel-iommu,intremap=off -drive "file=$work/disk,format=raw,if=none,id=d" -device nvme,drive=d,serial=x
} > "$output.new"
mv "$output.new" "$output"
cat "$output"
