#!/bin/sh
# Before the package is removed; an upgrade keeps the relay running until the new one is there.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl disable --now holdfast.service || true
fi
