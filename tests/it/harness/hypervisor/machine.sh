# The first process of a machine: makes its root, and boots. Started in namespaces of its own by machine.rs, which has made
# its network already and sends the user data to the standard input.
#
# $1  an empty directory of the host, for the root
# $2  the machine's name
set -eu
root=$1
name=$2

# Of the host a machine has the programs, read-only, and a copy of the settings: nothing that anybody works with.
mount -t tmpfs -o mode=0755 machine "$root"
cd "$root"
mkdir -p proc sys dev/shm dev/pts run root home tmp var/tmp var/lib var/log var/cache usr etc old
chmod 1777 tmp var/tmp dev/shm
chmod 700 root
for part in bin sbin lib lib32 lib64 libx32; do
    if [ -h "/$part" ]; then
        cp -P "/$part" "$part"
    elif [ -d "/$part" ]; then
        mkdir "$part"
        mount --bind "/$part" "$part"
        mount -o remount,bind,ro "$part"
    fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
cp -a /etc/. etc/
for device in null zero full random urandom tty; do
    : > "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=0755 local usr/local/sbin
pivot_root . old
umount -l old
rmdir old
hostname "$name"

# What ends a machine from within: the end of its first process.
printf '#!/bin/sh\nkill -TERM 1\n' > /usr/local/sbin/shutdown
chmod 755 /usr/local/sbin/shutdown

# As cloud-init does it: a program of root's, with little in its environment.
mkdir -p /var/lib/cloud
cat > /var/lib/cloud/user-data
chmod 700 /var/lib/cloud/user-data
echo "$name boots"
trap 'echo "$name shuts down"; exit 0' TERM
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    /var/lib/cloud/user-data < /dev/null &
user_data=$!
wait "$user_data" || echo "user data ended with $?"
# A machine whose user data has ended is still there.
while :; do
    sleep 3600 < /dev/null &
    wait $!
done
