#!/bin/sh
# What udhcpc runs when it has, or has lost, an address: sets the interface up with it, and tells check.py.
set -e
case $1 in
    deconfig) ip -4 addr flush dev "$interface" ;;
    bound | renew)
        ip addr replace "$ip/$mask" dev "$interface"
        ip route replace default via "$router"
        echo "nameserver $dns" > /etc/resolv.conf
        echo "$1 ip=$ip mask=$mask router=$router dns=$dns lease=$lease serverid=$serverid"
        ;;
    *) echo "$1" ;;
esac
