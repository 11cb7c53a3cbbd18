#!/usr/bin/env bash
# Runs a command beside a PostgreSQL server of its own, which is gone afterwards: `scripts/with-postgres.sh npm test`.
# WP_TEST_DATABASE_URL has its address: a socket in a new folder, so that no port collides and nobody else comes in.
set -euo pipefail

(($# > 0)) || { echo "usage: $0 COMMAND ..." >&2; exit 2; }

# What PATH has, or Debian's newest, which is in no PATH.
initdb=$(command -v initdb || find /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1 || true)
[[ $initdb ]] || { echo "$0: no PostgreSQL here (Debian: apt-get install postgresql)" >&2; exit 2; }
binaries=$(dirname "$(readlink -f "$initdb")")

folder=$(mktemp -d)
# PostgreSQL refuses to run as root, and complains where it may not read the folder that it is started in.
server=()
if ((EUID == 0)); then
  user=$(id -un postgres 2>/dev/null || echo nobody)
  chown "$user" "$folder"
  server=(runuser -u "$user" --)
fi
as_server() { (cd "$folder" && "${server[@]}" "$binaries/$1" --pgdata=data "${@:2}"); }

leave() {
  as_server pg_ctl --mode=immediate --silent stop || true
  rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

as_server initdb --auth=trust --username=wp --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$folder/log"
# A test's data need not outlive the machine.
settings=(listen_addresses= "unix_socket_directories=$folder" fsync=off max_connections=200)
as_server pg_ctl --silent --wait --log=log.server --options="$(printf -- ' -c %s' "${settings[@]}")" start

export WP_TEST_DATABASE_URL="postgres://wp@localhost/postgres?host=${folder//\//%2F}"
"$@"
