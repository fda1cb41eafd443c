#!/bin/sh
# Makes what the machines of a fleet know and nobody else may: make-secrets.sh DIRECTORY [NAME-OR-ADDRESS]…
#
#     ca.pem                            on all machines: by it they know the broker
#     fleet-key                         on all machines: seals votes, words and zone files
#     node-password, vantage-password   on nodes and vantages: by them the broker knows them
#     nats.pem, nats.key, passwords.conf   on the broker
#     ca.key                            nowhere: keep it away, or drop it and make all anew
#
# The broker's certificate is for `nats`, which machines must find (/etc/hosts does), and for the names and
# addresses given. What is there already stays. Needs openssl.
set -eu
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
shift
umask 027

names="DNS:nats"
for name; do
  case "$name" in
    *[!0-9.:a-fA-F]* | *[a-fA-F]*.*) names="$names,DNS:$name" ;;
    *) names="$names,IP:$name" ;;
  esac
done
key() { openssl ecparam -name prime256v1 -genkey -noout; }
if [ ! -e nats.pem ]; then
  [ -e ca.key ] || (umask 077 && key > ca.key)
  openssl req -x509 -new -key ca.key -subj "/CN=windrose fleet" -days 3650 -out ca.pem \
    -addext "keyUsage=critical,keyCertSign,cRLSign"
  [ -e nats.key ] || key > nats.key
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n' "$names" > names
  openssl req -new -key nats.key -subj "/CN=nats" |
    openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 825 -extfile names -out nats.pem 2>&1 |
    grep -v -e '^Certificate request' -e '^subject=' || true
  rm -f names ca.srl
fi
for secret in fleet-key node-password vantage-password; do
  [ -e "$secret" ] || openssl rand -hex 32 > "$secret"
done
printf 'NODE_PASSWORD: "%s"\nVANTAGE_PASSWORD: "%s"\n' \
  "$(cat node-password)" "$(cat vantage-password)" > passwords.conf
