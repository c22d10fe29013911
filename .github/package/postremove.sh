#!/bin/sh
# After the package is removed. The user stays: its number must not become another's.
set -e
if [ "$1" = purge ]; then
  rm -rf /var/lib/holdfast
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
fi
